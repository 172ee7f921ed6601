"""Arms over many tasks and corpora at once: the interquartile mean and the probability of improvement (after Agarwal et al. 2021).

Averaged are only values of one measure, e.g. the AUROC of all tasks that have one, whatever their corpus. One encoder is judged by all of
them, so its seeds are resampled with all their tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clef_ray.ablation import Ablation
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.comparing import improvement, interquartile_mean
from clef_ray.report.rows import AMOUNT, Interval, Row
from clef_ray.tasks.score_spearman import EVERY

#: Fewer tasks than this are read one by one.
LEAST_TASKS = 3

#: Questions of another kind, whose AUROC is no diagnosis's: persons known again, rules that leak, what else an embedding holds.
_APART = frozenset(
    {"identification", "identification_finetuned", "by_record", "probe_age", "probe_sex", "probe_sbp"}
)

#: What the metrics of all risk scores at once have in their names: scores of the same people are not tasks of their own.
_EVERY_SCORE = f"/zeroshot/{EVERY}/"


@dataclass(frozen=True)
class Averaged:
    """A value over tasks with its 95 % interval over resampled seeds; None for one seed."""

    value: float
    seeds: Interval | None


@dataclass(frozen=True)
class Standing:
    """One arm over the tasks, in n seeds that have all of them. above: the chance that a run of it has the higher value than one of the base,
    in the same task; None for the base.
    """

    arm: str
    n: int
    mean: Averaged
    above: Averaged | None


@dataclass(frozen=True)
class Overall:
    """What is averaged. metrics: the tasks' names of it, those that every arm with results has."""

    measure: str
    metrics: tuple[str, ...]
    standings: tuple[Standing, ...]


def overall(ablation: Ablation, rows: Sequence[Row]) -> tuple[Overall, ...]:
    """One for each measure of the headline that at least LEAST_TASKS tasks have, in the headline's order.

    Gaps are left out, and further corpora that only the first side of a gap, the leaky one, is of: what an encoder gains there is the leak.
    """
    found = []
    leaky, gaps = _leaky(ablation), ablation.gaps
    for measure in dict.fromkeys(_measure(metric) for metric in ablation.headline):
        metrics = tuple(
            m for m in _shared(measure, rows) if m not in gaps and m.partition("/")[0] not in leaky
        )
        scores = {row.arm.name: _scores(row, metrics) for row in rows} if len(metrics) >= LEAST_TASKS else {}
        scores = {arm: score_SM for arm, score_SM in scores.items() if len(score_SM)}
        if len(scores) > 1:
            base = scores.get(ablation.base)
            standings = [
                _standing(arm, score_SM, None if arm == ablation.base else base)
                for arm, score_SM in scores.items()
            ]
            found.append(Overall(measure, metrics, tuple(standings)))
    return tuple(found)


def _leaky(ablation: Ablation) -> set[str]:
    """The further corpora that stand on the leaky side of a gap and never on the honest one, as `leakage`'s copy of pretraining's people."""
    sides = [{pair[k].partition("/")[0] for pair in ablation.gaps.values()} for k in (0, 1)]
    return (sides[0] - sides[1]) & set(ablation.targets)


def _aside(metric: str) -> bool:
    parts = metric.split("/")
    few = any(AMOUNT.fullmatch(part) for part in parts)
    return few or _EVERY_SCORE in f"/{metric}" or not _APART.isdisjoint(parts)


def _measure(metric: str) -> str:
    return metric.rpartition("/")[2]


def _shared(measure: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """The metrics of this measure that have an interval over patients, so are results and no counts, in every arm that has any; one task
    with fewer labels is no other task.
    """
    own = [
        {
            name
            for name, cell in row.cells.items()
            if _measure(name) == measure and cell.patients and not _aside(name)
        }
        for row in rows
    ]
    held = [names for names in own if names]
    return tuple(sorted(set.intersection(*held))) if held else ()


def _scores(row: Row, metrics: Sequence[str]) -> NDArray[np.float64]:
    """[seeds, tasks], of the seeds that have every task."""
    if any(metric not in row.cells for metric in metrics):
        return np.empty((0, len(metrics)))
    values = [row.cells[metric].values for metric in metrics]
    common = sorted(set.intersection(*(set(found) for found in values)))
    return np.array([[found[seed] for found in values] for seed in common]).reshape(-1, len(metrics))


def _standing(arm: str, score_SM: NDArray[np.float64], base_RM: NDArray[np.float64] | None) -> Standing:
    several = len(score_SM) > 1
    mean = _averaged(interquartile_mean(score_SM), several)
    if base_RM is None:
        return Standing(arm, len(score_SM), mean, None)
    above = improvement(score_SM, base_RM)
    return Standing(arm, len(score_SM), mean, _averaged(above, several and len(base_RM) > 1))


def _averaged(found: Estimate, several: bool) -> Averaged:
    return Averaged(found.value, Interval(found.low, found.high) if several else None)
