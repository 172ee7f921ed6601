"""Aurora-BP: the participant's baseline systolic blood pressure in mmHg (CLEF's task 17 of 18; Mieloszyk et al. 2022)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Values
from clef_ray.tasks._splits import AURORA_DRAW


@dataclass(frozen=True, kw_only=True)
class AuroraSbp(Values):
    """It needs `aurora_bp.measurements=baseline`, the default; of `all` each measurement's own pressure would be asked for.

    Published split: the participants of both protocols that have a baseline pressure, in the order of participants.tsv, drawn 70/15/15 % by
    scikit-learn's train_test_split with seed 42. It keeps participants apart (CLEF's code repeats a participant's file once for each row of
    features, which weights them, but on one side only). The draw depends on how many and in which order they are, which shards of one
    protocol do not hold, so it cannot be repeated from them; the folds are other participants in the same shares.
    """

    dataset: ClassVar[str] = "aurora_bp"
    target: ClassVar[str] = "sbp"
    unit: ClassVar[str] = "mmHg"
    published_is: ClassVar[str] = AURORA_DRAW
