"""A sweep in words: what was found among how many, how sure that is, and what the winner reached on the test patients."""

from collections.abc import Mapping, Sequence

from clef_ray.config import SplitName
from clef_ray.report.rows import Cell, Row, cell, estimates
from clef_ray.report.study import Configuration, StudyView
from clef_ray.report.wording import number

_PATIENTS = {"official": "test patients", "selection": "validation patients"}


def answer(study: StudyView, rows: Sequence[Row], split: SplitName) -> str:
    """Which configuration was found, with its interval; and the winner's result with fresh seeds. One sentence."""
    ranked = study.ranked()
    if not ranked:
        return f"No answer yet: none of {len(study.rows)} configurations has finished."
    best, metric = ranked[0], study.metric
    found = next((row.cells.get(metric) for row in rows if row.arm.name == best.arm), None)
    reached = _with_interval(found) if found else number(best.values[metric])
    patients = f"on the {_PATIENTS[split]}"
    if len(study.objectives) > 1:
        aims = " and ".join(name for name, _ in study.objectives)
        on = "1 configuration is" if len(study.best) == 1 else f"{len(study.best)} configurations are"
        text = f"{on} on the Pareto front of {aims}, of {len(study.rows)} that were tried; {best.arm} on it reaches {metric} {reached} {patients}"
    else:
        text = f"{best.arm} is the best of {len(study.rows)} configurations: {metric} {reached} {patients}"
    own = winner_cells(study, [metric]).get(metric)
    if own is None:
        return f"{text}."
    return f"{text}; retrained with fresh seeds and judged once on the test patients it reaches {_with_interval(own)}."


def caveats(study: StudyView) -> tuple[str, ...]:
    """What a reader of a sweep must know before believing its best value."""
    notes = []
    if study.ranked():
        notes.append(
            f"The best of {study.count('COMPLETE')} finished configurations is partly the luckiest: its value on the patients it was chosen on "
            "is too good. "
            + (
                "The fresh seeds on the test patients are the result."
                if study.winner
                else "Judge it with fresh seeds on the test patients before you use the number."
            )
        )
    if stopped := study.count("PRUNED"):
        notes.append(
            f"{stopped} of {len(study.rows)} configurations were stopped early by a rule and never judged whole; a slow starter may be among them."
        )
    if failed := study.count("FAIL"):
        notes.append(f"{failed} of {len(study.rows)} configurations failed; their reasons are below.")
    return tuple(notes)


def winner_cells(study: StudyView, metrics: Sequence[str]) -> Mapping[str, Cell]:
    """The metrics of the winner's fresh seeds, those that it has."""
    if not study.winner:
        return {}
    own = estimates(study.winner[0].trial.arm, study.winner)
    held = {name for found in own.values() for name in found}
    return {metric: cell(own, metric) for metric in metrics if metric in held}


def front(study: StudyView) -> list[Configuration]:
    """The configurations that were found, ordered by the first objective's value."""
    found = [row for row in study.ranked() if row.number in study.best]
    return sorted(found, key=lambda row: row.values.get(study.metric, 0.0))


def _with_interval(found: Cell) -> str:
    n = len(found.values)
    if found.seeds is None:
        return f"{number(found.mean)} (one seed, no interval over seeds)"
    return f"{number(found.mean)} (95 % t interval over {n} seeds {number(found.seeds.low)} to {number(found.seeds.high)})"
