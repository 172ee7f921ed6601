"""How much is wrong with this very ECG: the control for a score that looks ten years ahead."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take


class Acute:
    """The number of abnormal statements in the record's own diagnosis, in the place of a risk.

    A ten-year score speaks of habits and blood, the ECG of the heart today. The question: does guidance work because the embedding
    learns what an ECG shows, or because it learns the patient? So this target is read off the same ECG, of the record rather than the
    patient: the count of diagnostic classes other than "normal".

    It uses labels of the training records, so pretraining with it is supervised: a comparison with
    self-supervised methods has to say so. A record without a diagnosis is unknown, not healthy.
    """

    source: ClassVar[str] = "control"
    unit: ClassVar[str] = "statements"
    ages = None
    fields = ("findings",)

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """value_N: a count from 0. Raises DataError where the table has no `findings` (see `take`)."""
        del patients_N
        columns, observed_N = take(covariates, self.fields)
        return ScoreResult(columns["findings"], observed_N, observed_N == 1)
