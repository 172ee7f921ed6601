"""What the outcomes of an ablation say, arm by arm: the whole of the table, the figures and the answer."""

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clef_ray.ablation import Ablation, Arm, Outcome, Plan
from clef_ray.evaluate.leakage import FOUND
from clef_ray.report import findings, testing, wording
from clef_ray.report.budget import larger
from clef_ray.report.doubts import doubts
from clef_ray.report.family import corrected_rows, corrected_trends, family, looked_at
from clef_ray.report.overall import Overall, overall
from clef_ray.report.rows import (
    Cell,
    Check,
    Difference,
    Estimates,
    Interval,
    Row,
    Trend,
    cell,
    difference,
    estimates,
)
from clef_ray.report.study import StudyView

#: Configurations of a sweep that stand in the headline table.
LEADING = 15


@dataclass(frozen=True)
class Comparison:
    """The rows in the plan's order, the trends along the axis, how many differences were looked at, all of it in words, and the command
    for a larger budget (empty where the ablation names none). study: the sweep that the rows come from, None for an ablation.

    family: how many differences Holm's correction is over (`family.py`; 0 for a sweep, whose configurations are searched and not tested).
    overall: arms over all tasks, where there are enough; judged: on how many, in words; power: how many seeds would show what is not marked,
    empty where something is; leakage: what the run's check found, empty in records of before there was one.
    """

    ablation: Ablation
    rows: tuple[Row, ...]
    trends: tuple[Trend, ...]
    comparisons: int
    answer: str
    caveats: tuple[str, ...]
    larger: str
    study: StudyView | None = None
    family: int = 0
    overall: tuple[Overall, ...] = ()
    judged: str = ""
    power: str = ""
    leakage: str = ""

    @property
    def leading(self) -> tuple[Row, ...]:
        """The rows of a table that is read: all of an ablation's; of a sweep's the base configuration and the best ones."""
        if self.study is None:
            return self.rows
        best = [row.arm for row in self.study.ranked()]
        rows = {row.arm.name: row for row in self.rows}
        shown = dict.fromkeys([self.ablation.base, *best[:LEADING]])
        return tuple(rows[name] for name in shown if name in rows)

    @property
    def tested(self) -> list[tuple[Row, Difference]]:
        """The rows that have a difference to the base in the first headline metric; none of a sweep's."""
        cells = [(row, row.cells.get(self.ablation.headline[0])) for row in self.rows if self.study is None]
        return [(row, cell.difference) for row, cell in cells if cell and cell.difference]

    @property
    def gaps(self) -> list[tuple[str, Row, Cell]]:
        """The gaps of the headline in each arm that has them, to be read against 0."""
        asked = [metric for metric in self.ablation.headline if metric in self.ablation.gaps]
        return [(m, row, row.cells[m]) for m in asked for row in self.leading if m in row.cells]

    @property
    def leaks(self) -> bool:
        """Whether the run's check found what pretraining should not have seen."""
        return self.leakage.startswith(FOUND)

    def csv(self) -> str:
        """One line per arm and headline metric."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_record(row, metric) for row in self.rows for metric in self.ablation.headline)
        return out.getvalue()


_COLUMNS = [
    "arm",
    "family",
    "x",
    "metric",
    "seeds",
    "failed",
    "pruned",
    "missing",
    "mean",
    "sd",
    "seeds_low",
    "seeds_high",
    "patients_low",
    "patients_high",
    "difference",
    "difference_seeds_low",
    "difference_seeds_high",
    "difference_patients_low",
    "difference_patients_high",
    "mark",
    "p_seeds",
    "p_patients",
    "p_signs",
    "p_holm",
    "effect",
]


def _record(row: Row, metric: str) -> list[object]:
    arm, cell = row.arm, row.cells.get(metric)
    counts = [len(cell.values) if cell else 0, row.failed, row.pruned, row.missing]
    values = [cell.mean, cell.sd, *_ends(cell.seeds), *_ends(cell.patients)] if cell else [""] * 6
    d = cell.difference if cell else None
    against_base: list[object] = [""] * 11
    if d:
        tests = ["" if p is None else p for p in (d.p_seeds, d.p_patients, d.p_signs, d.p_holm, d.effect)]
        against_base = [d.value, *_ends(d.seeds), *_ends(d.patients), d.mark, *tests]
    return [arm.name, arm.family, "" if arm.x is None else arm.x, metric, *counts, *values, *against_base]


def _ends(interval: Interval | None) -> tuple[float | str, float | str]:
    return (interval.low, interval.high) if interval else ("", "")


def compare(
    plan: Plan,
    outcomes: Sequence[Outcome],
    study: StudyView | None = None,
    options: str = "",
    leakage: str = "",
) -> Comparison:
    """Compare the plan's arms by what their trials brought. Trials without an outcome count as missing, never as a value.

    study: the sweep whose configurations the arms are; the answer is then which of them was found. options: those of the command that
    ran it, as they were typed, for the command with a larger budget. leakage: what the lineage says of it.
    """
    ablation = plan.ablation
    arms = list({t.arm.name: t.arm for t in plan.trials}.values())
    by_arm = {arm.name: estimates(arm, outcomes) for arm in arms}
    rows = tuple(_row(plan, arm, outcomes, by_arm) for arm in arms)
    trends = tuple(_trends(ablation, rows, by_arm))
    checks = _checks(ablation, rows, by_arm)
    asked = family(ablation, rows, trends, checks) if study is None else {}
    if study is None:
        rows, trends = corrected_rows(ablation, rows, asked), corrected_trends(trends, asked)
        answer = wording.answer(ablation, rows, trends)
        gaps = wording.gaps(rows)
    else:
        answer = findings.answer(study, rows, plan.split)
        gaps = findings.caveats(study)
    comparisons = looked_at(ablation, rows, trends, checks)
    tested = sum(d.p_holm is not None for d in asked.values())
    return Comparison(
        ablation,
        rows,
        trends,
        comparisons,
        answer,
        (*wording.caveats(plan, rows, gaps, checks, comparisons, tested), *doubts(plan, outcomes)),
        larger(plan, options),
        study,
        family=tested,
        overall=overall(ablation, rows) if study is None else (),
        judged=testing.judged(ablation.headline, rows),
        power=testing.power_note(ablation.headline[0], asked),
        leakage=" ".join(leakage.split()),
    )


def _row(plan: Plan, arm: Arm, outcomes: Sequence[Outcome], by_arm: Mapping[str, Estimates]) -> Row:
    own, base = by_arm[arm.name], by_arm.get(plan.ablation.base, {})
    names = sorted({metric for metrics in own.values() for metric in metrics})
    cells = {name: cell(own, name) for name in names}
    if arm.name != plan.ablation.base:
        for metric in plan.ablation.headline:
            if metric in cells:
                cells[metric] = replace(cells[metric], difference=difference(own, base, metric))
    planned = sum(t.arm.name == arm.name for t in plan.trials)
    states = Counter(o.state for o in outcomes if o.trial.arm.name == arm.name)
    return Row(arm, planned, states["COMPLETE"], states["FAILED"], states["PRUNED"], cells)


def _trends(ablation: Ablation, rows: Sequence[Row], by_arm: Mapping[str, Estimates]) -> list[Trend]:
    trends = []
    for name in dict.fromkeys(r.arm.family for r in rows if r.arm.family):
        arms = sorted((r.arm for r in rows if r.arm.family == name), key=_place)
        names = [arm.name for arm in arms]
        reference = _reference(ablation, arms)
        pairs = {n: difference(by_arm[n], by_arm[reference], ablation.headline[0]) for n in names}
        kept = {name: d for name, d in pairs.items() if d is not None and name != reference}
        trends.append(Trend(name, reference, kept, placed=arms[-1].x is not None))
    return trends


def _place(arm: Arm) -> float:
    return -math.inf if arm.x is None else arm.x


def _reference(ablation: Ablation, arms: Sequence[Arm]) -> str:
    """What the arms of a family are held against (see `Trend`); arms: in the order of the axis."""
    base = next(arm for arm in ablation.every if arm.name == ablation.base)
    placed = [arm for arm in arms if arm.x is not None]
    same = [arm for arm in placed if arm.x == base.x]
    return (base if base in arms else (same or placed or arms[:1])[-1]).name


def _checks(ablation: Ablation, rows: Sequence[Row], by_arm: Mapping[str, Estimates]) -> list[Check]:
    checks = []
    for arm in (row.arm for row in rows if row.control):
        reference = arm.against or ablation.base
        if found := difference(by_arm[arm.name], by_arm.get(reference, {}), ablation.headline[0]):
            checks.append(Check(arm.name, reference, found))
    return checks
