"""A sweep in words: what was found among how many, how sure that is, and what the winner reached on the test patients."""

from collections.abc import Mapping, Sequence

from clef_ray.config import SplitName
from clef_ray.report.rows import Cell, Interval, Row, cell, estimates
from clef_ray.report.study import Gain, StudyView
from clef_ray.report.wording import counted, half, number, signed, were, with_interval
from clef_ray.search import Configuration, Winner

#: How the winner is chosen among the best of several objectives. {}: the first one.
_RULES: Mapping[Winner, str] = {
    "balanced": "its mean rank over the objectives",
    "first": "{} alone",
}


def answer(study: StudyView, rows: Sequence[Row], split: SplitName) -> str:
    """Which configuration was found, with its interval; and the winner's result with fresh seeds. One sentence."""
    ranked, tried = study.ranked(), counted(len(study.rows), "configuration")
    if not ranked:
        return f"No answer yet: none of {tried} has finished."
    if not study.best:
        return f"No answer: of {tried} {len(ranked)} finished, and none of these keeps the limits."
    best, metric = ranked[0], study.metric
    found = next((row.cells.get(metric) for row in rows if row.arm.name == best.arm), None)
    reached = with_interval(found) if found else number(best.values[metric])
    patients = f"on the {'validation' if split == 'selection' else 'test'} patients"
    if len(study.objectives) > 1:
        aims = " and ".join(name for name, _ in study.objectives)
        on = f"{counted(len(study.best), 'configuration')} {'is' if len(study.best) == 1 else 'are'}"
        text = f"{on} on the Pareto front of {aims}, of {len(study.rows)} that {were(len(study.rows))} tried; {best.arm} on it, chosen by {_RULES[study.rule].format(metric)}, reaches {metric} {reached} {patients}"
    else:
        text = f"{best.arm} is the best of {tried}: {metric} {reached} {patients}"
    if best.number == 0:
        text += f"; it is the default, which was not beaten in {metric}"
    return f"{text}{_final(study)}."


def _final(study: StudyView) -> str:
    """What the winner reached with fresh seeds, in the first objective that is a result; nothing where it was not judged."""
    judged = winner_cells(study, [metric for metric, _ in study.objectives])
    if not judged:
        return ""
    metric, found = next(iter(judged.items()))
    named = "" if metric == study.metric else f"{metric} "
    gained = next((f", {gain_in_words(gain)}" for gain in study.gain if gain.metric == metric), "")
    return f"; retrained with fresh seeds and judged on the test patients it reaches {named}{with_interval(found)}{gained}"


def gain_in_words(gain: Gain) -> str:
    """`+0.012 ± 0.010 against the default ▲`: the sign is the difference's, the mark that of both intervals."""
    if gain.low is None or gain.high is None:
        return f"{signed(gain.value)} against the default (no interval over seeds)"
    sure = gain.mark or "(undetermined: not both intervals exclude 0)"
    return f"{signed(gain.value)} {half(Interval(gain.low, gain.high))} against the default {sure}"


def caveats(study: StudyView) -> tuple[str, ...]:
    """What a reader of a sweep must know before believing its best value."""
    notes, tried = [], counted(len(study.rows), "configuration")
    finished = study.count("COMPLETE")
    broken = sum(row.state == "COMPLETE" and not row.feasible for row in study.rows)
    if study.best and finished - broken > 1:
        notes.append(
            f"The best of {finished - broken} finished configurations is partly the luckiest: its value on the patients it was chosen on "
            "is too good. "
            + (
                "The fresh seeds on the test patients are the result."
                if study.winner
                else "Judge it with fresh seeds on the test patients before you use the number."
            )
        )
    if study.judged > 1:
        notes.append(
            f"The test patients have been used {study.judged} times: so many winners of this study have been judged on them. Whoever chooses "
            "among these results chooses on the test patients."
        )
    if broken:
        verb = "breaks" if broken == 1 else "break"
        notes.append(
            f"{broken} of {counted(finished, 'finished configuration')} {verb} a limit and could not be chosen."
        )
    if stopped := study.count("PRUNED"):
        notes.append(f"{stopped} of {tried} {were(stopped)} stopped early {_overlooked(study)}")
        if study.importance:
            notes.append("The importance of the settings is over the configurations that were not stopped.")
    if failed := study.count("FAIL"):
        reasons = "its reason is" if failed == 1 else "their reasons are"
        notes.append(f"{failed} of {tried} failed; {reasons} below.")
    return tuple(notes)


def _overlooked(study: StudyView) -> str:
    """What early stopping may have missed."""
    rule, others = "by a rule", ""
    if study.stopping:
        rule = f"({study.stopping})"
        aims = [metric for metric, _ in study.objectives if not study.stopping.endswith(f" on {metric}")]
        others = (
            f", and so may one that is good in {' or '.join(aims)}: the rule did not look at that"
            if aims
            else ""
        )
    return f"{rule} and never judged whole; a slow starter may be among them{others}."


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
