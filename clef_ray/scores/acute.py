"""How much is wrong with this very ECG: the control for a score that looks ten years ahead."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.scores import Covariates, ScoreResult, take


class Acute:
    """The number of abnormal statements in the record's own diagnosis, in the place of a risk.

    A ten-year score speaks of habits and blood, the ECG of the heart today. If guidance works because the embedding learns what an ECG
    shows, a target read off the same ECG should do better than any score; if what it learns is the patient, it should not. The count
    of diagnostic classes other than "normal" is that target: acute, of the record rather than the patient, with no chance to be about
    anything but the signal. The machine's intervals would be a second choice: they are what a network measures anyway, and say less
    of disease.

    It uses labels of the training records, so pretraining with it is supervised: compare it as an upper bound on what labels give,
    not as a self-supervised method. A record without a diagnosis is unknown, not healthy.
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
