"""N, S or V, leave-record-out: every recording is judged by a learner that never saw it, all are scored together (method.md §4.1, §8).

Ten patients are too few for one split. For each judged recording the learner's strength, epochs or neighbours are chosen on two others,
the next one (in the order of names, around) of the group with V beats and the next one of that with S beats, and all the rest is learnt
from: that always holds both classes, from the group that has both and what the other two leave.

In the corpus of pretraining, and where configurations are chosen, only the recordings of the split's test folds are judged, and only
those of its folds are used: what pretraining saw, or what is kept for the end, is judged by nobody.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets.cpsc2020 import FS
from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.inputs import OFFICIAL, Rows, label_matrix
from clef_ray.evaluate.metrics.classification import counts, f_beta, macro
from clef_ray.evaluate.metrics.events import SCORERS
from clef_ray.evaluate.modes import answers, over_draws
from clef_ray.evaluate.problem import Material, Problem, Unanswerable, require
from clef_ray.evaluate.result import TaskResult, estimated
from clef_ray.tasks.cpsc2020_beats import Cpsc2020Beats

#: The classes in the dataset's order; those that the challenge scores.
NAMES = ("N", "S", "V")
PREMATURE = ("S", "V")

#: Windows of one recording begin at whole samples: times that differ by less are the same.
_SAMPLE = 1 / FS


class _Windows(NamedTuple):
    """Of each window, [N]: its recording, its class as an index into NAMES (-1: not annotated), where its middle is [s]."""

    recording: NDArray[np.str_]
    truth: NDArray[np.int64]
    middle: NDArray[np.float64]

    def only(self, kept_N: NDArray[np.bool_]) -> "_Windows":
        return _Windows(self.recording[kept_N], self.truth[kept_N], self.middle[kept_N])


def beats(task: Cpsc2020Beats, material: Material) -> TaskResult:
    """Estimates, with intervals over resampled recordings: `f1` (macro over N, S, V), `f1/<CLASS>`, `event_f1/<S or V>` (a beat found
    within 150 ms of a marked one, one to one), `loss_<scorer>` of each scorer in metrics/events.py, S and V together, summed over the
    recordings as the challenge does; lower is better, and more windows cost more. Where several draws are learnt from: their mean.

    A window that is called S or V is a beat found in its middle. Marked beats are those whose windows the shards hold: `coverage/<S or
    V>` in the extras is their share of all marked in these published recordings, so a loss compares with the challenge's at coverage 1
    only, and even then normal beats are there as windows, not as beats. Further extras: `n_test`, `n_patients` (recordings), what the
    learner chose, and the spread of `f1` over several draws (`over_draws`).
    """
    windows = _windows(task, material)
    judged, usable_N = _judged(task, material, windows)
    problems = [_problem(task, windows, usable_N, recording) for recording in judged]
    test_N = np.any([problem.rows.test for problem in problems], axis=0)
    found, extras, said = _found(problems, task, material)
    weights = sample_and_resamples(windows.recording[test_N], material.n_boot, material.seed)
    per_draw = [_statistics(windows, test_N, found_N, weights) for found_N in found]
    means = {name: np.mean([s[name] for s in per_draw], axis=0) for name in per_draw[0]}
    estimates, undefined = estimated(means, windows.recording[test_N], "recordings")
    # How many beats are marked is known of the published recordings only.
    coverage = _coverage(task, windows, judged) if material.facts.dataset == task.dataset else {}
    extras |= {"n_test": float(test_N.sum()), "n_patients": float(len(judged)), **coverage}
    extras |= over_draws(per_draw, ("f1",))
    return TaskResult(estimates, extras, None, (*_notes(judged, coverage), *said, *undefined))


def _windows(task: Cpsc2020Beats, material: Material) -> _Windows:
    require(task, material.facts)
    table = material.table
    for column in (f"label_{task.labels}", "target_beat_time"):
        if column not in table:
            raise DataError(f"the table has no column {column}; ingest the dataset again")
    annotated_N, positive_NK = label_matrix(table, task.labels, NAMES)
    if (wrong := int((positive_NK[annotated_N].sum(axis=1) != 1).sum())) > 0:
        raise DataError(f"{wrong} windows have not exactly one of the classes {', '.join(NAMES)}")
    truth_N = np.where(annotated_N, positive_NK.argmax(axis=1), -1)
    names = table["record"].astype(str).str.rpartition("-")
    start_N = _starts(names[2].tolist())
    before = _before(start_N, table["target_beat_time"].to_numpy(dtype=np.float64))
    seen = None if material.trainable is None else material.trainable.window
    if seen is not None and abs(2 * before - seen) > _SAMPLE:
        raise Unanswerable(
            f"beats are {before:g} s after their windows' starts; the encoder is given {seen:g} s"
        )
    return _Windows(names[0].to_numpy(dtype=np.str_), truth_N, start_N + before)


def _starts(numbers: Sequence[str]) -> NDArray[np.float64]:
    """Where each window begins [s], from the end of its record's name."""
    try:
        return np.array([int(number) for number in numbers]) / FS
    except ValueError:
        raise DataError(
            "a record's name does not end in the sample its window begins at, as cpsc2020's do"
        ) from None


def _before(start_N: NDArray[np.float64], beat_N: NDArray[np.float64]) -> float:
    """How long windows begin before their beats [s]: all equally, so that the middles of N windows are known, too."""
    before_N = (beat_N - start_N)[np.isfinite(beat_N)]
    if not len(before_N):
        raise Unanswerable("no window has a marked beat in its middle")
    if np.ptp(before_N) > _SAMPLE:
        raise DataError(
            f"marked beats are {before_N.min():.4f} to {before_N.max():.4f} s after their windows' starts; all must be in the middle"
        )
    return float(np.median(before_N))


def _judged(
    task: Cpsc2020Beats, material: Material, windows: _Windows
) -> tuple[list[str], NDArray[np.bool_]]:
    """The recordings to be judged, and the windows [N] that may be used for it."""
    known = {name for names in task.groups.values() for name in names}
    usable_N = (windows.truth >= 0) & np.isin(windows.recording, sorted(known))
    judged_N = usable_N
    if material.home is None or material.split != OFFICIAL:
        rows = material.split.rows(material.table)
        usable_N, judged_N = usable_N & np.any(rows, axis=0), usable_N & rows.test
    if not judged_N.any():
        raise Unanswerable("none of the recordings that may be judged is in the corpus")
    return np.unique(windows.recording[judged_N]).tolist(), usable_N


def _problem(task: Cpsc2020Beats, windows: _Windows, usable_N: NDArray[np.bool_], judged: str) -> Problem:
    """The question about one recording. Unanswerable where a class is missing from those that are learnt from or chosen by."""
    there = set(windows.recording[usable_N].tolist())
    chosen_by = [_next(judged, task.groups[group], there) for group in PREMATURE]
    test_N = usable_N & (windows.recording == judged)
    validation_N = usable_N & np.isin(windows.recording, chosen_by)
    rows = Rows(usable_N & ~test_N & ~validation_N, validation_N, test_N)
    truth_NK = windows.truth[:, None] == np.arange(len(NAMES))
    for part, part_N, least in (("train", rows.train, task.min_positives), ("validation", validation_N, 1)):
        lacking = [name for name, has_N in zip(NAMES, truth_NK.T, strict=True) if has_N[part_N].sum() < least]
        if lacking:
            raise Unanswerable(
                f"with one recording judged, fewer than {least} windows in {part} are of class {', '.join(lacking)}"
            )
    return Problem("exclusive", NAMES, truth_NK.astype(np.float64), rows, windows.recording)


def _next(judged: str, group: tuple[str, ...], there: set[str]) -> str:
    """The recording of the group that comes next after the judged one, around."""
    others = sorted(name for name in group if name in there and name != judged)
    if not others:
        raise Unanswerable(f"besides the judged recording none of {', '.join(group)} is there to choose by")
    return next((name for name in others if name > judged), others[0])


def _found(
    problems: list[Problem], task: Cpsc2020Beats, material: Material
) -> tuple[list[NDArray[np.int64]], dict[str, float], tuple[str, ...]]:
    """Of each draw the class that each judged window is given, [N] indices into NAMES (-1: not judged); what the learners chose, on
    average; and what they noted.
    """
    drawn: list[NDArray[np.int64]] = []
    chosen: dict[str, list[float]] = {}
    notes: dict[str, None] = {}
    for problem in problems:
        test_N = problem.rows.test
        for draw, answer in enumerate(answers(problem, task, material)):
            if draw == len(drawn):
                drawn.append(np.full(len(test_N), -1))
            drawn[draw][test_N] = answer.score_NK[test_N].argmax(axis=1)
            for name, value in answer.extras.items():
                chosen.setdefault(name, []).append(value)
            notes |= dict.fromkeys(answer.notes)
    return drawn, {name: float(np.mean(values)) for name, values in chosen.items()}, tuple(notes)


def _statistics(
    windows: _Windows, test_N: NDArray[np.bool_], found_N: NDArray[np.int64], weights_BN: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Each metric under each weighting of the judged windows, [B]."""
    judged, found_N = windows.only(test_N), found_N[test_N]
    given_NK, true_NK = (index_N[:, None] == np.arange(len(NAMES)) for index_N in (found_N, judged.truth))
    count = counts(given_NK, true_NK, weights_BN)
    f1_BK = f_beta(count.right, count.given, count.true)
    each = {f"f1/{name}": f1_B for name, f1_B in zip(NAMES, f1_BK.T, strict=True)}
    # Every resample takes recordings whole: the weight of any of its windows is the recording's.
    first_R = np.unique(judged.recording, return_index=True)[1]
    return {"f1": macro(f1_BK), **each, **_event_statistics(judged, found_N, weights_BN[:, first_R])}


def _event_statistics(
    judged: _Windows, found_N: NDArray[np.int64], weights_BR: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """What the challenge's way of counting gives, [B] each; the recordings in the order of their names."""
    statistics = {f"loss_{scorer}": np.zeros(len(weights_BR)) for scorer in SCORERS}
    windows_of = [judged.recording == recording for recording in np.unique(judged.recording)]
    for name in PREMATURE:
        k = NAMES.index(name)
        for scorer, score in SCORERS.items():
            found = [
                score(judged.middle[(judged.truth == k) & here_N], judged.middle[(found_N == k) & here_N])
                for here_N in windows_of
            ]
            statistics[f"loss_{scorer}"] += weights_BR @ np.array([one.loss for one in found])
            if scorer == "strict":
                met_B, false_B, missed_B = (weights_BR @ np.array(found, dtype=np.float64)).T
                statistics[f"event_f1/{name}"] = f_beta(met_B, met_B + false_B, met_B + missed_B)
    return statistics


def _coverage(task: Cpsc2020Beats, windows: _Windows, judged: list[str]) -> dict[str, float]:
    """The share that the shards hold of all beats that are marked in the judged recordings; none where none is marked."""
    here_N = np.isin(windows.recording, judged)
    held = {name: int((here_N & (windows.truth == NAMES.index(name))).sum()) for name in PREMATURE}
    marked = {name: sum(task.marked[name][recording] for recording in judged) for name in PREMATURE}
    return {f"coverage/{name}": held[name] / marked[name] for name in PREMATURE if marked[name]}


def _notes(judged: list[str], coverage: Mapping[str, float]) -> tuple[str, ...]:
    partly = [
        f"{share:.2%} of the marked {name.rpartition('/')[2]}"
        for name, share in coverage.items()
        if share < 1
    ]
    return (
        f"leave-record-out: {len(judged)} recordings, each judged by a learner that saw none of it; the intervals resample recordings",
        *(
            [f"the shards hold {' and '.join(partly)} beats; per_record=0 in the ingestion takes all"]
            if partly
            else []
        ),
    )
