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

from collections.abc import Mapping
from dataclasses import replace

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
from clef_ray.evaluate.inputs import LEAST_PATIENTS, OFFICIAL, Split, check_features, patients
from clef_ray.evaluate.judged import judged
from clef_ray.evaluate.problem import Material, Unanswerable
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.risks import computable, observed, risks, unknown_fields
from clef_ray.tasks.score_spearman import ScoreSpearman


def zeroshot(task: ScoreSpearman, material: Material) -> TaskResult:
    """`zero_shot` with the task's score, computed from the corpus's covariates.

    On a corpus other than that of pretraining nothing is fitted: readout and axis come from the training patients of `material.home`, by
    their risk, and all records that are not kept for choosing are judged (`judged.py`). Extras there also: `n_source`, the records that
    were fitted on. `observed`: the mean share of the score's fields that are known in the judged records; a note says of each
    that is not always known how often it is.

    Raises Unanswerable where the score, age or sex is unknown in every judged record.
    """
    judged_N = judged(material)
    risk_N, age_sex_risk_N = risks(task.score, material.table)
    _require_known(task.score, risk_N[judged_N], material.table[judged_N])
    if material.home is not None:
        result = _carried_over(task, material, material.home, judged_N)
    else:
        result = _at_home(task, material, risk_N, age_sex_risk_N)
    share, known = observed(task.score, material.table[judged_N])
    centred = [f"{field} known in {part:.0%}" for field, part in known.items() if part < 1]
    said = (f"{task.score}: where a field is unknown it stands at its centre: {', '.join(centred)}",)
    extras = {**result.extras, "observed": share}
    return replace(result, extras=extras, notes=(*(said if centred else ()), *result.notes))


def _at_home(
    task: ScoreSpearman,
    material: Material,
    risk_N: NDArray[np.float64],
    age_sex_risk_N: NDArray[np.float64],
) -> TaskResult:
    return zero_shot(
        material.features(task),
        risk_N,
        material.table,
        age_sex_risk_N=age_sex_risk_N,
        permutations=task.permutations,
        n_boot=material.n_boot,
        seed=material.seed,
        split=material.split,
    )


def _require_known(name: str, risk_N: NDArray[np.float64], table: pd.DataFrame) -> None:
    """Unanswerable where no record of the table has the score, age and sex: says what is missing, and what could be asked instead."""
    if (np.isfinite(risk_N) & np.isfinite(table["age"]) & np.isfinite(table["sex"])).any():
        return
    missing, others = unknown_fields(name, table), computable(table)
    raise Unanswerable(
        f"none of {len(table)} judged records has score {name!r} together with age and sex, its controls; all of them lack "
        f"{', '.join(missing) or 'no field, but each lacks some'}; scores that could be asked about here: {', '.join(others) or 'none'}"
    )


def _carried_over(
    task: ScoreSpearman, material: Material, home: Material, judged_N: NDArray[np.bool_]
) -> TaskResult:
    """What home's training patients teach, tried on the judged records of another corpus."""
    train_N = home.split.rows(home.table).train
    taught, fitted_N = _records(home.features(task), home.table, train_N, *risks(task.score, home.table))
    asked, known_N = _records(
        material.features(task), material.table, judged_N, *risks(task.score, material.table)
    )
    source, target = taught.take(fitted_N), asked.take(known_N)
    result = _compared(source, target, int(judged_N.sum()), task.permutations, material.n_boot, material.seed)
    note = f"readout and axis: from {len(source.risk)} training records of {home.facts.dataset}"
    extras = {**result.extras, "n_source": float(len(source.risk))}
    return replace(result, extras=extras, notes=(note, *result.notes))


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
    `rsa_beyond` is undefined (a score that age
    and sex do not give).

    Estimates: `rsa`, `readout` and `axis`, each also with `_age` and `_permuted`, `rsa_partial` and `rsa_beyond`. Extras: `coverage` (share of
    test records used), `n_test`, `rsa_p` (one-sided Mantel). Fewer than 20 patients or a constant risk: skipped with the reason.
    Raises DataError for non-finite features, risks that do not match the table, or a patient on two sides of the split.
    """
    rows = split.rows(table)
    records, known_N = _records(features_ND, table, rows.train | rows.test, risk_N, age_sex_risk_N)
    source, target = records.take(rows.train & known_N), records.take(rows.test & known_N)
    return _compared(source, target, int(rows.test.sum()), permutations, n_boot, seed)


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


def _compared(
    source: Records, target: Records, asked: int, permutations: int, n_boot: int, seed: int
) -> TaskResult:
    """The estimates of `zero_shot`: fitted on `source`, judged on `target`, the usable ones of `asked` records."""
    n_test = len(target.risk)
    extras = {
        "coverage": n_test / max(asked, 1),
        "n_test": float(n_test),
        "n_patients": float(len(np.unique(target.patient))),
    }
    if reason := _unusable(target, "test"):
        return TaskResult({}, extras, reason)
    weights = sample_and_resamples(target.patient, n_boot, seed)
    statistics, untaught = pair_statistics(target, weights, seed), _unusable(source, "training")
    if untaught is None:
        statistics |= source_statistics(source, target, weights, seed)
    extras["rsa_p"] = mantel_p(target.take(one_record_each(target.patient, seed)), permutations, seed)
    estimates = {name: Estimate.of(statistic) for name, statistic in statistics.items()}
    notes = _notes(estimates, n_test, int(extras["n_patients"]))
    if untaught is not None:
        notes = (f"no readout and no axis: {untaught}", *notes)
    if np.isnan(target.age_sex_risk).all():
        notes = ("rsa_beyond: undefined, age and sex do not give the score of all records", *notes)
    return TaskResult(estimates, extras, None, notes)


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
