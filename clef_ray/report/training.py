"""The figure of training: the loss over epochs."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from clef_ray.ablation import Outcome
from clef_ray.report._style import COLOURS, DASHES, GREY, Drawing, panels, tidy
from clef_ray.report.wording import counted, least_to_most

#: Arms of a family that are told apart, by colour and dash; more than these are drawn alike.
_MOST_ARMS = 24


def training_curves(outcomes: Sequence[Outcome]) -> Drawing | None:
    """Loss per epoch, one panel per family: the mean over seeds, and each seed as a thin line. None where nothing was trained.

    A family of more than 24 arms (the configurations of a sweep) has thin lines only: grey, and vermilion where a run was stopped early.
    """
    trained = [o for o in outcomes if any("loss" in epoch for epoch in o.history)]
    if not trained:
        return None
    families: dict[str, list[Outcome]] = {}
    for outcome in trained:
        families.setdefault(outcome.trial.arm.family, []).append(outcome)
    arms = [len({o.trial.arm.name for o in own}) for own in families.values()]
    heights = [max(2.7, 0.4 + 0.2 * count) if count <= _MOST_ARMS else 3.4 for count in arms]  # inches
    figure, column = panels(len(families), 1, 0.4 + sum(heights), sharex=True, height_ratios=heights)
    for (axes,), (family, own) in zip(column, families.items(), strict=True):
        tidy(axes)
        draw = _losses if len({o.trial.arm.name for o in own}) <= _MOST_ARMS else _crowd
        draw(axes, own)
        axes.set_title(family or "controls", loc="left", fontsize=10)
        axes.set_ylabel("training loss")
    column[-1][0].set_xlabel("epoch")
    column[-1][0].xaxis.set_major_locator(MaxNLocator(integer=True))
    return Drawing("training loss over epochs", _alt(families), figure, _caption(trained, arms))


def _caption(trained: Sequence[Outcome], arms: Sequence[int]) -> str:
    """How many runs; what the lines are. arms: how many each panel has."""
    seeds: dict[str, int] = Counter(o.trial.arm.name for o in trained)
    crowded = "" if max(arms) <= _MOST_ARMS else f" (of more than {_MOST_ARMS} arms thin lines only)"
    several = f"Thick: mean over {least_to_most(seeds.values())} seeds; thin: each run{crowded}"
    what = several if max(seeds.values()) > 1 or crowded else "One seed: each line is a run"
    return f"{what}; no intervals. n = {counted(len(trained), 'run')}."


def _points(outcome: Outcome) -> dict[int, float]:
    """Epoch -> loss."""
    return {int(e["epoch"]): e["loss"] for e in outcome.history if "loss" in e}


def _losses(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    arms: dict[str, list[dict[int, float]]] = {}
    for outcome in outcomes:
        arms.setdefault(outcome.trial.arm.name, []).append(_points(outcome))
    for index, (arm, seeds) in enumerate(arms.items()):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
        epochs = sorted(set[int]().union(*seeds))
        mean = [fmean(s[epoch] for s in seeds if epoch in s) for epoch in epochs]
        axes.plot(epochs, mean, color=colour, linewidth=1.8, linestyle=dash, label=arm)
        for seed in seeds:
            axes.plot(list(seed), list(seed.values()), color=colour, linewidth=0.5, alpha=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def _crowd(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    for pruned, colour, label in ((False, GREY, "whole"), (True, COLOURS[1], "stopped early")):
        lines = [list(_points(o).items()) for o in outcomes if (o.state == "PRUNED") is pruned]
        if lines:
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.6, alpha=0.5, label=label))
    axes.autoscale()
    axes.legend(loc="upper right", frameon=False, fontsize=9)


def _alt(families: dict[str, list[Outcome]]) -> str:
    parts = []
    for family, own in families.items():
        runs = [_points(o) for o in own]
        first, last = (fmean(run[pick(run)] for run in runs) for pick in (min, max))
        parts.append(
            f"{family or 'controls'}: from {first:.3f} after the first epoch to {last:.3f} after the last"
        )
    over = counted(sum(map(len, families.values())), "run")
    return f"Training loss, mean over {over}. {'; '.join(parts)}."
