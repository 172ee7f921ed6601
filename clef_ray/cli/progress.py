"""What a person sees while a sweep runs: a line per finished trial, and a panel below them in a terminal or a sign of life a minute elsewhere."""

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from threading import Event, Lock, Thread
from time import monotonic
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.cli.live import View
from clef_ray.cli.standing import Leading, Standing, duration, name
from clef_ray.evaluate.collapse import collapse
from clef_ray.tracking import Tracker

#: Seconds between two drawings of the panel: its clock counts seconds.
TICK = 0.5

#: Seconds of silence after which a log is told that the sweep goes on.
SILENCE = 60.0

#: Lines above the panel that are written again after the terminal's size has changed.
KEPT = 10

_COLOURS = {"COMPLETE": "green", "PRUNED": "yellow", "FAILED": "red"}


class Display:
    """A Watcher (cluster/agenda.py) that shows how the sweep stands, and warns once of a run whose embedding looks collapsed.

    total: how many runs there are in all, those of the plan where None (a sweep, which grows, says so; see also `total`). slots: how many
    run at once. resources: what one run holds, e.g. {"CPU": 2, "GPU": 0.5}; one CPU where None. leading: the metric of results that
    ranks the arms and its better end, the first headline metric's upper one where None. hints: lines that stay at the panel's bottom.
    """

    def __init__(
        self,
        plan: Plan,
        console: Console,
        *,
        total: int | None = None,
        slots: int = 1,
        resources: Mapping[str, float] | None = None,
        leading: Leading | None = None,
        hints: Sequence[str] = (),
    ) -> None:
        runs = len(plan.unique()) if total is None else total
        self.headline = plan.ablation.headline
        ranked = leading or Leading(self.headline[0], "maximize")
        self.standing = Standing(plan, runs, slots, resources or {"CPU": 1.0}, ranked)
        self.console, self.hints = console, hints
        self.width = max((len(name(t)) for t in plan.trials), default=0)
        self.began = self._told = monotonic()
        # The ticker's thread reads what the sweep's thread writes, and either may draw.
        self._lock, self._drawing, self._over = Lock(), Lock(), Event()
        self._ticker = Thread(target=self._tick, daemon=True)
        self._live: Live | None = None
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._collapsed: set[str] = set()

    def __enter__(self) -> Self:
        # Some CI offers a pseudo-terminal whose log nobody could read.
        if self.console.is_interactive and not os.environ.get("CI"):
            self._live = self._open()
        self._ticker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._ticker.join()
        if self._live is not None:
            self._redraw()
            self._live.stop()
            self._live = None
        if self.standing.ended:
            self._print(f"{self._summary()} in {duration(monotonic() - self.began)}")

    def start(self, trial: Trial) -> None:
        with self._lock:
            self.standing.start(trial, monotonic())

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        with self._lock:
            self.standing.epoch(trial, metrics)
        who, why = name(trial), collapse(metrics)
        if why and who not in self._collapsed:
            self._collapsed.add(who)
            self._print(f"[yellow]{escape(who)} looks collapsed in epoch {metrics['epoch']:.0f}:[/] {why}")

    def end(self, outcome: Outcome) -> None:
        with self._lock:
            self.standing.end(outcome, monotonic())
            place = f"[dim]{self.standing.ended:>3}/{self.standing.total}[/]"
        who, found = escape(name(outcome.trial)), outcome.metrics
        self.width = max(self.width, len(who))  # a sweep's names are not known beforehand
        shown = "  ".join(f"{m} {found[m]:.3f}" for m in self.headline if m in found)
        state = f"[{_COLOURS[outcome.state]}]{outcome.state:<8}[/]"
        wall = f"{outcome.seconds['wall']:.1f} s" if "wall" in outcome.seconds else ""
        told = escape(shown if outcome.state == "COMPLETE" else outcome.reason or "")
        self._print(f"{place} {state} {who:<{self.width}} {wall:>8}  {told}")

    def total(self, runs: int) -> None:
        """There are so many runs in all now: those of a configuration that was stopped are not started."""
        with self._lock:
            self.standing.total = runs

    def recall(self, outcomes: Iterable[Outcome]) -> None:
        """Runs that were finished before this start: they count among all runs and for the best, but neither as time nor as cost."""
        with self._lock:
            for outcome in outcomes:
                self.standing.count(outcome)

    def tell(self, text: str) -> None:
        """One line that stays above the panel, such as that the tracking server does not answer."""
        self._print(escape(text))

    def beat(self) -> None:
        """Draw the panel anew; without one say that the sweep goes on, where nothing has been said for a minute."""
        if self._live is not None:
            self._redraw()
        elif monotonic() - self._told >= SILENCE:
            with self._lock:
                left = self.standing.left(monotonic())
                rest = "" if left is None else f", about {duration(left)} left"
                text = f"{self._summary()}, {len(self.standing.running)} running{rest}"
            self._print(text)

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self.beat()

    def _open(self) -> Live:
        live = Live(self._view(), console=self.console, auto_refresh=False, transient=True)
        live.start(refresh=True)
        self._size = self.console.size
        return live

    def _redraw(self) -> None:
        with self._drawing:
            if self._live is None:
                return
            if self.console.size != self._size:
                # The terminal has broken or moved the panel's lines, and only it knows how: a clean screen is the one safe start.
                self._live.stop()
                self.console.clear()
                for line in tuple(self._lines):
                    self._write(line)
                self._live = self._open()
            self._live.update(self._view(), refresh=True)

    def _view(self) -> View:
        now = monotonic()
        with self._lock:
            return View(self.standing, now, now - self.began, self.hints)

    def _print(self, markup: str) -> None:
        self._redraw()
        self._told = monotonic()
        self._lines.append(markup)
        self._write(markup)

    def _write(self, markup: str) -> None:
        self.console.print(markup, highlight=False, soft_wrap=True)

    def _summary(self) -> str:
        states, total = self.standing.states, self.standing.total
        rest = [(states["PRUNED"], "stopped early"), (states["FAILED"], "failed")]
        return ", ".join([f"{self.standing.ended}/{total} done", *(f"{n} {word}" for n, word in rest if n)])


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
