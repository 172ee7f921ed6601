"""The numbers of a comparison: one arm's metric with its two uncertainties, and the paired difference of two arms.

Over seeds: would another training run agree? A t interval, since a bootstrap over 3 or 5 seeds proves nothing (method §8). Over patients:
would another test sample agree? A patient bootstrap of the mean over seeds. They stand side by side and are never mixed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clef_ray.ablation import Arm, Outcome
from clef_ray.evaluate.bootstrap import (
    Estimate,
    paired_bootstrap,
    percentile_interval,
    seed_interval,
)
from clef_ray.evaluate.comparing import ALPHA, bootstrap_p, effect_size, sign_flip_p, t_test_p
from clef_ray.evaluate.gaps import counts

#: A part of a metric's name that says how few patients were learnt from.
AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(pct|shot)")


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float

    @property
    def side(self) -> int:
        """+1 above 0, -1 below, 0 where it contains 0."""
        return int(self.low > 0) - int(self.high < 0)


def _mark(seeds: Interval | None, patients: Interval | None) -> str:
    if seeds is None or patients is None or seeds.side != patients.side:
        return ""
    return {1: "▲", -1: "▼", 0: ""}[seeds.side]


@dataclass(frozen=True)
class Difference:
    """An arm minus another one, over the n seeds that both have. What cannot be had is None.

    seeds, patients: the t interval over seeds and the patient bootstrap's; p_seeds, p_patients: two-sided p of the same two; p_signs: of the
    exact sign-flip test over seeds, which believes nothing of their distribution; p_holm: `p` after Holm's correction, of differences in the
    first headline metric only (`family.py`); effect: Cohen's d_z over seeds with Hedges' correction.
    """

    value: float
    n: int
    seeds: Interval | None
    patients: Interval | None
    p_seeds: float | None = None
    p_patients: float | None = None
    p_signs: float | None = None
    p_holm: float | None = None
    effect: float | None = None

    @property
    def mark(self) -> str:
        """'▲' or '▼' where both intervals exclude 0 on the same side, otherwise nothing."""
        return _mark(self.seeds, self.patients)

    @property
    def p(self) -> float | None:
        """Of the claim that other seeds and other patients would agree: the larger p of the two, as a mark asks for both intervals."""
        if self.p_seeds is None or self.p_patients is None:
            return None
        return max(self.p_seeds, self.p_patients)

    @property
    def shown(self) -> str:
        """The mark, and `*` behind it where the difference holds after Holm's correction too."""
        return f"{self.mark}*" if self.mark and self.p_holm is not None and self.p_holm < ALPHA else self.mark


@dataclass(frozen=True)
class Cell:
    """One arm's metric: the value of each seed, mean and sd over seeds (sd NaN for one seed), and the two intervals of the mean."""

    values: Mapping[int, float]
    mean: float
    sd: float
    seeds: Interval | None
    patients: Interval | None
    difference: Difference | None = None

    @property
    def mark(self) -> str:
        """Of a gap (`evaluate/gaps.py`), whose own 0 means something: '▲' or '▼' as of a difference."""
        return _mark(self.seeds, self.patients)


@dataclass(frozen=True)
class Row:
    """One arm: how many of its planned trials finished, failed or were stopped early, and its metrics by name (absent where no seed has
    one).
    """

    arm: Arm
    planned: int
    complete: int
    failed: int
    pruned: int
    cells: Mapping[str, Cell]

    @property
    def missing(self) -> int:
        """Planned trials that have no outcome yet."""
        return self.planned - self.complete - self.failed - self.pruned

    @property
    def seeds(self) -> list[int]:
        """The seeds that have any metric."""
        return sorted({seed for cell in self.cells.values() for seed in cell.values})

    @property
    def control(self) -> bool:
        """Whether the arm stands outside all families."""
        return not self.arm.family


@dataclass(frozen=True)
class Trend:
    """One family: each arm minus its reference in the first headline metric.

    The reference is the base arm; in a family without it the arm at the base's place on the axis, or else the last along the axis, or else
    (categories) the first. placed: whether the family lies on the axis.
    """

    family: str
    reference: str
    differences: Mapping[str, Difference]
    placed: bool


@dataclass(frozen=True)
class Check:
    """A control minus the arm that it is the control of, in the first headline metric."""

    control: str
    reference: str
    difference: Difference


#: One arm: seed -> metric -> its estimate, or a bare number that has no patient bootstrap.
Estimates = Mapping[int, Mapping[str, Estimate | float]]


def estimates(arm: Arm, outcomes: Sequence[Outcome]) -> Estimates:
    """The metrics of one arm's complete trials. Only finite values: NaN means that the metric could not be computed.

    Seeds that are the same run count once: a run that agrees with itself says nothing about the spread over seeds.
    """
    found: dict[int, Mapping[str, Estimate | float]] = {}
    seen: set[str] = set()
    for outcome in (o for o in outcomes if o.trial.arm.name == arm.name and o.state == "COMPLETE"):
        if (run := outcome.trial.run.fingerprint()) not in seen:
            seen.add(run)
            whole: dict[str, Estimate | float] = {}
            for result in outcome.results.values():
                whole |= {**result.estimates, **result.extras}
            found[outcome.trial.seed] = {name: e for name, e in whole.items() if math.isfinite(point(e))}
    return found


def cell(own: Estimates, metric: str) -> Cell:
    """One metric of an arm over all its seeds."""
    found = {seed: metrics[metric] for seed, metrics in sorted(own.items()) if metric in metrics}
    values = {seed: point(e) for seed, e in found.items()}
    replicates = _replicates(list(found.values()))
    patients = _interval(*percentile_interval(np.mean(replicates, axis=0))) if replicates else None
    mean, sd, low, high = seed_interval(list(values.values()))
    return Cell(values, mean, sd, _interval(low, high), patients)


def difference(own: Estimates, other: Estimates, metric: str) -> Difference | None:
    """The first arm minus the other over the seeds that both have; None where there is no such seed."""
    common = [seed for seed in sorted(own) if seed in other and metric in own[seed] and metric in other[seed]]
    if not common:
        return None
    a, b = {s: own[s][metric] for s in common}, {s: other[s][metric] for s in common}
    values = [point(a[seed]) - point(b[seed]) for seed in common]
    over_seeds = seed_interval(values)
    replicates = _replicates([*a.values(), *b.values()])
    halves = replicates[: len(common)], replicates[len(common) :]
    moved = [x - y for x, y in zip(*halves, strict=True)]
    return Difference(
        over_seeds.mean,
        len(common),
        _interval(over_seeds.low, over_seeds.high),
        _interval(*paired_bootstrap(*halves)) if replicates else None,
        p_seeds=_known(t_test_p(values)),
        p_patients=_known(bootstrap_p(np.mean(moved, axis=0))) if moved else None,
        p_signs=_known(sign_flip_p(values)) if len(values) > 1 else None,
        effect=_known(effect_size(values)),
    )


def counted_on(metric: str, of: str, rows: Sequence[Row]) -> set[float]:
    """The different values, over arms and seeds, of the number that stands nearest to a metric (`gaps.counts`); of: its name."""
    for name in counts(metric, of):
        if found := {value for row in rows if name in row.cells for value in row.cells[name].values.values()}:
            return found
    return set()


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(low: float, high: float) -> Interval | None:
    return Interval(low, high) if math.isfinite(low) and math.isfinite(high) else None


def _replicates(estimates: Sequence[Estimate | float]) -> list[NDArray[np.float64]]:
    """The bootstrap replicates, [n_boot] each; none at all where one has none, or where their numbers differ and so do not pair."""
    found = [e.replicates for e in estimates if isinstance(e, Estimate)]
    usable = len(found) == len(estimates) and len({len(r) for r in found}) == 1
    return found if usable else []


def point(estimate: Estimate | float) -> float:
    """The number itself."""
    return estimate.value if isinstance(estimate, Estimate) else estimate
