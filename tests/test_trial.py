"""What a trial's evaluation hands to its tasks."""

from types import SimpleNamespace

import numpy as np
import pytest

from clef_ray import trial
from clef_ray.config import Run, override, task_spec
from clef_ray.datasets import COVARIATES
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.scores.score2 import Score2
from clef_ray.store import Store


@pytest.fixture
def corpus():
    """One lead that holds the age of the patient and nothing else."""
    table = Synthetic(patients=1500, seed=1, records_per_patient=1).table()
    signals = np.repeat(table.age.to_numpy(np.float32)[:, None, None], 5000, axis=2)
    manifest = SimpleNamespace(fingerprint="abc", label_sets={}, headline="")
    return SimpleNamespace(signals_NCT=signals, table=table, leads=("I",), manifest=manifest)


@pytest.fixture
def age_encoder(monkeypatch):
    """Embeddings on a half circle by exp(age / 15)."""

    def features(x_NT):
        bent = np.exp(x_NT[:, 0] / 15)
        angle = np.pi * (bent - bent.min()) / np.ptp(bent)
        return np.column_stack([np.cos(angle), np.sin(angle)])

    encoder = SimpleNamespace(load=lambda path, device: SimpleNamespace(features=features))
    monkeypatch.setattr(trial, "Embedder", encoder)


def evaluated(corpus, folder):
    run = override(Run(data="other"), {"method": "random"})
    task = task_spec("score_spearman:permutations=1")
    return trial.evaluate(run, [task], corpus, Store(str(folder)))["score_spearman"]


def test_an_encoder_of_age_has_no_partial_correlation_with_the_score(corpus, age_encoder, tmp_path):
    estimates = evaluated(corpus, tmp_path).estimates
    assert estimates["zeroshot/rsa"].value > 0.5
    assert abs(estimates["zeroshot/rsa_beyond"].value) < 0.15


def test_with_age_and_sex_alone_the_partial_correlation_is_undefined(corpus, age_encoder, tmp_path):
    corpus.table[[name for name in COVARIATES if name not in ("age", "sex")]] = np.nan
    result = evaluated(corpus, tmp_path)
    assert result.estimates["zeroshot/rsa"].value > 0.5
    assert np.isnan(result.estimates["zeroshot/rsa_beyond"].value)
    assert any("age and sex determine the risk" in note for note in result.notes)


def test_the_second_risk_is_the_centres_person_of_that_age_and_sex(corpus):
    table = corpus.table
    covariates = {name: table[name].to_numpy(float) for name in COVARIATES}
    names = table.patient.to_numpy(str)
    centre = {"smoker": 0.0, "sbp": 120.0, "total_cholesterol": 6.0, "hdl": 1.3}
    alike = covariates | {field: np.full(len(table), value) for field, value in centre.items()}
    whole, age_sex = trial._task_risks(SimpleNamespace(kind="zeroshot", score="score2"), table)
    np.testing.assert_array_equal(whole, Score2()(covariates, names).value_N)
    np.testing.assert_array_equal(age_sex, Score2()(alike, names).value_N)


def test_a_score_that_age_and_sex_do_not_give_has_no_second_risk(corpus):
    table = corpus.table.assign(findings=1.0)
    whole, age_sex = trial._task_risks(SimpleNamespace(kind="zeroshot", score="acute"), table)
    assert np.isfinite(whole).all()
    assert np.isnan(age_sex).all()
    assert trial._task_risks(SimpleNamespace(kind="probe"), table) == (None, None)
