"""Metrics that are one metric minus another of the same encoder, as an ablation's `gaps` declare them."""

from collections.abc import Mapping

import numpy as np

from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.result import TaskResult

#: The key of the results of all gaps.
KEY = "gaps"


def with_gaps(
    gaps: Mapping[str, tuple[str, str]], results: Mapping[str, TaskResult]
) -> dict[str, TaskResult]:
    """An encoder's results and, under KEY, its gaps: name -> (a metric, the one to take from it). One of whose metrics there is none is
    left out and said in the notes.
    """
    if not gaps:
        return dict(results)
    held = {name: e for result in results.values() for name, e in result.estimates.items()}
    found, notes = {}, []
    for name, pair in gaps.items():
        if lacking := [metric for metric in pair if metric not in held]:
            notes.append(f"{name}: there is no {' and no '.join(lacking)}")
        else:
            found[name] = minus(held[pair[0]], held[pair[1]])
    return {**results, KEY: TaskResult(found, notes=tuple(notes))}


def minus(one: Estimate, other: Estimate) -> Estimate:
    """The difference of two metrics judged on different patients, with its 95 % interval: each is resampled by itself.

    The other's resamples are put in another order first (always the same one), since equal numbers of patients are drawn at the same places:
    taken as they are, strangers would share their luck. Where both are judged on some of the same patients, and go up and down together,
    the interval is too wide rather than too narrow.
    """
    order = np.random.default_rng(0).permutation(len(other.replicates))
    replicates = one.replicates - other.replicates[order]
    return Estimate.of(np.concatenate([[one.value - other.value], replicates]))
