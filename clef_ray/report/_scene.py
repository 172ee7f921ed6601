"""What the pictures of the tasks are made from: which arms they show, how each of them looks, and what stands below a picture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clef_ray.ablation import Outcome, Plan
from clef_ray.evaluate.result import Curve
from clef_ray.report._style import COLOURS, DASHES, GREY, MARKERS
from clef_ray.report.comparison import Comparison
from clef_ray.report.rows import Cell, Row, counted_on
from clef_ray.report.wording import least_to_most, number

#: More arms than this are not told apart in one picture.
MOST_ARMS = 6

#: The bands of more arms would cover one another: bars in their place.
_MOST_BANDS = 3

_TEST = "the test patients"


@dataclass(frozen=True)
class Look:
    """How one arm is drawn, in every picture alike; controls are grey with open markers."""

    arm: str
    colour: str
    marker: str
    dash: str | tuple[float, tuple[float, ...]]
    face: str

    @property
    def points(self) -> dict[str, Any]:
        """Options of `Axes.plot` for its points."""
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": self.face}


@dataclass(frozen=True)
class Scene:
    """A comparison with what its cells do not hold: the curves, the names of the further corpora, whom the encoders were judged on."""

    comparison: Comparison
    outcomes: Sequence[Outcome]
    targets: tuple[str, ...]
    judged: str
    looks: tuple[Look, ...]

    @classmethod
    def of(cls, plan: Plan, outcomes: Sequence[Outcome], comparison: Comparison) -> "Scene":
        """Of a plan and what came of it."""
        targets = tuple(name for name, _ in plan.targets)
        judged = "the patients for choosing" if plan.split == "selection" else _TEST
        return cls(comparison, outcomes, targets, judged, looks(comparison))

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics that any arm has, in the pictures' order."""
        return sorted({name for row in self.comparison.rows for name in row.cells}, key=self._order)

    def _order(self, name: str) -> tuple[bool, bool, bool, str]:
        """What the headline asks, of the corpus it asks it of; then the corpus of pretraining before further ones, and on each the headline's
        tasks before others.
        """
        heads = {self._asked(metric) for metric in self.comparison.ablation.headline}
        target, task = self._asked(name)
        return (target, task) not in heads, bool(target), task not in {own for _, own in heads}, name

    def _asked(self, metric: str) -> tuple[str, str]:
        """The corpus and the task of a metric."""
        target, rest = self.split_target(metric)
        return target, rest.partition("/")[0]

    def cell(self, arm: str, metric: str) -> Cell | None:
        """An arm's metric; None where it has none."""
        return next((r.cells.get(metric) for r in self.comparison.rows if r.arm.name == arm), None)

    def having(self, metrics: Iterable[str]) -> tuple[Look, ...]:
        """The shown arms that have any of the metrics."""
        names = set(metrics)
        return tuple(look for look in self.looks if any(self.cell(look.arm, name) for name in names))

    def split_target(self, metric: str) -> tuple[str, str]:
        """The further corpus that a metric is of, empty for that of pretraining, and the metric's name without it."""
        head, _, rest = metric.partition("/")
        return (head, rest) if head in self.targets else ("", metric)

    def curves(self, name: str) -> dict[str, tuple[int, Curve]]:
        """Arm -> seed and curve of the shown arms' first seeds that have a curve of this full name with any point."""
        found: dict[str, tuple[int, Curve]] = {}
        for outcome in sorted(self.outcomes, key=lambda o: o.trial.seed):
            if outcome.trial.arm.name in {look.arm for look in self.looks}:
                for result in outcome.results.values():
                    if name in result.curves and len(result.curves[name].x):
                        found.setdefault(outcome.trial.arm.name, (outcome.trial.seed, result.curves[name]))
        return found

    def curve_names(self, kind: str) -> list[str]:
        """The full names of all curves of a kind, e.g. `probe/reliability` of `reliability`."""
        held = {name for o in self.outcomes for result in o.results.values() for name in result.curves}
        return sorted((name for name in held if name.rpartition("/")[2] == kind), key=self._order)

    def count(self, metric: str, of: str = "n_test") -> str:
        """The number that stands nearest to the metric, as `200` or `180 to 200`; empty where none is known."""
        found = counted_on(metric, of, self.comparison.rows)
        return least_to_most(found) if found else ""

    def below(self, metrics: Iterable[str], on: str, interval: str = "") -> str:
        """A picture's caption: what its points and intervals are, on how many and whom (in words), and which arms.

        interval: what the intervals are, for those that are not over resampled patients.
        """
        names = set(metrics)
        cells = [c for look in self.looks for name in names if (c := self.cell(look.arm, name))]
        seeds = {len(cell.values) for cell in cells}
        many = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
        points = "One seed" if seeds == {1} else f"Means over {many} seeds"
        bars = interval or "95 % intervals over resampled patients (not over seeds)"
        return " ".join(filter(None, (f"{points}; {bars}.", f"n = {on}." if on else "", self.which())))

    def learnt(self, metric: str) -> str:
        """On how many records a learner is judged, and whose they are: `412 records of 198 of the test patients`."""
        n, people = self.count(metric), self.count(metric, "n_patients")
        whom = f"{people} of {self.judged}" if people else self.judged
        return f"{n} records of {whom}" if n else whom

    def unlearnt(self, metric: str) -> str:
        """The same of a task that fits nothing on the corpus it asks: there all are judged but those who are kept for choosing."""
        n = self.count(metric, "n_patients") or self.count(metric)
        whom = self.whom(metric)
        return f"{n} of {whom}" if n and whom == self.judged else f"{n} {whom}".strip()

    def whom(self, metric: str) -> str:
        """Whom a task is about that fits nothing on the corpus it asks."""
        away = self.split_target(metric)[0] and self.judged == _TEST
        return "patients who are not kept for choosing" if away else self.judged

    def which(self) -> str:
        """Which arms are shown, where not all are."""
        every = len(self.comparison.rows)
        if len(self.looks) == every:
            return ""
        rest = "the best" if self.comparison.study else "others spread over the plan, and a control"
        return f"{len(self.looks)} of {every} arms: the base, {rest}."


def looks(comparison: Comparison) -> tuple[Look, ...]:
    """The base arm, others and a control, at most MOST_ARMS, in the plan's order: of a sweep its best ones, else evenly from the first to
    the last, since which direction is better is not known of every metric.
    """
    arms = [row for row in comparison.leading if row.cells]
    controls, rest = [row for row in arms if row.control], [row for row in arms if not row.control]
    if len(arms) > MOST_ARMS:
        controls = controls[:1]
        base = [row for row in rest if row.arm.name == comparison.ablation.base]
        others = [row for row in rest if row not in base]
        rest = base + _some(others, MOST_ARMS - len(base) - len(controls), comparison.study is not None)
    shown = {row.arm.name for row in (*rest, *controls)}
    ordered = [row for row in arms if row.arm.name in shown]
    return tuple(_look(row, ordered) for row in ordered)


def _some(rows: Sequence[Row], most: int, best_first: bool) -> list[Row]:
    if best_first or len(rows) <= most:
        return list(rows[:most])
    places = [round(k * (len(rows) - 1) / max(1, most - 1)) for k in range(most)]
    return [rows[place] for place in places]


def _look(row: Row, shown: Sequence[Row]) -> Look:
    alike = [other.arm.name for other in shown if other.control is row.control]
    index = alike.index(row.arm.name)
    marker, dash = MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)]
    colour = GREY if row.control else COLOURS[index % len(COLOURS)]
    return Look(row.arm.name, colour, marker, dash, "white" if row.control else colour)


def draw_line(
    axes: Axes, look: Look, points: Mapping[str, Sequence[float] | NDArray[np.float64]], label: str, arms: int
) -> None:
    """An arm's line through x and y, from low to high its band, or bars where there are many arms. points: x, y, low, high."""
    axes.plot(
        points["x"],
        points["y"],
        markersize=5,
        linewidth=1.5,
        linestyle=look.dash,
        label=label,
        zorder=3,
        **look.points,
    )
    if arms <= _MOST_BANDS:
        axes.fill_between(
            points["x"], points["low"], points["high"], color=look.colour, alpha=0.15, linewidth=0
        )
    else:
        axes.vlines(points["x"], points["low"], points["high"], color=look.colour, linewidth=1.1, alpha=0.7)


def ends(cell: Cell) -> tuple[float, float]:
    """The patients' interval; NaN, which draws nothing, where there is none."""
    return (cell.patients.low, cell.patients.high) if cell.patients else (float("nan"), float("nan"))


def legend(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Below the figure, each name once."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(
        list(once.values()), list(once), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def legend_height(names: int, columns: int = 2) -> float:
    """Inches that so many names need."""
    return 0.1 + 0.21 * -(-names // columns)


def spoken(looks: Iterable[Look], said: Mapping[str, float]) -> str:
    """`clef 0.812, random 0.600`; without decimals from a thousand on."""
    values = {arm: number(value) if abs(value) < 1000 else f"{value:.0f}" for arm, value in said.items()}
    return ", ".join(f"{look.arm} {values[look.arm]}" for look in looks if look.arm in values)
