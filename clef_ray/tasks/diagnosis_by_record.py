"""What is `diagnosis` worth where records, and not patients, are dealt to training and test? (method.md §8, leakage)"""

from dataclasses import dataclass

import pandas as pd

from clef_ray.errors import ConfigError
from clef_ray.tasks import PARTS, SplitRule
from clef_ray.tasks._splits import records_dealt
from clef_ray.tasks.diagnosis import Diagnosis


@dataclass(frozen=True, kw_only=True)
class DiagnosisByRecord(Diagnosis):
    """A rule that leaks, for measuring what it is worth and for nothing else: each record by itself is dealt to training, validation or
    test in 8:1:1, so that other records of a test patient may be learnt from, and pretraining has seen most test patients of its
    own corpus. It is no paper's split. A result's notes say how many test patients are learnt from, and so does the run's leakage check.
    """

    split: SplitRule = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split != "published":
            raise ConfigError(
                f"task {self.name}.split: records dealt by chance are what this task is; with the folds it is diagnosis"
            )

    def _head(self) -> str:
        return f"by_record/{super()._head()}"

    def _variant(self) -> list[str]:
        return [part for part in super()._variant() if part != self.split]

    def published(self, table: pd.DataFrame) -> pd.Series:
        return records_dealt(table["record"], dict(zip(PARTS, (8, 1, 1), strict=True)))
