"""Early stopping by a metric on the validation patients, epoch by epoch: successive halving (ASHA), Hyperband, the median, and collapse.

The rules are Optuna's pruners, run on a study in memory that mirrors the configurations: the study in the database may have several
objectives, for which Optuna takes no intermediate values. The loss is no metric to stop by: it changes its meaning with the temperature,
the number of negatives and the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from clef_ray.evaluate.collapse import collapse
from clef_ray.search import Stopping

#: Whole configurations that the median needs before it stops one.
_MEDIAN_OF = 4

#: Epochs running in which the embedding must look collapsed.
_COLLAPSED = 2


@dataclass
class _Seen:
    """What was seen of a configuration. flat: epochs running that looked collapsed."""

    trial: optuna.Trial
    epoch: int = 0
    flat: int = 0
    last: float | None = None


class Stopper:
    """Judges configurations by number. epochs: what a whole run has, by which Hyperband makes its brackets."""

    def __init__(self, stopping: Stopping, epochs: int) -> None:
        self._rule = stopping
        # Hyperband draws a bracket from the mirror's name and the number of its trial, which is the configuration's (`_of`): so it is the
        # same in every process, in whatever order configurations come
        self._mirror = optuna.create_study(
            study_name="mirror",
            direction=stopping.direction,
            pruner=_pruner(stopping, epochs),
            sampler=RandomSampler(seed=0),
        )
        self._seen: list[_Seen] = []

    def judge(self, number: int, epoch: int, metrics: Mapping[str, float], of: int) -> str | None:
        """The reason why this configuration should stop after this epoch (from 1); None to go on, or where it was judged before.

        of: how many epochs its run has. After the last one it is whole: the others are compared with it, and nothing is saved by stopping.
        """
        reason = self._see(number, epoch, metrics)
        return reason if epoch < of else None

    def _of(self, number: int) -> _Seen:
        while len(self._seen) <= number:
            self._seen.append(_Seen(self._mirror.ask()))
        return self._seen[number]

    def _see(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """Take note of an epoch; what the rules say of it."""
        seen = self._of(number)
        if epoch <= seen.epoch:
            return None
        seen.epoch = epoch
        value = metrics.get(self._rule.metric, math.nan)
        if math.isfinite(value):
            seen.last = value
            seen.trial.report(value, epoch)
        flat = collapse(metrics, self._rule.collapse) if self._rule.collapse else None
        seen.flat = seen.flat + 1 if flat else 0
        if epoch > self._rule.grace and seen.flat >= _COLLAPSED:
            return f"collapsed: {flat} in epoch {epoch}"
        if not math.isfinite(value) or not seen.trial.should_prune():
            return None
        return f"{self._rule.rule}: {self._rule.metric} {value:.3f} in epoch {epoch}"

    def recall(self, number: int, history: Sequence[Mapping[str, float]]) -> None:
        """Epochs that need no judgement: those of an earlier process, and of a run that was finished already."""
        for epoch in history:
            self._see(number, int(epoch["epoch"]), epoch)

    def end(self, number: int, *, whole: bool) -> None:
        """The configuration's first run has ended; whole: it was neither stopped nor broken off."""
        seen = self._of(number)
        if seen.last is not None:
            self._mirror.tell(
                seen.trial, seen.last if whole else None, TrialState.COMPLETE if whole else TrialState.PRUNED
            )


def _pruner(stopping: Stopping, epochs: int) -> BasePruner:
    if stopping.rule == "asha":
        return SuccessiveHalvingPruner(min_resource=stopping.grace, reduction_factor=stopping.reduction)
    if stopping.rule == "hyperband":
        return HyperbandPruner(stopping.grace, epochs, stopping.reduction)
    if stopping.rule == "median":
        return MedianPruner(n_startup_trials=_MEDIAN_OF, n_warmup_steps=stopping.grace)
    return NopPruner()
