"""Does the embedding order patients as a clinical risk score does, without being fitted to it? (method.md §8, zero-shot Spearman)"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from clef_ray.registry import SCORES, unknown
from clef_ray.tasks import check_at_least, check_lead


@dataclass(frozen=True)
class ScoreSpearman:
    """Three rank correlations between embedding and risk, with their controls.

    score: a risk score computable from the dataset's covariates; lead: the lead that is embedded; permutations: of the Mantel test,
    at least 1 (its smallest p is 1 / (1 + permutations)).
    """

    score: str = "score2"
    lead: str = "I"
    permutations: int = 999

    kind: ClassVar[Literal["zeroshot"]] = "zeroshot"
    prefix: ClassVar[str] = "zeroshot"

    def __post_init__(self) -> None:
        if self.score not in SCORES.names():
            raise unknown("risk score", self.score, SCORES.names(), "task score_spearman.score")
        check_lead(self.lead, "task score_spearman.lead")
        check_at_least(self.permutations, 1, "task score_spearman.permutations")
