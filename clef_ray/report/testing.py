"""Tests and averages in words: what their columns are, on how many, and how many seeds would show what is not marked."""

from collections.abc import Sequence

from clef_ray.evaluate.comparing import ALPHA, MOST_SEEDS, POWER, seeds_needed
from clef_ray.report.family import Family
from clef_ray.report.rows import Difference, Row, counted_on
from clef_ray.report.wording import least_to_most, signed, span

#: What the columns of the tests are.
TESTS = (
    "Seeds, patients: 95 % intervals of the difference. p (Holm): the larger p of the paired t test over seeds and the paired bootstrap over "
    "patients, corrected after Holm over all differences in this metric that the report looks at. d_z: the mean difference over its standard "
    "deviation between seeds, with Hedges' correction; from three seeds on."
)

#: What the columns of the gaps are.
GAPS = (
    "Seeds, patients: 95 % intervals of the mean over seeds. A mark stands where both exclude 0. Each side of a gap is resampled by itself, as if "
    "it were judged on other people."
)

#: What the columns of the averages over tasks are.
OVERALL = (
    "IQM: interquartile mean, the mean of the middle half of all tasks' values in all seeds. P(above): the chance that a run of the arm has the "
    "higher value than one of the base in the same task, 0.5 where they are alike. 95 % intervals over resampled seeds, each with all its "
    "tasks; tasks are not resampled, and few seeds make these intervals too narrow."
)


def probability(p: float | None) -> str:
    """A p value in three decimals; a dash where there is none."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def effect(value: float | None) -> str:
    """An effect size in two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def judged(metrics: Sequence[str], rows: Sequence[Row]) -> str:
    """On how many each metric was judged, as the tasks count them: `n_patients` or else `n_test`. Empty where none says it.

    Arms that were judged on different numbers are told with the least and the most.
    """
    said: dict[str, list[str]] = {}
    for metric in metrics:
        for count, noun in (("n_patients", " patients"), ("n_test", "")):
            if found := counted_on(metric, count, rows):
                said.setdefault(f"{least_to_most(found)}{noun}", []).append(metric)
                break
    if not said:
        return ""
    groups = [f"{many} ({', '.join(metrics)})" for many, metrics in said.items()]
    return f"Judged on n = {'; '.join(groups)}."


def power_note(metric: str, asked: Family) -> str:
    """Where nothing is marked: how many seeds would show the largest difference that was seen. Empty where something is, or for fewer than
    three seeds, whose spread is too little known to plan with.
    """
    known = {key: d for key, d in asked.items() if d.effect is not None and d.value}
    if not known or any(d.mark for d in asked.values()):
        return ""
    (arm, other), largest = max(known.items(), key=lambda item: abs(item[1].value))
    needed = seeds_needed(largest.effect or 0.0)
    start = (
        f"Nothing is marked. The largest difference in {metric}, {arm} − {other} = {signed(largest.value)} (d_z {effect(largest.effect)} over "
        f"{largest.n} seeds),"
    )
    if needed is not None and needed <= largest.n:
        return f"{start} is clear over these seeds; more patients, not more seeds, would settle it."
    many = f"about {needed}" if needed is not None else f"more than {MOST_SEEDS}"
    return (
        f"{start} would need {many} seeds to be seen (paired t test, power {POWER:g}, α {ALPHA:g}); an effect known from {largest.n} seeds is "
        "rough, so take it as an order of magnitude."
    )


def tested_cells(row: Row, d: Difference) -> list[str]:
    """One line of the table of tests as text: arm, n, difference with its sign, both intervals, p after Holm, d_z."""
    return [
        row.arm.name,
        str(d.n),
        f"{signed(d.value)} {d.shown}".rstrip(),
        span(d.seeds),
        span(d.patients),
        probability(d.p_holm),
        effect(d.effect),
    ]
