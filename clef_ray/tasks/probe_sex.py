"""How well do the features tell the patient's sex? (method.md §8, leakage probes)"""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class ProbeSex(Classes):
    """A leakage probe: what an encoder tells about sex beyond what a task asks of it, on any corpus that has it. Lead I
    where the corpus has it, else its first lead. It is of no paper and has no published split. One class, female;
    records of unknown sex are not asked about.
    """

    lead: str = "any"

    labels: ClassVar[str] = "sex"
    published_is: ClassVar[str] = "a leakage probe has no published split; leave it out"

    def made(self, table: pd.DataFrame) -> tuple[tuple[str, ...], pd.Series]:
        named = {0.0: [], 1.0: ["female"]}  # as the covariate is coded
        return ("female",), pd.Series(
            [named.get(sex) for sex in table["sex"]], index=table.index, dtype=object
        )
