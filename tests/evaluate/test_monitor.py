"""The metrics of an encoder while it trains: against definitions written out, and without a trace in the training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from clef_ray.augment import preprocess
from clef_ray.config import Run, override
from clef_ray.datasets import COVARIATES
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.evaluate.cloud import cloud
from clef_ray.evaluate.inputs import Split
from clef_ray.evaluate.monitor import (
    Monitor,
    alignment,
    effective_rank,
    lead,
    rsa,
    spread,
    uniformity,
    validation_patients,
)
from clef_ray.evaluate.zeroshot import zero_shot
from clef_ray.scores.score2 import Score2
from clef_ray.shards import Stored, ingest_local, load_corpus
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, RECORD
from clef_ray.trial import pretrain_here

SETTINGS = {
    "signals.fs": 100,
    "signals.seconds": 2.0,
    "views.lead": "I",
    "train_folds": (1, 2),
    "optimiser.batch": 16,
    "optimiser.epochs": 2,
}
NAMES = {
    "valid/rsa",
    "embedding/std",
    "embedding/effective_rank",
    "embedding/uniformity",
    "embedding/alignment",
}


class Linear(torch.nn.Module):
    """As many embeddings as there are rows of weights, from the first samples."""

    def __init__(self, weights):
        super().__init__()
        self.dim = len(weights)
        self.weights = torch.nn.Parameter(torch.as_tensor(weights, dtype=torch.float32))

    def forward(self, x_BCT):
        return x_BCT[:, 0, : self.weights.shape[1]] @ self.weights.T


def rsa_by_loop(z, risk):
    distances, gaps = [], []
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            distances.append(1 - z[i] @ z[j] / np.sqrt((z[i] @ z[i]) * (z[j] @ z[j])))
            gaps.append(abs(risk[i] - risk[j]))
    return spearmanr(np.round(distances, 12), np.round(gaps, 9)).statistic


def monitor(x, risk, run=None):
    run = run or override(Run(), SETTINGS)
    return Monitor(run, x.astype(np.float32), np.asarray(risk, dtype=float), torch.device("cpu"))


@pytest.fixture(scope="module")
def table():
    return Synthetic(patients=900, seed=1, records_per_patient=1.4).table()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=260, records_per_patient=1.0, seed=5), folder)
    return load_corpus(folder, 100.0, ("I", "II"))


@pytest.mark.parametrize("levels", [400, 4])
def test_rsa_is_scipys_spearman_over_pairs_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    risk = rng.integers(levels, size=40) / 7
    z = rng.normal(size=(40, 6)) + risk[:, None]
    assert rsa(z, risk) == pytest.approx(rsa_by_loop(z, risk), abs=1e-12)


def test_the_monitor_says_what_the_zero_shot_task_says_of_the_same_patients(table):
    """One record per patient and fewer than 500: then both look at the same pairs."""
    single = table.drop_duplicates("patient").reset_index(drop=True)
    run = override(Run(), SETTINGS)
    rows, risk = validation_patients(run, single)
    assert (single.fold.iloc[rows] == 9).all()
    assert 20 <= len(rows) < 500
    features = np.random.default_rng(0).normal(size=(len(single), 5)) + single[["age"]].to_numpy() / 20
    whole = np.full(len(single), np.nan)
    whole[rows] = risk
    whole[single.fold == 1] = np.linspace(1, 20, (single.fold == 1).sum())
    task = zero_shot(features, whole, single, permutations=1, n_boot=2, split=Split((1,), (2,), (9,)))
    assert rsa(features[rows], risk) == pytest.approx(task.estimates["rsa"].value, abs=1e-12)


def test_effective_rank_in_closed_form():
    eye = np.eye(8)
    assert effective_rank(np.ones((30, 8)) * np.arange(1, 31)[:, None]) == pytest.approx(1), "one direction"
    assert effective_rank(np.concatenate([eye, -eye, eye])) == pytest.approx(8), "all directions alike"
    # k^2 and m^2 rows along two axes: singular values k and m
    two = np.concatenate([np.tile(eye[0], (9, 1)), np.tile(eye[1], (16, 1))])
    p = np.array([3, 4]) / 7
    assert effective_rank(two) == pytest.approx(np.prod(p**-p))
    assert effective_rank(two * 5) == pytest.approx(effective_rank(two)), "length does not matter"
    assert effective_rank(np.zeros((20, 4))) == 0


def test_spread_is_1_for_isotropic_and_0_for_collapsed_embeddings():
    isotropic = np.random.default_rng(0).normal(size=(20_000, 16))
    assert spread(isotropic) == pytest.approx(1, abs=0.01)
    assert spread(np.concatenate([np.eye(8), -np.eye(8)])) == pytest.approx(1)
    assert spread(np.ones((30, 8)) * np.arange(1, 31)[:, None]) == pytest.approx(0, abs=1e-12)
    assert spread(np.zeros((30, 8))) == 0


def test_uniformity_is_the_log_of_the_mean_potential_of_all_pairs():
    """Written out, and the same number as the geometry task's, which goes by cosines."""
    z = np.random.default_rng(1).normal(size=(25, 6)) + 0.4
    u = [row / np.sqrt(row @ row) for row in z]
    pairs = [np.exp(-2 * ((u[i] - u[j]) @ (u[i] - u[j]))) for i in range(25) for j in range(i)]
    assert uniformity(z) == pytest.approx(np.log(np.mean(pairs)), rel=1e-12)
    cosine = np.array(u) @ np.array(u).T
    np.fill_diagonal(cosine, 0)
    assert uniformity(z) == pytest.approx(cloud(cosine, np.ones((1, 25)))["uniformity"][0], rel=1e-9)
    assert uniformity(np.ones((9, 3)) * np.arange(1, 10)[:, None]) == pytest.approx(0), (
        "length does not matter"
    )
    opposite = np.concatenate([np.eye(4)[:1], -np.eye(4)[:1]])
    assert uniformity(opposite) == pytest.approx(-8)
    spread_out = np.random.default_rng(2).normal(size=(1500, 256))
    assert uniformity(spread_out) == pytest.approx(-4, abs=0.05)


def test_alignment_is_the_mean_squared_distance_of_unit_vectors():
    rng = np.random.default_rng(3)
    z, other = rng.normal(size=(2, 12, 5))
    by_hand = np.mean([2 - 2 * a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(z, other, strict=True)])
    assert alignment(z, other) == pytest.approx(by_hand, rel=1e-12)
    assert alignment(z, 3 * z) == pytest.approx(0, abs=1e-15)
    assert alignment(z, -z) == pytest.approx(4)


def test_the_positive_pair_is_the_two_halves_of_one_window():
    """A window of an odd number of samples: the last one belongs to neither half."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 201)).astype(np.float32)
    encoder, seen = Linear(rng.normal(size=(5, 100))), []
    encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    made = monitor(x, np.full(30, np.nan))
    found = made(encoder)
    whole, first, second = (
        torch.cat(seen[k : k + len(seen) // 3]) for k in range(0, len(seen), len(seen) // 3)
    )
    assert [len(part) for part in (whole, first, second)] == [30] * 3
    assert [part.shape[-1] for part in (whole, first, second)] == [201, 100, 100]
    for part, wanted in ((first, x[:, :100]), (second, x[:, 100:200])):
        assert torch.equal(part[:, 0], preprocess(torch.from_numpy(wanted.copy()), made.run.signals))
    z, other = ((part[:, 0] @ encoder.weights.T).detach().double().numpy() for part in (first, second))
    assert found["embedding/alignment"] == pytest.approx(alignment(z, other), rel=1e-6)
    assert found["embedding/uniformity"] == pytest.approx(
        uniformity((whole[:, 0, :100] @ encoder.weights.T).detach().double().numpy()), rel=1e-6
    )
    twice = np.concatenate([x[:, :100], x[:, :100]], axis=1)
    assert monitor(twice, np.full(30, np.nan))(encoder)["embedding/alignment"] == pytest.approx(0, abs=1e-10)


def test_one_record_of_each_validation_patient_with_score2_at_the_centre(table):
    rows, risk = validation_patients(override(Run(), SETTINGS), table)
    chosen = table.iloc[rows]
    assert sorted(chosen.patient) == sorted(table[table.fold == 9].patient.unique())
    centre = {"smoker": 0.0, "sbp": 120.0, "total_cholesterol": 6.0, "hdl": 1.3}
    filled = {name: chosen[name].fillna(centre.get(name, np.nan)).to_numpy(float) for name in COVARIATES}
    np.testing.assert_array_equal(risk, Score2()(filled, chosen.patient.to_numpy(str)).value_N)


def test_of_many_patients_500_with_a_known_risk_the_same_for_every_run():
    table = Synthetic(patients=9000, seed=2, records_per_patient=1.0).table()
    unknown = table.index[table.fold == 9][::4]
    table.loc[unknown, "age"] = np.nan
    rows, risk = validation_patients(override(Run(seed=1), SETTINGS), table)
    again, _ = validation_patients(override(Run(seed=2), {**SETTINGS, "method": "simclr"}), table)
    np.testing.assert_array_equal(rows, again)
    assert len(rows) == 500
    assert np.isfinite(risk).all()
    assert np.abs(table.age.iloc[rows].mean() - table.age[table.fold == 9].mean()) < 3, "drawn, not sorted"


def test_a_fold_that_is_trained_on_validates_nothing(table):
    rows, _ = validation_patients(override(Run(), {"train_folds": (1, 2, 9)}), table)
    assert len(rows) == 0


@pytest.mark.parametrize(
    ("policy", "leads", "wanted"),
    [("II", ("I", "II"), "II"), ("random", ("II", "I"), "I"), ("random", ("V1", "V2"), "V1")],
)
def test_the_lead_follows_from_the_run(policy, leads, wanted):
    assert lead(override(Run(), {"views.lead": policy}), leads) == wanted


def test_what_cannot_be_computed_is_absent_and_never_nan():
    rng = np.random.default_rng(0)
    x, risk = rng.normal(size=(60, 200)), rng.uniform(1, 20, 60)
    encoder = Linear(rng.normal(size=(5, 100)))
    found = monitor(x, risk)(encoder)
    assert found.keys() == NAMES
    assert monitor(x[:0], risk[:0])(encoder) == {}
    assert monitor(x[:19], risk[:19])(encoder) == {}
    few = np.where(np.arange(60) < 19, risk, np.nan)
    for unknown in (np.full(60, np.nan), few, np.full(60, 3.0)):
        assert monitor(x, unknown)(encoder) == {name: found[name] for name in NAMES - {"valid/rsa"}}
    collapsed = monitor(x, risk)(Linear(np.zeros((5, 100))))
    assert collapsed == dict.fromkeys(NAMES - {"valid/rsa"}, 0)
    assert monitor(x, risk)(Linear(np.full((5, 100), np.nan))) == {}
    some = monitor(x, np.where(np.arange(60) < 40, risk, np.nan))(encoder)
    assert some["valid/rsa"] == monitor(x[:40], risk[:40])(encoder)["valid/rsa"], (
        "patients of known risk only"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder.norm": "bn", "encoder.dropout": 0.2, "loss.queue": 40, "loss.learn_temperature": True},
        {"method": "simclr", "views.lead": "random", "signals.seconds": 3.0},
    ],
)
def test_training_ends_at_the_same_bits_with_and_without_it(corpus, tmp_path, monkeypatch, settings):
    def trained(name):
        run = override(Run(data="d"), {**SETTINGS, **settings})
        pretrain_here(run, corpus, Store(str(tmp_path / name)), device="cpu")
        weights = torch.load(tmp_path / name / ENCODER, weights_only=True)["encoder"]
        return weights, json.loads((tmp_path / name / RECORD).read_text())["history"]

    watched, history = trained("watched")
    assert all(epoch.keys() >= NAMES for epoch in history)
    monkeypatch.setattr(Monitor, "__call__", lambda self, encoder: {})
    alone, without = trained("alone")
    assert [e["loss"] for e in history] == [e["loss"] for e in without]
    assert not NAMES & without[0].keys()
    assert watched.keys() == alone.keys()
    assert all(torch.equal(watched[name], alone[name]) for name in watched)


def test_the_encoder_keeps_its_mode_its_statistics_and_the_random_numbers():
    norm = torch.nn.BatchNorm1d(5)
    encoder = torch.nn.Sequential(Linear(np.random.default_rng(0).normal(size=(5, 100))), norm)
    x = np.random.default_rng(1).normal(size=(30, 200))
    for training in (True, False):
        encoder.train(training)
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        state = torch.get_rng_state()
        assert monitor(x, np.arange(30.0))(encoder)
        assert encoder.training is norm.training is training
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_the_history_does_not_depend_on_what_else_is_in_memory(corpus, tmp_path):
    """A sweep with a task on lead II holds it too; the run that it shares with another sweep is the same."""

    def history(held):
        store = Store(str(tmp_path / "-".join(held.leads)))
        pretrain_here(override(Run(data="d"), SETTINGS), held, store, device="cpu")
        return [{n: e[n] for n in NAMES} for e in json.loads(store.read_bytes(RECORD))["history"]]

    def with_leads(at, *leads):
        s = corpus.signals
        signals = Stored(s.raw_NKT[:, at], s.gain_NK[:, at], s.baseline_NK[:, at])
        return replace(corpus, signals=signals, leads=leads)

    one, other = with_leads([0], "I"), with_leads([1, 0], "II", "I")
    assert history(one) == history(other)
