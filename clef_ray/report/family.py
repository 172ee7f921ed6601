"""The family of differences that one report asks about, and their p values after Holm's correction.

The family is every difference in the first headline metric that the report looks at: each arm minus the base, each arm minus the reference
of its family (see `Trend`), each control minus its arm. What is said of other metrics is not corrected and never starred.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from clef_ray.ablation import Ablation
from clef_ray.evaluate.comparing import holm
from clef_ray.report.rows import Check, Difference, Row, Trend

#: (arm, the arm it is held against) -> the first minus the second, in the first headline metric.
Family = Mapping[tuple[str, str], Difference]


def family(
    ablation: Ablation, rows: Sequence[Row], trends: Sequence[Trend], checks: Sequence[Check]
) -> Family:
    """The differences, each once, with `p_holm` where they were tested."""
    metric = ablation.headline[0]
    found = {
        (row.arm.name, ablation.base): d
        for row in rows
        if metric in row.cells and (d := row.cells[metric].difference) is not None
    }
    found |= {(name, t.reference): d for t in trends for name, d in t.differences.items()}
    found |= {(check.control, check.reference): check.difference for check in checks}
    tested = {key: d.p for key, d in found.items() if d.p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {key: replace(d, p_holm=corrected.get(key)) for key, d in found.items()}


def corrected_rows(ablation: Ablation, rows: Sequence[Row], family: Family) -> tuple[Row, ...]:
    """The rows with the family's differences in place of the uncorrected ones."""
    metric = ablation.headline[0]

    def corrected(row: Row) -> Row:
        if (found := family.get((row.arm.name, ablation.base))) is None:
            return row
        return replace(row, cells={**row.cells, metric: replace(row.cells[metric], difference=found)})

    return tuple(map(corrected, rows))


def corrected_trends(trends: Sequence[Trend], family: Family) -> tuple[Trend, ...]:
    """The trends with the family's differences."""
    return tuple(
        replace(t, differences={name: family[name, t.reference] for name in t.differences}) for t in trends
    )


def looked_at(
    ablation: Ablation, rows: Sequence[Row], trends: Sequence[Trend], checks: Sequence[Check]
) -> int:
    """How many differences the report shows or speaks of."""
    first = ablation.headline[0]
    pairs = {
        (r.arm.name, ablation.base, m)
        for r in rows
        for m in ablation.headline
        if m in r.cells and r.cells[m].difference
    }
    pairs |= {(name, t.reference, first) for t in trends for name in t.differences}
    return len(pairs | {(check.control, check.reference, first) for check in checks})
