"""What a user's `--set` means to one arm: applied after the arm's own settings, and only where it means something."""

from collections.abc import Iterable, Mapping
from typing import Any

from clef_ray.config import Run, in_order, override, spec
from clef_ray.datasets import LEADS
from clef_ray.errors import ConfigError
from clef_ray.registry import LOSSES, METHODS, SCORES, unknown


def apply(run: Run, own: Mapping[str, Any], user: Mapping[str, Any], taken: set[str]) -> Run:
    """The run with its own settings and the user's, `loss.*` and `score.*` where they mean something. taken: grows by what was applied."""
    for key, value in in_order({k: own[k] for k in own if k not in user} | dict(user)):
        if meant := _meant(run, key, value) if key in user else {key: value}:
            run = override(run, meant)
            taken.add(key)
    return run


def _meant(run: Run, key: str, value: Any) -> dict[str, Any]:
    """What a user's setting is for this run: nothing where its loss or score has no such option (alpha to NT-Xent, a region to age).

    A permuted score passes its base's options on: otherwise the control of an arm would not follow the arm's score.
    """
    head, _, option = key.partition(".")
    if head not in ("loss", "score") or not option:
        return {key: value}
    part = run.used_loss if head == "loss" else run.score if run.uses_risk else None
    if part is None:
        return {}
    if (LOSSES if head == "loss" else SCORES).accepts(part.name, option):
        return {key: value}
    base = str(dict(part.options)["base"]) if part.name == "permuted" else ""
    taken = base and SCORES.accepts(base.partition(":")[0], option)
    return {"score.base": _with_option(base, option, value)} if taken else {}


def _with_option(base: str, option: str, value: Any) -> str:
    """`NAME:key=value,...` with this option: as it was where that changes nothing, since the text is part of the run's identity."""
    name, _, text = base.partition(":")
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    before = {key.strip(): other.strip() for key, _, other in pairs}
    chosen = spec(SCORES, name, {**before, option: value}, "score")
    if chosen == spec(SCORES, name, before, "score"):
        return base
    default = dict(spec(SCORES, name).options)
    changed = ",".join(f"{key}={one}" for key, one in chosen.options if one != default[key])
    return f"{name}:{changed}" if changed else name


def options_of(runs: Iterable[Run]) -> set[str]:
    """The settings of the runs' losses and scores, which not every run has."""
    parts = {
        (head, part)
        for run in map(Run.canonical, runs)
        for head, part in (("loss", run.loss), ("score", run.score))
    }
    return {f"{head}.{option}" for head, part in parts if part for option, _ in part.options}


def check_parts(run: Run) -> None:
    """Build what is cheap to build: a value outside a component's range is told (ConfigError) before anything starts."""
    run.method.build(METHODS)
    if run.views.lead not in ("random", *LEADS):
        raise unknown("lead", run.views.lead, ("random", *LEADS), "views.lead")
    if run.loss is not None:
        run.loss.build(LOSSES)
    if run.score is not None:
        run.score.build(SCORES)
    if (leads := dict(run.encoder.options).get("in_leads", 1)) != 1:
        raise ConfigError(f"encoder.in_leads: {leads} given; a view shows one lead, so it must be 1")


def check_negatives(run: Run, who: str) -> None:
    """ConfigError where a loss wants more negatives per anchor than the batch and the queue hold. run: canonical."""
    options = dict(run.loss.options) if run.loss else {}
    wanted, queue = options.get("negatives"), options.get("queue", 0)
    most = 2 * run.optimiser.batch - 2 + queue
    if wanted is not None and wanted > most:
        held = f"at most {most} (2B-2" + (f" + {queue} queued)" if queue else ")")
        raise ConfigError(
            f"{who}: {wanted} negatives per anchor, but a batch of {run.optimiser.batch} holds {held}; "
            "raise optimiser.batch or loss.queue, or choose fewer"
        )
