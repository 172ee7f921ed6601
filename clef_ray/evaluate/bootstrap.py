"""Uncertainty: over the patients of one evaluation (bootstrap) and over the seeds of one arm (t interval), and of differences.

The two answer different questions. The patient bootstrap asks how the metric of *these* trained encoders would move with other test
patients; the t interval asks how it moves with other seeds. A percentile bootstrap over 3 or 5 seeds would prove nothing, hence t.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from clef_ray.errors import DataError

#: Two-sided confidence of every interval.
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Estimate:
    """A metric with its 95 % percentile interval over resampled patients.

    value: on the test patients as they are; replicates: on each resample [n_boot], NaN where it is undefined (for example no
    positive was drawn). All fields are NaN where the metric itself is undefined.
    """

    value: float
    low: float
    high: float
    replicates: NDArray[np.float64]

    @classmethod
    def of(cls, statistic: NDArray[np.float64]) -> Self:
        """From a statistic under `sample_and_resamples` weights, [1 + n_boot]: first the sample itself, then the resamples."""
        value, replicates = float(statistic[0]), statistic[1:]
        if np.isnan(value):
            replicates = np.full_like(replicates, np.nan)
        return cls(value, *percentile_interval(replicates), replicates)


class SeedInterval(NamedTuple):
    """Mean, standard deviation (n - 1) and 95 % t interval over seeds; sd and interval are NaN for fewer than two seeds, the interval also
    where all seeds have one value.
    """

    mean: float
    sd: float
    low: float
    high: float


def sample_and_resamples(patients: NDArray[np.str_], n_boot: int, seed: int) -> NDArray[np.float64]:
    """How often each record occurs in the sample itself (a first row of ones) and in each resample of the patients, [1 + n_boot, N], integers.

    Patients are drawn with replacement, as many as there are, and bring all their records. Depends on (sorted distinct patients,
    seed) only: two evaluations of the same patients get the same resamples whatever the order or number of their records. Resamples are
    drawn one at a time: nothing but the result is large.
    """
    distinct, code_N = np.unique(patients, return_inverse=True)
    rng, count = np.random.default_rng(seed), len(distinct)
    weights_BN = np.ones((1 + n_boot, len(patients)))
    for weight_N in weights_BN[1:]:
        times = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        np.take(times, code_N, out=weight_N, mode="clip")
    return weights_BN


def percentile_interval(replicates: NDArray[np.float64]) -> tuple[float, float]:
    """(low, high): the central 95 % of the finite replicates; NaN where there is none."""
    finite = replicates[np.isfinite(replicates)]
    if not len(finite):
        return float("nan"), float("nan")
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(finite, [tail, 100 - tail])
    return float(low), float(high)


def seed_interval(values: Sequence[float]) -> SeedInterval:
    """Mean, sd and 95 % t interval of one arm's values over seeds. Values that are NaN are left out.

    Seeds that tie (a metric that counts few patients does that) have shown no spread, which does not say that there is none: an interval
    without width would exclude 0 whatever the truth is.
    """
    finite = np.array([v for v in values if np.isfinite(v)], dtype=np.float64)
    mean = float(finite.mean()) if len(finite) else float("nan")
    if len(finite) < 2:
        return SeedInterval(mean, float("nan"), float("nan"), float("nan"))
    sd = float(finite.std(ddof=1))
    if alike(finite):
        return SeedInterval(mean, sd, float("nan"), float("nan"))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(finite) - 1)) * sd / float(np.sqrt(len(finite)))
    return SeedInterval(mean, sd, mean - half, mean + half)


def alike(values_S: NDArray[np.float64]) -> bool:
    """Whether the values are one number, but for what subtraction leaves of it."""
    return bool(np.ptp(values_S) <= 1e-12 * max(1.0, np.abs(values_S).max()))


def paired_bootstrap(
    a: Sequence[NDArray[np.float64]], b: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    """95 % interval (low, high) of mean over seeds of a - b, over resampled test patients.

    a, b: the arms' `Estimate.replicates`, each [n_boot], in the same order of seeds, from the same patients and bootstrap seed;
    then replicate k of every one is the same set of patients and their common luck cancels. No common seed: NaN.
    """
    if len(a) != len(b) or len({len(replicates) for replicates in [*a, *b]}) > 1:
        raise DataError(
            f"replicates do not pair: {[len(r) for r in a]} against {[len(r) for r in b]}; equal seeds and n_boot are needed"
        )
    if not a:
        return float("nan"), float("nan")
    return percentile_interval(np.mean([x - y for x, y in zip(a, b, strict=True)], axis=0))
