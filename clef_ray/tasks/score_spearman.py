"""Does the embedding order patients as a clinical risk score does, without being fitted to it? (method.md §8, zero-shot Spearman)"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clef_ray.errors import ConfigError
from clef_ray.registry import SCORES, unknown
from clef_ray.scores import Score
from clef_ray.tasks import Task, check_at_least

#: The value of `score` that asks every score which the judged records' covariates give.
EVERY = "all"

#: Scores that are an equation of their own in the file of another one -> that file and its options (method.md §9.4, §9.6).
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "framingham-bmi": ("framingham", {"version": "bmi"}),
    "prevent-ascvd": ("prevent", {"outcome": "ascvd"}),
    "prevent-hf": ("prevent", {"outcome": "hf"}),
}


def score_names() -> tuple[str, ...]:
    """All scores, those of VARIANTS among them, in the order of their names."""
    return tuple(sorted((*SCORES.names(), *VARIANTS)))


def score_of(name: str) -> Score:
    """The score of this name, with the options that make it this one and the others at their defaults."""
    file, options = VARIANTS.get(name, (name, {}))
    score: Score = SCORES.get(file)(**options)
    return score


@dataclass(frozen=True, kw_only=True)
class ScoreSpearman(Task):
    """Three rank correlations between embedding and risk, with their controls.

    score: a risk score (one number per record) computable from the dataset's covariates, or `all`: every such score that tells at least 20
    judged patients apart, each with its coverage and its controls, as `zeroshot/all/<score>/...`; the others are named with what they
    lack. permutations: of the Mantel test, at least 1 (its smallest p is 1 / (1 + permutations)).
    """

    score: str = "score2"
    permutations: int = 999

    kind: ClassVar[str] = "zeroshot"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score not in (EVERY, *score_names()):
            raise unknown("risk score", self.score, (EVERY, *score_names()), "task score_spearman.score")
        if self.score != EVERY and is_point(self.score):
            raise ConfigError(
                f"task score_spearman.score: {self.score!r} gives a point per record; ranks need one number, as score2 gives"
            )
        check_at_least(self.permutations, 1, "task score_spearman.permutations")

    def _head(self) -> str:
        return "zeroshot"

    def _variant(self) -> list[str]:
        parts = super()._variant()
        return parts if self.score == type(self).score else [self.score, *parts]


def is_point(name: str) -> bool:
    """Whether a score's values have more than one coordinate: seen from its answer for no records at all."""
    score = score_of(name)
    nobody = {field: np.empty(0) for field in score.fields}
    return bool(score(nobody, np.empty(0, dtype=np.str_)).value_N.ndim > 1)
