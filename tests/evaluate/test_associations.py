"""What scores say about labels, against scikit-learn, scipy and plain loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import DataError
from clef_ray.evaluate import associations as module
from clef_ray.evaluate.associations import associations, jaccard_distances, permuted
from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.risks import computable, risks

CLASSES = Synthetic.label_sets["diagnosis"]


@pytest.fixture(scope="module")
def table():
    """Some persons with several records; some records nobody looked at, some of unknown age."""
    table = Synthetic(patients=90, records_per_patient=1.4).table()
    rng = np.random.default_rng(0)
    table.loc[rng.random(len(table)) < 0.1, "age"] = np.nan
    unseen = rng.random(len(table)) < 0.1
    table["label_diagnosis"] = [
        None if n else names for names, n in zip(table["label_diagnosis"], unseen, strict=True)
    ]
    table["findings"] = [
        np.nan if a is None else float(len({*a} - {"NORM"})) for a in table["label_diagnosis"]
    ]
    return table


@pytest.fixture(scope="module")
def found(table):
    return associations(table, {"diagnosis": CLASSES}, ("sbp",), n_boot=20)


def looked_at(table):
    return table[table["label_diagnosis"].notna() & table["age"].notna()]


def row(found, score, statistic, name=""):
    (only,) = [a for a in found.of(statistic) if (a.score, a.name) == (score, name)]
    return only


@pytest.mark.parametrize("score", ["score2", "age", "sex", "cha2ds2_va"])
def test_the_auroc_is_scikit_learns(table, found, score):
    rows = looked_at(table)
    risk_N = risks(score, table)[0][rows.index]
    asked = [a for a in found.of("auroc", "diagnosis") if a.score == score]
    assert len(asked) >= 3
    for a in asked:
        has_N = np.array([a.name in names for names in rows["label_diagnosis"]])
        assert a.estimate.value == pytest.approx(roc_auc_score(has_N, risk_N), abs=1e-12)
        assert a.positive == rows.loc[has_N, "patient"].nunique()
        assert (a.records, a.patients) == (len(rows), rows["patient"].nunique())


def test_a_resample_repeats_patients_with_all_their_records(table, found):
    rows = looked_at(table)
    risk_N = risks("age", table)[0][rows.index]
    has_N = np.array(["NORM" in names for names in rows["label_diagnosis"]])
    times_BN = sample_and_resamples(rows["patient"].to_numpy(str), 20, 0)[1:].astype(int)
    again = [roc_auc_score(np.repeat(has_N, t), np.repeat(risk_N, t)) for t in times_BN]
    np.testing.assert_allclose(row(found, "age", "auroc", "NORM").estimate.replicates, again, atol=1e-12)


def test_the_rank_correlation_is_scipys(table, found):
    rows = table[table["age"].notna()]
    expected = spearmanr(risks("score2", table)[0][rows.index], rows["sbp"]).statistic
    a = row(found, "score2", "spearman")
    assert a.estimate.value == pytest.approx(expected, abs=1e-12)
    assert (a.about, a.records, a.positive) == ("sbp", len(rows), 0)


def test_rsa_pairs_the_records_of_different_patients(table, found):
    rows = looked_at(table)
    risk_N, names = risks("age", table)[0][rows.index], rows["label_diagnosis"].tolist()
    patient, apart, other = rows["patient"].tolist(), [], []
    for i in range(len(rows)):
        for j in range(i):
            if patient[i] != patient[j]:
                a, b = {*names[i]}, {*names[j]}
                apart.append(abs(risk_N[i] - risk_N[j]))
                other.append(1 - len(a & b) / len(a | b) if a | b else 0.0)
    expected = spearmanr(np.round(apart, 9), np.round(other, 9)).statistic
    assert row(found, "age", "rsa").estimate.value == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30)
@given(st.lists(st.sets(st.integers(0, 4)), min_size=2, max_size=8))
def test_the_label_distance_is_that_of_sets(sets):
    positive_NK = np.array([[k in one for k in range(5)] for one in sets])
    i_P, j_P = np.triu_indices(len(sets), 1)
    expected = [
        1 - len(sets[i] & sets[j]) / len(sets[i] | sets[j]) if sets[i] | sets[j] else 0
        for i, j in zip(i_P, j_P, strict=True)
    ]
    np.testing.assert_allclose(jaccard_distances(positive_NK, i_P, j_P), expected, atol=1e-12)


def test_the_label_distance_of_four_people():
    """None; A; A and B; C: worked by hand."""
    positive_NK = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    i_P, j_P = np.array([0, 1, 1, 2, 0]), np.array([1, 2, 3, 3, 0])
    assert jaccard_distances(positive_NK, i_P, j_P).tolist() == [1, 0.5, 1, 1, 0]


def test_the_leading_score_comes_first_and_its_permutation_last(table, found):
    assert found.scores[0] == "score2"
    assert found.scores[-1] == permuted("score2")
    assert {*found.scores[:-1]} == {*computable(table)}


def test_the_control_has_the_same_values_among_other_patients(table):
    scored = dict(module._scored(("score2",), table, 0))
    own_N, shuffled_N = scored["score2"], scored[permuted("score2")]
    known_N = np.isfinite(own_N)
    assert (np.isfinite(shuffled_N) == known_N).all()
    first = table[known_N].drop_duplicates("patient").index
    assert sorted(own_N[first]) == sorted(shuffled_N[first])
    assert np.mean(own_N[first] == shuffled_N[first]) < 0.2
    per_patient = pd.Series(shuffled_N[known_N]).groupby(table["patient"][known_N].to_numpy()).nunique()
    assert (per_patient == 1).all()


def test_a_score_that_knows_all_is_marked_and_its_permutation_is_not():
    """60 people, of whom the older half has the class."""
    age = np.linspace(40, 69, 60)
    table = Synthetic(patients=60, records_per_patient=1).table().assign(age=age)
    table["label_diagnosis"] = [["AF"] if a > 54.5 else ["NORM"] for a in age]
    found = associations(table, {"diagnosis": CLASSES}, n_boot=50)
    a = row(found, "age", "auroc", "AF")
    assert (a.estimate.value, a.estimate.low, a.marked) == (1, 1, True)
    assert row(found, "age", "auroc", "NORM").estimate.value == 0
    assert not row(found, permuted("score2"), "auroc", "AF").marked
    (note,) = [n for n in found.notes if n.startswith("diagnosis: fewer than 5 patients")]
    assert "PVC" in note
    assert "AF" not in note.split()


def test_a_note_names_the_scores_it_is_about_where_it_is_not_about_all():
    assert module._told("note", ["a"], ("a", "b")) == "note (a)"
    assert module._told("note", ["a", "b"], ("a", "b")) == "note"
    assert module._told("note", [], ("a", "b")) == "note"


def test_where_no_score_can_be_computed_the_error_says_what_nobody_has(table):
    with pytest.raises(DataError, match="nobody has: age"):
        associations(table.assign(age=np.nan), {"diagnosis": CLASSES}, n_boot=2)


def test_a_value_that_few_have_is_left_out_with_a_note(table):
    few = table.assign(sbp=np.where(np.arange(len(table)) < 10, table["sbp"], np.nan))
    found = associations(few, {}, ("sbp",), n_boot=2)
    assert not found.rows
    assert any(note.startswith("sbp: known of") for note in found.notes)


def test_of_more_patients_a_seeded_sample_with_all_their_records(table, monkeypatch):
    monkeypatch.setattr(module, "MOST_PATIENTS", 40)
    notes = {}
    few = module._few(table, 0, notes)
    assert few["patient"].nunique() == 40
    assert len(few) == table["patient"].isin(few["patient"]).sum()
    assert list(notes) == [f"40 of {table['patient'].nunique()} patients, drawn at random"]
    assert module._few(table, 0, {})["record"].tolist() == few["record"].tolist()
