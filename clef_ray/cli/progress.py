"""What a person sees while a sweep runs: bars in a terminal, one line per finished trial everywhere."""

from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.tracking import Tracker


def _name(trial: Trial) -> str:
    return f"{trial.arm.name} seed {trial.seed}"


class Display:
    """A Watcher (cluster/sweep.py) that shows progress."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.console = console
        self.metrics = plan.ablation.headline
        self.name_width = max(len(_name(t)) for t in plan.trials)
        self.total = len(plan.unique())
        self.epochs = sum(t.run.epochs for t in plan.unique())
        self.done = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self.progress.start()
        self.bar = self.progress.add_task("epochs of all trials", total=self.epochs)
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def start(self, trial: Trial) -> None: ...

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        self.progress.update(
            self.bar, advance=1, description=f"{_name(trial)} loss {metrics.get('loss', float('nan')):.3f}"
        )

    def end(self, outcome: Outcome) -> None:
        self.done += 1
        found = outcome.metrics
        shown = "  ".join(f"{m} {found[m]:.3f}" for m in self.metrics if m in found)
        wall = f"{outcome.seconds['wall']:.1f} s" if "wall" in outcome.seconds else ""
        text = shown if outcome.state == "COMPLETE" else f"[red]FAILED[/] {escape(outcome.reason or '')}"
        self.console.print(
            f"[dim]{self.done:>3}/{self.total}[/] {_name(outcome.trial):<{self.name_width}} {wall:>8}  {text}",
            highlight=False,
            soft_wrap=True,
        )


class Recorder:
    """A Watcher that passes everything on to the tracker: the sweep's process is the only writer."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def start(self, trial: Trial) -> None:
        self.tracker.open_trial(trial)

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        self.tracker.log_epochs(trial, [metrics])

    def end(self, outcome: Outcome) -> None:
        self.tracker.close_trial(outcome)
