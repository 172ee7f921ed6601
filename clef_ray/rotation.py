"""Every fold once as the test: ten plans in place of one, and the mean over them.

A test fold that has been looked at while a recipe was found is no test any more; and one fold of a small data set is few patients. In a
rotation each fold is judged once by encoders that never saw it, with the one before it for validation and the others for training
(`evaluate.inputs.ROTATION`); what is told of an arm is the mean over the folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.inputs import ROTATION, SPLITS
from clef_ray.evaluate.result import TaskResult
from clef_ray.trial import load_outcome


def at(plan: Plan, fold: int) -> Plan:
    """The plan of one fold: the same trials, pretrained on what its split trains on, and judged by that."""
    split = ROTATION[fold]
    trials = tuple(_at(trial, fold) for trial in plan.trials)
    return replace(plan, trials=trials, split=split, rotation=())


def _at(trial: Trial, fold: int) -> Trial:
    return replace(trial, run=replace(trial.run, train_folds=SPLITS[ROTATION[fold]].train))


def averaged(plan: Plan, by_fold: Mapping[int, Sequence[Outcome]]) -> list[Outcome]:
    """One outcome per trial of the plan, of those of each fold's plan; a trial that a fold has no outcome of is left out."""
    named = {f: {(o.trial.arm.name, o.trial.seed): o for o in outcomes} for f, outcomes in by_fold.items()}
    found = []
    for trial in plan.trials:
        key = trial.arm.name, trial.seed
        if all(key in named[fold] for fold in plan.rotation):
            found.append(_mean(trial, {fold: named[fold][key] for fold in plan.rotation}))
    return found


def load(plan: Plan, trial: Trial, storage: str) -> Outcome | None:
    """The mean over the folds, from the store; None where a run or a result is missing."""
    parts = {}
    for fold in plan.rotation:
        judging = replace(plan.judging, split=ROTATION[fold])
        outcome = load_outcome(_at(trial, fold), judging, storage)
        if outcome is None:
            return None
        parts[fold] = outcome
    return _mean(trial, parts)


def _mean(trial: Trial, parts: Mapping[int, Outcome]) -> Outcome:
    """Metrics, seconds and costs as means over the folds; FAILED where one failed. Of the histories none stands for all."""
    for fold, outcome in parts.items():
        if outcome.state != "COMPLETE":
            return replace(outcome, trial=trial, reason=f"fold {fold}: {outcome.reason}")
    outcomes = list(parts.values())
    keys = [key for key in outcomes[0].results if all(key in o.results for o in outcomes)]
    return Outcome(
        trial,
        "COMPLETE",
        {key: _result({fold: o.results[key] for fold, o in parts.items()}) for key in keys},
        seconds=_numbers([o.seconds for o in outcomes]),
        cost=_numbers([o.cost for o in outcomes]),
    )


def _result(parts: Mapping[int, TaskResult]) -> TaskResult:
    """A task's metrics that every fold has. Skipped where one fold skipped it."""
    results = list(parts.values())
    for fold, result in parts.items():
        if result.skipped:
            return replace(
                result, skipped=f"fold {fold}: {result.skipped}", estimates={}, extras={}, curves={}
            )
    names = [name for name in results[0].estimates if all(name in r.estimates for r in results)]
    return TaskResult(
        {name: _estimate({fold: r.estimates[name] for fold, r in parts.items()}) for name in names},
        _extras([r.extras for r in results]),
        notes=tuple(dict.fromkeys(note for r in results for note in r.notes)),
    )


def _estimate(parts: Mapping[int, Estimate]) -> Estimate:
    """The mean over the folds, whose patients are different ones and so are resampled independently.

    Each fold's resamples were drawn by the same generator: they are put into an order of the fold's own, the same for every encoder, so that
    differences between encoders stay paired by patient.
    """
    replicates = [
        part.replicates[np.random.default_rng([fold, 11]).permutation(len(part.replicates))]
        for fold, part in parts.items()
    ]
    values = [part.value for part in parts.values()]
    return Estimate.of(np.append(np.mean(values), np.mean(replicates, axis=0)))


def _extras(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number, but of those that count who was judged the sum: no patient is in two folds."""
    found = _numbers(parts)
    counts = [name for name in found if not {"n_test", "n_patients"}.isdisjoint(name.split("/"))]
    return found | {name: sum(p[name] for p in parts) for name in counts}


def _numbers(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number that all have."""
    return {
        name: float(np.mean([p[name] for p in parts])) for name in parts[0] if all(name in p for p in parts)
    }
