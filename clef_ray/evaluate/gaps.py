"""Metrics that are one metric minus another of the same encoder, as an ablation's `gaps` declare them."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.result import TaskResult
from clef_ray.registry import unknown

#: The key of the results of all gaps.
KEY = "gaps"


def with_gaps(
    gaps: Mapping[str, tuple[str, str]], results: Mapping[str, TaskResult]
) -> dict[str, TaskResult]:
    """An encoder's results and, under KEY, its gaps: name -> (a metric, the one to take from it). One of whose metrics there is none, or one
    without resamples, is left out and said in the notes. Extras: of each gap, on the first place of `counts`, the patients of the metric
    that has fewer.
    """
    if not gaps:
        return dict(results)
    held = {name: e for result in results.values() for name, e in result.estimates.items()}
    extras = {name: value for result in results.values() for name, value in result.extras.items()}
    found, many, notes = {}, {}, []
    for name, pair in gaps.items():
        if lacking := [metric for metric in pair if metric not in held]:
            bare = [metric for metric in lacking if metric in extras]
            why = f"{bare[0]} has no resamples" if bare else f"there is no {' and no '.join(lacking)}"
            notes.append(f"{name}: {why}")
            continue
        found[name] = minus(held[pair[0]], held[pair[1]])
        patients = [next((extras[n] for n in counts(m, "n_patients") if n in extras), None) for m in pair]
        if least := [n for n in patients if n is not None]:
            many[next(counts(name, "n_patients"))] = min(least)
    return {**results, KEY: TaskResult(found, many, notes=tuple(notes))}


def check_gaps(gaps: Mapping[str, tuple[str, str]], prefixes: Collection[str], where: str) -> None:
    """ConfigError where a gap names a metric that none of the tasks can have on any of the corpora. prefixes: of the metrics they have."""
    for gap, pair in gaps.items():
        for metric in pair:
            if not any(metric.startswith(f"{prefix}/") for prefix in prefixes):
                raise unknown("task", metric.rpartition("/")[0], prefixes, f"{where}, gap {gap}")


def counts(metric: str, of: str) -> Iterator[str]:
    """The names of the extras that may say a metric's number (`n_patients`, `n_test`), the nearest first: of this metric alone, beside it, or
    beside what it is a part of. For `far/probe/auroc`: `far/probe/n_test/auroc`, `far/probe/n_test`, `far/n_test`.
    """
    *parts, last = metric.split("/")
    if parts:
        yield "/".join([*parts, of, last])
    for depth in range(len(parts), 0, -1):
        yield "/".join([*parts[:depth], of])


def minus(one: Estimate, other: Estimate) -> Estimate:
    """The difference of two metrics judged on different patients, with its 95 % interval: each is resampled by itself.

    The other's resamples are put in another order first (always the same one), since equal numbers of patients are drawn at the same places:
    taken as they are, strangers would share their luck. Where both are judged on some of the same patients, and go up and down together,
    the interval is too wide rather than too narrow.
    """
    order = np.random.default_rng(0).permutation(len(other.replicates))
    replicates = one.replicates - other.replicates[order]
    return Estimate.of(np.concatenate([[one.value - other.value], replicates]))
