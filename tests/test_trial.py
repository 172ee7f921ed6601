"""What a trial's evaluation hands to its tasks."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from clef_ray import trial
from clef_ray.ablation import Arm, Trial
from clef_ray.config import Run, override, task_spec
from clef_ray.datasets import COVARIATES
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError, DataError
from clef_ray.scores.score2 import Score2
from clef_ray.shards import Corpus, Stored
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, RECORD


@pytest.fixture
def corpus():
    """One lead that holds the age of the patient and nothing else."""
    table = Synthetic(patients=1500, seed=1, records_per_patient=1).table()
    signals = Stored.of_millivolts(np.repeat(table.age.to_numpy(np.float32)[:, None, None], 5000, axis=2))
    manifest = SimpleNamespace(fingerprint="abc", label_sets={}, headline="")
    return Corpus(signals, table, 500.0, ("I",), manifest)


@pytest.fixture
def age_encoder(monkeypatch):
    """Embeddings on a half circle by exp(age / 15)."""

    def features(x_NT):
        low, high = np.exp(np.array([18, 100]) / 15)  # of all patients: they come in pieces
        angle = np.pi * (np.exp(x_NT[:, 0] / 15) - low) / (high - low)
        return np.column_stack([np.cos(angle), np.sin(angle)])

    encoder = SimpleNamespace(load=lambda path, device: SimpleNamespace(features=features, run=RUN))
    monkeypatch.setattr(trial, "Embedder", encoder)


TASK = task_spec("score_spearman:permutations=1")
RUN = override(Run(data="other"), {"method": "random"})


def evaluated(corpus, folder, **options):
    return trial.evaluate(RUN, [TASK], corpus, Store(str(folder)), **options)["score_spearman"]


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


def test_a_split_has_results_of_its_own(corpus, age_encoder, tmp_path):
    """The two never answer for one another, neither when they are computed nor when they are read."""
    one, storage = Trial(Arm("random", {}), 0, RUN), str(tmp_path)
    store = trial.run_store(storage, RUN)
    store.write_bytes(RECORD, json.dumps({"history": [], "seconds": 1.0}).encode())
    store.write_bytes(ENCODER, b"which the fixture stands for")
    official = trial.evaluate(RUN, [TASK], corpus, store)["score_spearman"]
    assert trial.load_outcome(one, [TASK], "abc", storage, "selection") is None
    selection = trial.evaluate(RUN, [TASK], corpus, store, split="selection")["score_spearman"]
    folds = corpus.table.fold
    assert official.extras["zeroshot/n_test"] == (folds == 10).sum()
    assert selection.extras["zeroshot/n_test"] == (folds == 9).sum()
    for split, result in {"official": official, "selection": selection}.items():
        stored = trial.load_outcome(one, [TASK], "abc", storage, split)
        assert stored.results["score_spearman"].extras == result.extras
    assert trial.load_outcome(one, [TASK], "abc", storage).metrics["zeroshot/n_test"] == (folds == 10).sum()


@pytest.mark.parametrize("split", ["official", "selection"])
def test_an_encoder_that_saw_the_judged_patients_is_refused(corpus, age_encoder, tmp_path, split):
    seen = override(Run(data="abc"), {"train_folds": (1, 9)})
    with pytest.raises(ConfigError, match="fold 9 would be seen in pretraining and judged on"):
        trial.evaluate(seen, [TASK], corpus, Store(str(tmp_path)), split=split)


def test_a_new_task_on_a_run_whose_encoder_was_freed_names_the_remedy(corpus, tmp_path):
    """`clef-ray gc --encoders` frees what a report has judged; another task needs it again, and no retry would bring it back."""
    store = Store(str(tmp_path))
    store.write_bytes(RECORD, b"{}")
    with pytest.raises(DataError, match=rf"score_spearman.*gc --encoders.*delete {tmp_path}/{RECORD}"):
        trial.evaluate(RUN, [TASK], corpus, store)
