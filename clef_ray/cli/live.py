"""The panel that a terminal shows while a sweep runs, drawn anew for whatever size the terminal has at that moment."""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clef_ray.cli.standing import Best, Running, Standing, duration, name
from clef_ray.report.wording import half, number

#: A wider panel is harder to read, not richer.
WIDEST = 100

#: The columns of the running trials with their widths, and which of them go first where the panel is too narrow for all.
_COLUMNS = {"seed": 4, "bar": 12, "epoch": 6, "loss": 6, "valid/rsa": 9, "records/s": 9}
_DISPENSABLE = ("bar", "records/s", "valid/rsa", "loss")
_ARM = 12

_STATES = (
    ("COMPLETE", "complete", "green"),
    ("PRUNED", "pruned", "yellow"),
    ("FAILED", "failed", "bold red"),
)


class View:
    """A sweep at one moment. Keeps nothing of `standing`, which may change while this is drawn.

    elapsed: seconds since the sweep's start; hints: lines that stay at the bottom.
    """

    def __init__(self, standing: Standing, now: float, elapsed: float, hints: Sequence[str]) -> None:
        self.title = _title(standing, now, elapsed)
        self.bar = standing.ended, standing.total
        self.counts = _counts(standing)
        self.use = _use(standing, now)
        self.running = list(standing.running.values())
        self.best = standing.best
        self.failures = [
            Text.assemble(("failed ", "red"), f"{name(o.trial)}: {o.reason}")
            for o in reversed(standing.failures)
        ]
        self.hints = [Text(hint, style="dim") for hint in hints]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        body = Table.grid(expand=True)
        body.add_column(no_wrap=True, overflow="ellipsis")
        # The frame takes two lines; one line above the panel stays visible.
        for part in self._parts(width, options.max_height - 3):
            body.add_row(part)
        yield Panel(body, title=self.title, title_align="left", width=width, box=box.ROUNDED, style="none")

    def _parts(self, width: int, height: int) -> list[RenderableType]:
        """Lines from top to bottom, at most `height`: where room is short, hints go first, then failures, then the best arm."""
        done, total = self.bar
        bar = Table.grid(expand=True, padding=(0, 1, 0, 0))
        bar.add_column(ratio=1)
        bar.add_row(_bar(done, total), f"{done}/{total}")
        spare = height - 3  # lines below the bar, the counts and the slots
        needed = min(4, 2 + len(self.running)) if self.running else 0  # a blank line, the heading, two trials
        best = [] if self.best is None else [_best(self.best, width - 4)]
        foot = [*best, *self.failures, *self.hints][: max(0, spare - needed - 1)]
        rows = spare - (len(foot) + 1 if foot else 0) - 2
        parts: list[RenderableType] = [bar, self.counts, self.use]
        if self.running and rows > 0:
            parts += ["", _table(self.running, width, rows)]
        return [*parts, "", *foot] if foot else parts[: max(1, height)]


def _title(standing: Standing, now: float, elapsed: float) -> Text:
    left = standing.left(now)
    minutes, seconds = divmod(int(elapsed), 60)
    clock = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    parts = [clock, *([] if left is None else [f"about {duration(left)} left"])]
    return Text.assemble((standing.title, "bold"), *(f" · {part}" for part in parts))


def _counts(standing: Standing) -> Text:
    found = [(standing.states[state], word, style) for state, word, style in _STATES]
    found[1:1] = [(len(standing.running), "running", "cyan"), (standing.waiting, "waiting", "")]
    return Text("  ").join(Text(f"{n} {word}", style=style if n else "dim") for n, word, style in found)


def _use(standing: Standing, now: float) -> Text:
    used = len(standing.running)
    kind, hours = standing.hours(now)
    free = max(0, standing.slots - used)
    return Text(f"slots: {used} used, {free} free  ·  {hours:.2f} {kind}-hours so far")


def _best(best: Best, width: int) -> Text:
    """As many metrics as fit: mean over seeds with half of its t interval, as the report has them."""
    lead = next(iter(best.cells.values()))
    seeds = f" ({len(lead.values)} seed{'s' if len(lead.values) > 1 else ''})"
    text = Text.assemble(("best   ", "green"), (best.arm.name, "bold"), (seeds, "dim"))
    for metric, cell in best.cells.items():
        part = f"  {metric} {number(cell.mean)} {half(cell.seeds)}".rstrip()
        if cell is not lead and text.cell_len + len(part) > width:
            break
        text.append(part)
    return text


def _table(running: Sequence[Running], width: int, rows: int) -> Table:
    """The running trials, in at most `rows` lines below the heading; the oldest first."""
    shown = running if len(running) <= rows else running[: rows - 1]
    chosen = dict(_COLUMNS)
    if not any("valid/rsa" in r.metrics for r in running):
        del chosen["valid/rsa"]
    for heading in _DISPENSABLE:
        if sum(columns + 2 for columns in chosen.values()) > width - 4 - _ARM:
            chosen.pop(heading, None)
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("running", ratio=1, min_width=_ARM, no_wrap=True, overflow="ellipsis")
    for heading in chosen:
        table.add_column("" if heading == "bar" else heading, justify="right", no_wrap=True)
    for r in shown:
        cells = _row(r)
        table.add_row(Text(r.trial.arm.name), *(cells[heading] for heading in chosen))
    if len(shown) < len(running):
        table.add_row(Text(f"and {len(running) - len(shown)} more", style="dim"))
    return table


def _row(running: Running) -> dict[str, RenderableType]:
    """Heading -> cell."""
    metrics, epochs = running.metrics, running.trial.run.epochs
    done = int(metrics.get("epoch", 0))
    return {
        "seed": str(running.trial.seed),
        "bar": _bar(done, epochs, _COLUMNS["bar"]),
        "epoch": "judged" if done == epochs else f"{done}/{epochs}",
        "loss": _value(metrics.get("loss"), ".3f"),
        "valid/rsa": _value(metrics.get("valid/rsa"), ".3f"),
        "records/s": _value(metrics.get("records_per_second"), ",.0f"),
    }


def _bar(done: int, total: int, width: int | None = None) -> ProgressBar:
    """Full where there is nothing to do. Rich's own red looks like a failure."""
    completed = done if total else 1
    return ProgressBar(max(total, 1), completed, width, complete_style="cyan", finished_style="green")


def _value(value: float | None, form: str) -> str:
    """Nothing where there is none yet; a metric that cannot be computed is NaN."""
    return "" if value is None else "nan" if math.isnan(value) else format(value, form).replace("-", "−")
