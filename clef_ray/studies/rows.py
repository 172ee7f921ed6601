"""What is read from a trial of Optuna's: the configuration that it is of, the params it is to have, its curve."""

from collections.abc import Sequence
from typing import Any, get_args

from optuna.trial import FrozenTrial

from clef_ray.search import Configuration, State


def configuration(trial: FrozenTrial, metrics: Sequence[str]) -> Configuration:
    """A trial as its configuration. metrics: the study's objectives in order. A stopped one has no values: Optuna shows its last epoch's as one."""
    state = next(s for s in get_args(State) if s == trial.state.name)
    attrs = trial.user_attrs
    return Configuration(
        trial.number,
        state,
        fixed(trial),
        dict(zip(metrics, trial.values, strict=True)) if state == "COMPLETE" else {},
        {m: e for m, e in attrs.get("standard_error", {}).items() if m in metrics},
        attrs.get("reason"),
        state == "COMPLETE" and all(excess <= 0 for excess in trial.constraints.values()),
    )


#: Where a study of several objectives keeps what was seen by epoch.
CURVE = "curve"


def curve(trial: FrozenTrial) -> dict[int, float]:
    """The stopping metric by epoch, as far as the study has it."""
    kept = {int(step): float(value) for step, value in trial.user_attrs.get(CURVE, {}).items()}
    kept.update(trial.intermediate_values)
    return kept


def fixed(trial: FrozenTrial) -> dict[str, Any]:
    """The params of a trial; of an enqueued one those it is to have, of which a process that was killed may have set but a few."""
    return dict(trial.system_attrs.get("fixed_params") or trial.params)
