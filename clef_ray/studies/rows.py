"""What leaves a study: rows without a type of Optuna's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from optuna.trial import FrozenTrial

State = Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]


@dataclass(frozen=True)
class Row:
    """One configuration. params: those that are on; values: objective -> mean over the seeds that finished, empty unless COMPLETE.

    standard_errors: of those means, where there are several seeds; reason: why it failed or was stopped; feasible: whether it is COMPLETE and
    keeps the limits; attrs: what is kept with it (fingerprints, seeds, values by seed, facts).
    """

    number: int
    state: State
    params: Mapping[str, Any]
    values: Mapping[str, float] = field(default_factory=dict)
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    feasible: bool = False
    attrs: Mapping[str, Any] = field(default_factory=dict)


def row(trial: FrozenTrial, metrics: Sequence[str]) -> Row:
    """A trial as a row. metrics: the study's objectives in order. A stopped one has no values: Optuna shows its last epoch's as one."""
    state = next(s for s in get_args(State) if s == trial.state.name)
    attrs = dict(trial.user_attrs)
    return Row(
        trial.number,
        state,
        fixed(trial),
        dict(zip(metrics, trial.values, strict=True)) if state == "COMPLETE" else {},
        {m: e for m, e in attrs.get("standard_error", {}).items() if m in metrics},
        attrs.get("reason"),
        state == "COMPLETE" and all(excess <= 0 for excess in trial.constraints.values()),
        attrs,
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
