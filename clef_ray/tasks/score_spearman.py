"""Does the embedding order patients as a clinical risk score does, without being fitted to it? (method.md §8, zero-shot Spearman)"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clef_ray.errors import ConfigError
from clef_ray.registry import SCORES, unknown
from clef_ray.tasks import Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class ScoreSpearman(Task):
    """Three rank correlations between embedding and risk, with their controls.

    score: a risk score (one number per record) computable from the dataset's covariates; permutations: of the Mantel test, at least 1
    (its smallest p is 1 / (1 + permutations)).
    """

    score: str = "score2"
    permutations: int = 999

    kind: ClassVar[str] = "zeroshot"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score not in SCORES.names():
            raise unknown("risk score", self.score, SCORES.names(), "task score_spearman.score")
        if _is_point(self.score):
            raise ConfigError(
                f"task score_spearman.score: {self.score!r} gives a point per record; ranks need one number, as score2 gives"
            )
        check_at_least(self.permutations, 1, "task score_spearman.permutations")

    def _head(self) -> str:
        return "zeroshot"

    def _variant(self) -> list[str]:
        parts = super()._variant()
        return parts if self.score == type(self).score else [self.score, *parts]


def _is_point(name: str) -> bool:
    """Whether a score's values have more than one coordinate: seen from its answer for no records at all."""
    score = SCORES.get(name)()
    nobody = {field: np.empty(0) for field in score.fields}
    return bool(score(nobody, np.empty(0, dtype=np.str_)).value_N.ndim > 1)
