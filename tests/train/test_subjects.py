"""What the loss is told of the training patients, and what it is never told."""

from typing import get_args

import numpy as np
import pytest
from noise_cohort import cohort

from clef_ray import scores, sections
from clef_ray.config import Run, override
from clef_ray.datasets import COVARIATES
from clef_ray.errors import ConfigError, DataError
from clef_ray.train.subjects import read_plan, subjects, training_rows

TRAINING, EVERYONE = 18, 24


def test_the_configuration_knows_the_policies_and_mechanisms_of_the_scores():
    assert set(get_args(sections.Imputation)) == set(get_args(scores.Imputation))
    assert set(get_args(sections.Mechanism)) == set(get_args(scores.Mechanism))


def test_an_unknown_risk_for_everybody_is_an_error_not_a_constant():
    table, _ = cohort()
    table["age"] = np.nan
    with pytest.raises(DataError, match="score 'score2' is unknown for every one of the 18 training records"):
        subjects(Run(), table)


def test_data_without_a_training_record_are_named_as_such():
    """MIT-BIH as ingested by default is all test."""
    table, _ = cohort()
    table["fold"] = 10
    for run in (Run(), override(Run(), {"score": None})):
        with pytest.raises(DataError, match="none of the 24 records is in a training fold"):
            training_rows(run, table)


def test_permuted_risks_differ_between_seeds_and_stay_within_the_training_patients():
    table, _ = cohort()
    true = subjects(Run(), table)
    made = [subjects(override(Run(seed=s), {"score": "permuted"}), table) for s in (0, 1)]
    assert not np.array_equal(made[0].risk_NK, made[1].risk_NK, equal_nan=True)
    for permuted in made:
        own = permuted.risk_NK[:TRAINING, 0], true.risk_NK[:TRAINING, 0]
        assert sorted(own[0]) == sorted(own[1]), "the training patients' own risks, exchanged"
        assert np.isnan(permuted.risk_NK[TRAINING:]).all(), "a held-out patient's risk is never read"


def test_a_score_that_is_a_point_keeps_its_coordinates():
    table, _ = cohort()
    table.loc[0, "age"] = np.nan
    people = subjects(override(Run(), {"score": "age_sex"}), table)
    assert people.risk_NK.shape == (EVERYONE, 2)
    assert np.isnan(people.risk_NK[0]).all()
    assert people.completeness_N[:2].tolist() == [0, 1]
    slope = np.polyfit(table["age"][1:TRAINING], people.risk_NK[1:TRAINING, 0], 1)[0]
    assert slope > 0, "the first coordinate is age"


def test_imputation_is_fitted_on_the_training_patients_alone():
    table, _ = cohort()
    table.loc[0, "sbp"] = np.nan
    run = override(Run(), {"imputation": "median"})
    before = subjects(run, table)
    table.loc[TRAINING:, "sbp"] = 300.0
    after = subjects(run, table)
    assert np.array_equal(before.risk_NK, after.risk_NK, equal_nan=True)
    filled = table.copy()
    filled.loc[0, "sbp"] = table["sbp"][1:TRAINING].median()
    assert after.risk_NK[0, 0] == pytest.approx(subjects(Run(), filled).risk_NK[0, 0], rel=1e-12)
    assert after.completeness_N[0] < after.completeness_N[1] == 1


def test_what_missingness_deletes_lowers_completeness_and_no_patient_loses_age_or_sex():
    table, _ = cohort(400)
    settings = {"missingness.mechanism": "mcar", "missingness.rate": 0.5}
    whole, run = subjects(Run(), table), override(Run(), settings)
    people = subjects(run, table)
    training = slice(0, 394)
    assert (whole.completeness_N[training] == 1).all()
    share = 4 / 6  # of SCORE2's six fields all but age and sex may go
    assert people.completeness_N[training].mean() == pytest.approx(1 - 0.5 * share, abs=0.03)
    assert np.isfinite(people.risk_NK[training]).all(), "filled at the centre"
    again, other = subjects(run, table), subjects(override(run, {"seed": 1}), table)
    assert np.array_equal(people.completeness_N, again.completeness_N)
    assert not np.array_equal(people.completeness_N, other.completeness_N), "the run's seed chooses"


def test_everything_deleted_leaves_age_and_sex_and_the_centre_of_the_rest():
    table, _ = cohort()
    people = subjects(override(Run(), {"missingness.mechanism": "mcar", "missingness.rate": 1}), table)
    bare = table.copy()
    bare[[name for name in COVARIATES if name not in ("age", "sex")]] = np.nan
    np.testing.assert_array_equal(people.risk_NK, subjects(Run(), bare).risk_NK)
    unfilled = {"missingness.mechanism": "mcar", "missingness.rate": 1, "imputation": "none"}
    with pytest.raises(DataError, match="unknown for every one of the 18 training records"):
        subjects(override(Run(), unfilled), table)


def test_the_published_preset_trains_without_any_risk():
    table, _ = cohort()
    table["smoker"] = np.nan
    settings = {"loss.preset": "published", "imputation": "none"}
    assert np.isnan(subjects(override(Run(), settings), table).risk_NK).all()
    with pytest.raises(DataError, match="unknown for every one"):
        subjects(override(Run(), {**settings, "loss.unknown": "average"}), table)


def test_stratified_batches_are_sorted_by_the_training_records_own_risk():
    table, _ = cohort()
    table.loc[3, "age"] = np.nan
    run = override(Run(), {"batches": "risk_stratified", "optimiser.batch": 6})
    people, rows = subjects(run, table), training_rows(run, table)
    rows = rows[::-1].copy()  # a record's risk goes with its row
    plan = read_plan(run, people, rows, np.zeros(EVERYONE, dtype=np.int64))
    np.testing.assert_array_equal(plan.risk, people.risk_NK[rows, 0])
    shuffled = override(run, {"batches": "shuffled"})
    assert read_plan(shuffled, people, rows, np.zeros(EVERYONE, dtype=np.int64)).risk is None
    point = override(run, {"score": "age_sex"})
    with pytest.raises(ConfigError, match="risk_stratified needs a score of one value"):
        read_plan(point, subjects(point, table), rows, np.zeros(EVERYONE, dtype=np.int64))
