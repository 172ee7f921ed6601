"""Zero-shot Spearman: does the embedding's geometry follow a clinical risk score? (method.md §8, SEED0)

There is no published definition. Three statistics, none of which fits a test label, each between -1 and 1:

    rsa      similar risk, similar embedding?  Spearman(1 - cos(z_i, z_j), |r_i - r_j|) over pairs of test patients
    readout  does the readout carry over?      Spearman(ridge(z), r), the ridge fitted on training patients
    axis     is risk one direction?            Spearman(z . axis, r), axis = mean(top risk decile) - mean(bottom decile) in training

Controls beside each of them: `<name>_age` (age alone instead of the embedding) and `<name>_permuted` (risks permuted over patients; for
readout and axis those of training, and the interval goes over 100 permutations, too).

`rsa_partial`: rsa given the pair's differences |age_i - age_j| and |sex_i - sex_j|. `rsa_beyond`: given |s_i - s_j| too, where s is the
score that age and sex give alone, all other fields unknown. Without it age may pass for more than age: partial correlation takes out what
is linear in the ranks of the controls, but a score bends upward with age, so that ten years make another difference at 45 than at 65. An
embedding of nothing but age that bends the same way agrees with the score beyond |age difference|. What is left is what the other
fields give. Not exactly nothing from age even so: the other fields move a high risk further than a low one, so that |r_i - r_j| also
grows with the level of the two ages, which no difference between them holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.evaluate.agreement import (
    MOST_MANTEL,
    MOST_PAIRS,
    Records,
    mantel_p,
    one_record_each,
    pair_statistics,
    source_statistics,
)
from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.every_score import combined, told_lacks
from clef_ray.evaluate.inputs import LEAST_PATIENTS, OFFICIAL, Split, check_features, patients
from clef_ray.evaluate.judged import judged
from clef_ray.evaluate.problem import Material, Unanswerable
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.risks import computable, observed, out_of_reach, risks, unknown_fields
from clef_ray.tasks.score_spearman import EVERY, ScoreSpearman, score_names


def zeroshot(task: ScoreSpearman, material: Material) -> TaskResult:
    """`zero_shot` with the task's score, computed from the corpus's covariates; with `score=all` of every one that can be
    (`every_score.py`).

    On a corpus other than that of pretraining nothing is fitted: readout and axis come from the training patients of `material.home`, by
    their risk, and all records that are not kept for choosing are judged (`judged.py`). Extras there also: `n_source`, the records that
    were fitted on. `observed`: the mean share of the score's fields that are known in the judged records; a note says of each
    that is not always known how often it is.

    Raises Unanswerable where the score, age or sex is unknown in every judged record; of `all` where no score is known of 20 patients.
    """
    judged_N = judged(material)
    if task.score == EVERY:
        lacks = out_of_reach(material.table[judged_N], score_names())
        names = [name for name, reason in lacks.items() if not reason]
        if not names:
            raise Unanswerable(
                f"no score ranks the {int(judged_N.sum())} judged records: {told_lacks(lacks)}"
            )
        return combined(dict(zip(names, _answers(names, task, material, judged_N), strict=True)), lacks)
    risk_N, _ = risks(task.score, material.table)
    _require_known(task.score, risk_N[judged_N], material.table[judged_N])
    return _answers([task.score], task, material, judged_N)[0]


def _require_known(name: str, risk_N: NDArray[np.float64], table: pd.DataFrame) -> None:
    """Unanswerable where no record of the table has the score, age and sex: says what is missing, and what could be asked instead."""
    if (np.isfinite(risk_N) & np.isfinite(table["age"]) & np.isfinite(table["sex"])).any():
        return
    missing, others = unknown_fields(name, table), computable(table)
    raise Unanswerable(
        f"none of {len(table)} judged records has score {name!r} together with age and sex, its controls; all of them lack "
        f"{', '.join(missing) or 'no field, but each lacks some'}; scores that could be asked about here: {', '.join(others) or 'none'}"
    )


class _Asked(NamedTuple):
    """A score's question: who teaches readout and axis, who is judged, which records those are [N], and of how many that were asked about."""

    source: Records
    target: Records
    known_N: NDArray[np.bool_]
    asked: int


def _answers(
    names: Sequence[str], task: ScoreSpearman, material: Material, judged_N: NDArray[np.bool_]
) -> list[TaskResult]:
    """Of each score. Those that are known of the same records are computed together."""
    kept: _Kept = {}
    asked = [_question(name, task, material, judged_N, kept) for name in names]
    alike: dict[bytes, list[int]] = {}
    for k, one in enumerate(asked):
        alike.setdefault(one.known_N.tobytes(), []).append(k)
    found: dict[int, TaskResult] = {}
    for places in alike.values():
        together = [asked[k] for k in places]
        results = _compared(together, task.permutations, material.n_boot, material.seed)
        found |= dict(zip(places, results, strict=True))
    table = material.table[judged_N]
    return [_described(found[k], name, table, asked[k], material.home) for k, name in enumerate(names)]


#: The embeddings of the records that a mask tells, of source and of target.
_Kept = dict[tuple[str, bytes], NDArray[np.float64]]


def _question(
    name: str, task: ScoreSpearman, material: Material, judged_N: NDArray[np.bool_], kept: _Kept
) -> _Asked:
    """On another corpus than that of pretraining, whose training patients teach, nobody of it does. kept: embeddings of scores before this
    one; the same records' are not held twice.
    """

    def taken(which: str, records: Records, rows_N: NDArray[np.bool_]) -> Records:
        own = records.take(rows_N)
        return replace(own, z=kept.setdefault((which, rows_N.tobytes()), own.z))

    home, task_risks = material.home or material, risks(name, material.table)
    train_N, z_ND = home.split.rows(home.table).train, material.features(task)
    if material.home is None:
        taught, known_N = _records(z_ND, home.table, train_N | judged_N, *task_risks)
        asked, fitted_N, known_N = taught, train_N & known_N, judged_N & known_N
    else:
        home_risks = risks(name, home.table)
        taught, fitted_N = _records(home.features(task), home.table, train_N, *home_risks)
        asked, known_N = _records(z_ND, material.table, judged_N, *task_risks)
    source, target = taken("source", taught, fitted_N), taken("target", asked, known_N)
    return _Asked(source, target, known_N, int(judged_N.sum()))


def _described(
    result: TaskResult, name: str, table: pd.DataFrame, asked: _Asked, home: Material | None
) -> TaskResult:
    """With what is known of the score's fields in the judged records, and who taught readout and axis where that is another corpus."""
    share, known = observed(name, table)
    extras, notes = {**result.extras, "observed": share}, result.notes
    if home is not None:
        n_source = len(asked.source.risk)
        extras["n_source"] = float(n_source)
        notes = (f"readout and axis: from {n_source} training records of {home.facts.dataset}", *notes)
    if centred := [f"{field} known in {part:.0%}" for field, part in known.items() if part < 1]:
        notes = (f"{name}: where a field is unknown it stands at its centre: {', '.join(centred)}", *notes)
    return replace(result, extras=extras, notes=notes)


def zero_shot(
    features_ND: NDArray[np.floating],
    risk_N: NDArray[np.floating],
    table: pd.DataFrame,
    *,
    age_sex_risk_N: NDArray[np.floating] | None = None,
    permutations: int = 999,
    n_boot: int = 1000,
    seed: int = 0,
    split: Split = OFFICIAL,
) -> TaskResult:
    """The three statistics and their controls on the test patients, with 95 % intervals over resampled patients.

    features_ND: one row per record of `table`; risk_N: the score in %, NaN where it is unknown. Records whose risk, age or sex is
    unknown are left out, so that every statistic and its control see the same records. age_sex_risk_N: the score of the same records
    from age and sex alone, a control of `rsa_beyond`; it is left out where None, and where it is unknown for one of those records
    `rsa_beyond` is undefined (a score that age and sex do not give).

    Estimates: `rsa`, `readout` and `axis`, each also with `_age` and `_permuted`, `rsa_partial` and `rsa_beyond`. Extras: `coverage` (share of
    test records used), `n_test`, `rsa_p` (one-sided Mantel). Fewer than 20 patients or a constant risk: skipped with the reason.
    Raises DataError for non-finite features, risks that do not match the table, or a patient on two sides of the split.
    """
    rows = split.rows(table)
    records, known_N = _records(features_ND, table, rows.train | rows.test, risk_N, age_sex_risk_N)
    source, target = records.take(rows.train & known_N), records.take(rows.test & known_N)
    asked = _Asked(source, target, rows.test & known_N, int(rows.test.sum()))
    return _compared([asked], permutations, n_boot, seed)[0]


def _records(
    features_ND: NDArray[np.floating],
    table: pd.DataFrame,
    rows_N: NDArray[np.bool_],
    risk_N: NDArray[np.floating],
    age_sex_risk_N: NDArray[np.floating] | None,
) -> tuple[Records, NDArray[np.bool_]]:
    """Everybody, and which of `rows_N` have a known risk, age and sex, [N]."""
    features_ND = check_features(features_ND, table)
    risk_N = _one_per_record(risk_N, table, "risks")
    age_N, sex_N = table[["age", "sex"]].to_numpy(dtype=np.float64).T
    known_N = np.isfinite(risk_N) & np.isfinite(age_N) & np.isfinite(sex_N) & rows_N
    control_N = _control(age_sex_risk_N, known_N, table)
    return Records(features_ND, risk_N, age_N, sex_N, control_N, patients(table)), known_N


def _compared(asked: Sequence[_Asked], permutations: int, n_boot: int, seed: int) -> list[TaskResult]:
    """The estimates of `zero_shot` of each score, all of them known of the same records: fitted on `source`, judged on `target`."""
    unusable = [_unusable(one.target, "test") for one in asked]
    usable = [one.target for one, reason in zip(asked, unusable, strict=True) if not reason]
    weights = sample_and_resamples(asked[0].target.patient, n_boot, seed) if usable else np.empty((0, 0))
    of_pairs = iter(pair_statistics(usable, weights, seed) if usable else [])
    results = []
    for one, reason in zip(asked, unusable, strict=True):
        n_test, n_patients = len(one.target.risk), len(np.unique(one.target.patient))
        extras = {
            "coverage": n_test / max(one.asked, 1),
            "n_test": float(n_test),
            "n_patients": float(n_patients),
        }
        if reason:
            results.append(TaskResult({}, extras, reason))
            continue
        found = _found(one, next(of_pairs), weights, seed)
        one_each = one_record_each(one.target.patient, seed)
        extras["rsa_p"] = mantel_p(one.target.take(one_each), permutations, seed)
        results.append(replace(found, extras=extras))
    return results


def _found(
    one: _Asked, of_pairs: Mapping[str, NDArray[np.float64]], weights_BN: NDArray[np.float64], seed: int
) -> TaskResult:
    """Estimates and notes. of_pairs: the `rsa` family under each weighting."""
    source, target = one.source, one.target
    statistics, untaught = dict(of_pairs), _unusable(source, "training")
    if untaught is None:
        statistics |= source_statistics(source, target, weights_BN, seed)
    estimates = {name: Estimate.of(statistic) for name, statistic in statistics.items()}
    notes = _notes(estimates, len(target.risk), len(np.unique(target.patient)))
    if untaught is not None:
        notes = (f"no readout and no axis: {untaught}", *notes)
    if np.isnan(target.age_sex_risk).all():
        notes = ("rsa_beyond: undefined, age and sex do not give the score of all records", *notes)
    return TaskResult(estimates, notes=notes)


def _one_per_record(value_N: NDArray[np.floating], table: pd.DataFrame, what: str) -> NDArray[np.float64]:
    if np.shape(value_N) != (len(table),):
        raise DataError(f"{what} have shape {np.shape(value_N)}; one per record is needed, ({len(table)},)")
    return value_N.astype(np.float64)


def _control(
    age_sex_risk_N: NDArray[np.floating] | None, known_N: NDArray[np.bool_], table: pd.DataFrame
) -> NDArray[np.float64]:
    """The score that age and sex give, [N]; zeros where none is given, since a constant explains nothing; NaN where it is not known of all."""
    if age_sex_risk_N is None:
        return np.zeros(len(table))
    control_N = _one_per_record(age_sex_risk_N, table, "risks from age and sex")
    return control_N if np.isfinite(control_N[known_N]).all() else np.full(len(table), np.nan)


def _unusable(records: Records, part: str) -> str | None:
    count = len(np.unique(records.patient))
    if count < LEAST_PATIENTS:
        return f"{count} {part} patients have a known risk, age and sex; {LEAST_PATIENTS} are needed"
    if np.ptp(records.risk) == 0:
        return f"all {part} patients have the same risk: nothing to rank"
    return None


def _notes(estimates: Mapping[str, Estimate], n_test: int, n_patients: int) -> tuple[str, ...]:
    notes = []
    if n_patients < n_test:
        notes.append(f"rsa_p: of one record per patient ({n_patients}), the others of all {n_test} records")
    if (pairs := n_test * (n_test - 1) // 2) > MOST_PAIRS:
        notes.append(
            f"rsa: a seeded sample of {MOST_PAIRS} of {pairs} pairs; p from at most {MOST_MANTEL} patients"
        )
    undefined = [name for name, estimate in estimates.items() if np.isnan(estimate.value)]
    if undefined and set(undefined) <= {"rsa_partial", "rsa_beyond"}:
        names = ", ".join(undefined)
        notes.append(
            f"{names}: undefined, age and sex determine the risk differences or the embedding's distances"
        )
    elif undefined:
        notes.append(f"undefined, because something to be ranked is constant: {', '.join(undefined)}")
    return tuple(notes)
