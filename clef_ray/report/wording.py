"""The comparison in words: derived from its rows and trends alone, and never saying more than both intervals do."""

from collections.abc import Collection, Sequence

from clef_ray.ablation import Ablation, Plan
from clef_ray.report.rows import Cell, Check, Difference, Interval, Row, Trend

LEGEND = (
    "▲ above / ▼ below the base arm where both 95 % intervals of the paired difference exclude 0: the t interval over seeds and the patient "
    "bootstrap. * : it holds after Holm's correction over all differences in the first headline metric (p < 0.05); other metrics are not "
    "corrected. – : no interval (one seed has no spread, nor have seeds that are the same run, or that have one value)."
)


def number(value: float) -> str:
    """Three decimals with a true minus sign; counts as they are."""
    return f"{value:.0f}" if value >= 2 and value.is_integer() else f"{value:.3f}".replace("-", "−")


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def span(interval: Interval | None) -> str:
    """`low to high`; a dash where there is none."""
    return f"{number(interval.low)} to {number(interval.high)}" if interval else "–"


def half(interval: Interval | None) -> str:
    """`± ` and half of the interval's width; nothing where there is none."""
    return f"± {number((interval.high - interval.low) / 2)}" if interval else ""


def with_interval(cell: Cell) -> str:
    """The mean and, in brackets, its interval over seeds."""
    if cell.seeds is None:
        seeds = "one seed" if len(cell.values) == 1 else f"{len(cell.values)} seeds of one value"
        return f"{number(cell.mean)} ({seeds}, no interval over seeds)"
    interval = f"{number(cell.seeds.low)} to {number(cell.seeds.high)}"
    return f"{number(cell.mean)} (95 % t interval over {len(cell.values)} seeds {interval})"


def prefixed(value: float) -> str:
    """Three digits and an SI prefix: `1.23 G`."""
    for power, letter in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {letter}"
    return f"{value:.3g}"


def least_to_most(counts: Collection[float]) -> str:
    """`200` where all are the same, else `180 to 200`."""
    least, most = min(counts), max(counts)
    return f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def were(count: int) -> str:
    """The verb of so many."""
    return "was" if count == 1 else "were"


def answer(ablation: Ablation, rows: Sequence[Row], trends: Sequence[Trend]) -> str:
    """What the arms show: whether the headline's gaps differ from 0, a sentence each, and, unless the first metric is one, `_compared`."""
    found = [] if ablation.headline[0] in ablation.gaps else [_compared(ablation, rows, trends)]
    found += [_against_zero(metric, rows) for metric in ablation.headline if metric in ablation.gaps]
    return " ".join(found)


def _against_zero(metric: str, rows: Sequence[Row]) -> str:
    """A gap of each arm with both intervals, and in which arms both exclude 0."""
    cells = {row.arm.name: row.cells[metric] for row in rows if metric in row.cells}
    if not cells:
        return f"No answer yet: no arm has {metric}."
    each = [
        f"{arm} {signed(c.mean)} (seeds {span(c.seeds)}, patients {span(c.patients)})"
        for arm, c in cells.items()
    ]
    clear = [f"{arm} {c.mark}" for arm, c in cells.items() if c.mark]
    return f"{metric}: {', '.join(each)}; both 95 % intervals exclude 0 of {', '.join(clear) or 'none'}."


def _compared(ablation: Ablation, rows: Sequence[Row], trends: Sequence[Trend]) -> str:
    """Does the first headline metric change along the axis within each family, or differ between a family's categories? One sentence.

    Of a single arm: what it reaches.
    """
    metric = ablation.headline[0]
    if len(rows) == 1:
        (row,) = rows
        found = (
            f"its {metric} is {with_interval(row.cells[metric])}"
            if metric in row.cells
            else f"it has no {metric}"
        )
        return f"Nothing to compare with: {row.arm.name} is the only arm; {found}."
    if not any(trend.differences for trend in trends):
        return f"No answer yet: no two arms of one family have {metric} on the same seed."
    parts: list[str] = []
    for placed, verb, link in (
        (True, f"changes with {ablation.axis}", "within"),
        (False, "differs", "between the arms of"),
    ):
        subject = metric if not parts else "it"
        group = [t for t in trends if t.placed is placed]
        if changed := [t for t in group if _marked(t)]:
            parts.append(f"{subject} {verb} {link} {f' and {link} '.join(_changes(t) for t in changed)}")
        if unclear := [t for t in group if not _marked(t)]:
            start = "undetermined" if parts else "Undetermined"
            what = "it does" if changed else f"{subject} {verb}"
            parts.append(f"{start} at this budget whether {what} {link} {_undetermined(unclear)}")
    return "; ".join(parts) + "."


def gaps(rows: Sequence[Row]) -> tuple[str, ...]:
    """What has no results: trials that failed, are missing or were stopped early."""
    planned, failed, pruned, missing = (
        sum(c) for c in zip(*((r.planned, r.failed, r.pruned, r.missing) for r in rows), strict=True)
    )
    notes = []
    if failed or missing:
        notes.append(
            f"{failed} failed and {missing} missing of {counted(planned, 'trial')}; every number rests on the others."
        )
    if pruned:
        have = "has" if pruned == 1 else "have"
        notes.append(
            f"{pruned} of {counted(planned, 'trial')} {were(pruned)} stopped early and {have} no results."
        )
    return tuple(notes)


def caveats(
    plan: Plan,
    rows: Sequence[Row],
    gaps: Sequence[str],
    checks: Sequence[Check],
    comparisons: int,
    tested: int,
) -> tuple[str, ...]:
    """What a reader must know before believing a mark, one note each; gaps: what has no results; tested: how many differences are starred
    or not.
    """
    notes = []
    if plan.smoke:
        notes.append("This was a --smoke run: its numbers show that everything works and mean nothing.")
    if plan.rotation:
        notes.append(
            f"Every number is the mean over {counted(len(plan.rotation), 'rotation')}: each fold is once the test, the one before it validation, the "
            "others train. Intervals over patients resample each fold's test patients by themselves; n counts all of them, seconds and costs are means, too."
        )
    notes += gaps
    if max((len(cell.values) for row in rows for cell in row.cells.values()), default=0) < 2:
        notes.append(
            "One seed has no spread: no interval over seeds and no mark is possible. Use at least 3 seeds."
        )
    elif alike := _keeping_up(plan.ablation, checks):
        notes.append(
            f"Not shown to be below {_by_reference(plan.ablation.headline[0], alike)}. Where a control keeps up, the metric cannot "
            "tell at this budget whether what the control lacks matters, and differences between the other arms say little."
        )
    if tied := _tied(rows):
        notes.append(
            f"In {counted(tied, 'difference')} all seeds give one and the same value: no interval over seeds, no p and no mark, since seeds "
            "that tie do not show how far others would move."
        )
    if comparisons:
        notes.append(
            f"{counted(comparisons, 'difference')} {were(comparisons)} looked at, and marks are not corrected for that: where nothing differs, an "
            "interval over seeds still excludes 0 about once in 20 (both intervals together less often)."
            + (_corrected(plan.ablation.headline[0], tested) if tested else "")
        )
    return tuple(notes)


def _keeping_up(ablation: Ablation, checks: Sequence[Check]) -> list[Check]:
    """The controls that are not shown to be below their arm; none where the first metric is a gap, of which more is not better."""
    if ablation.headline[0] in ablation.gaps:
        return []
    return [check for check in checks if check.difference.mark != "▼"]


def _tied(rows: Sequence[Row]) -> int:
    """How many differences have several seeds, all with one value that is not 0."""
    found = [cell.difference for row in rows for cell in row.cells.values() if cell.difference]
    return sum(d.n > 1 and d.seeds is None and d.value != 0 for d in found)


def _corrected(metric: str, tested: int) -> str:
    if tested == 1:
        return f" In {metric} it is one, so nothing needs correction."
    return f" Stars are: one stands where the difference holds after Holm's correction over the {tested} in {metric}."


def _by_reference(metric: str, checks: Sequence[Check]) -> str:
    """`base in metric: these, those; nor below other: that`."""
    controls: dict[str, list[str]] = {}
    for check in checks:
        controls.setdefault(check.reference, []).append(check.control)
    (reference, names), *others = controls.items()
    parts = [f"{reference} in {metric}: {', '.join(names)}"]
    return "; nor below ".join(parts + [f"{other}: {', '.join(found)}" for other, found in others])


def _marked(trend: Trend) -> dict[str, Difference]:
    return {name: d for name, d in trend.differences.items() if d.mark}


def _changes(trend: Trend) -> str:
    found = ", ".join(f"{name} {signed(d.value)} {d.shown}" for name, d in _marked(trend).items())
    return f"{trend.family} (against {trend.reference}: {found})"


def _undetermined(trends: Sequence[Trend]) -> str:
    pairs = [(t, name, d) for t in trends for name, d in t.differences.items()]
    if not pairs:
        return f"{_names(trends)} (nothing to compare)"
    trend, name, d = max(pairs, key=lambda p: abs(p[2].value))
    n = min(p[2].n for p in pairs)
    largest = f"the largest difference is {name} − {trend.reference} = {signed(d.value)}"
    if n == 1:
        return f"{_names(trends)}: one seed gives no interval ({largest})"
    references = " / ".join(dict.fromkeys(t.reference for t in trends))
    return f"{_names(trends)}: no arm differs from {references} in both intervals ({n} seeds; {largest})"


def _names(trends: Sequence[Trend]) -> str:
    *first, last = (t.family for t in trends)
    return f"{', '.join(first)} and {last}" if first else last
