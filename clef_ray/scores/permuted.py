"""A score given to the wrong patients: the control that asks what guidance does when it means nothing."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError
from clef_ray.registry import SCORES
from clef_ray.scores import Covariates, Score, ScoreResult

_WHERE = "score permuted, option base"


class Permuted:
    """Another score, permuted over patients: the distribution over patients stays, the link to their ECGs goes.

    base: that score, `NAME` (at its defaults) or `NAME:key=value,key=value`; seed: chooses the permutation, None: the run's own seed
    (0 outside a run). It depends on the seed and the set of patients only, not on the order of the rows. All records of a patient get
    one value, that of the middle record (by value) of the patient it was drawn from, so that records of one patient agree as they
    nearly do in the base.
    """

    source: ClassVar[str] = "control"
    unit: ClassVar[str] = "as its base"

    def __init__(self, base: str = "score2", seed: int | None = None) -> None:
        self.base: Score = _score(base)
        self.seed = seed

    @property
    def fields(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.fields

    @property
    def ages(self) -> tuple[float, float] | None:
        """Those of the base."""
        return self.base.ages

    def __call__(self, covariates: Covariates, patients_N: NDArray[np.str_]) -> ScoreResult:
        """The base's result with patients exchanged."""
        result = self.base(covariates, patients_N)
        patients, patient_N, records = np.unique(patients_N, return_inverse=True, return_counts=True)
        value_KN = np.atleast_2d(result.value_N.T)[::-1]  # the last key is the first to sort by
        by_value = np.lexsort((result.valid_N, result.observed_N, *value_KN, patient_N))
        middle = by_value[np.cumsum(records) - records + (records - 1) // 2]
        donor = np.random.default_rng(self.seed or 0).permutation(len(patients))
        source_N = middle[donor][patient_N]
        return ScoreResult(result.value_N[source_N], result.observed_N[source_N], result.valid_N[source_N])


def _score(base: str) -> Score:
    """The score that `NAME` or `NAME:key=value,...` names. Raises ConfigError for names, options and values that do not exist."""
    name, _, text = base.partition(":")
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    for key, equals, _ in pairs:
        if not equals:
            raise ConfigError(f"{_WHERE}: {key!r} in {base!r} has no value; write NAME:key=value,key=value")
    given = {key.strip(): value.strip() for key, _, value in pairs}
    if len(given) < len(pairs):
        raise ConfigError(f"{_WHERE}: an option stands twice in {base!r}; give it once")
    score: Score = SCORES.get(name, _WHERE)(**SCORES.options(name, given, _WHERE))
    return score
