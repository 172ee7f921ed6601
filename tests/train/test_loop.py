"""Pretraining: what a killed run may not change, and what it records."""

import json
import math

import numpy as np
import pytest
import torch
from noise_cohort import cohort, make_trainer, same, train, weights

from clef_ray.config import Optimiser, Run, override
from clef_ray.distributed import CHECKPOINT, LocalContext
from clef_ray.errors import DataError, StorageError, TrainingError
from clef_ray.shards import Stored
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, RECORD, build_encoder, history_so_far
from clef_ray.train.optimise import learning_rate
from clef_ray.train.subjects import training_rows

#: Everything that a run carries from step to step beyond its weights.
CARRIED = {"loss.queue": 12, "loss.learn_temperature": True, "batches": "risk_stratified"}


@pytest.mark.parametrize("settings", [{}, {"method": "simclr"}, CARRIED, {**CARRIED, "method": "simclr"}])
def test_a_killed_run_resumes_and_ends_where_an_uninterrupted_one_ends(tmp_path, settings):
    class KilledError(Exception):
        pass

    def kill(metrics):
        if metrics["epoch"] == 2:
            raise KilledError

    whole = train(tmp_path / "whole", settings)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", settings, kill)
    assert not Store(str(tmp_path / "killed")).exists(RECORD), "only COMPLETE counts"
    resumed_epochs = []
    resumed = train(tmp_path / "killed", settings, lambda m: resumed_epochs.append(m["epoch"]))
    assert resumed_epochs == [3]
    assert same(weights(whole), weights(resumed)), "bitwise"
    told = [
        [(e["loss"], e.get("temperature")) for e in json.loads(s.read_bytes(RECORD))["history"]]
        for s in (whole, resumed)
    ]
    assert told[0] == told[1]
    record = json.loads(resumed.read_bytes(RECORD))
    assert record["seconds"] >= sum(e["seconds"] for e in record["history"]), "both processes' time counts"


def test_a_finished_run_is_not_trained_again(tmp_path):
    train(tmp_path)
    before = (tmp_path / ENCODER).stat().st_mtime_ns
    epochs = []
    train(tmp_path, listen=epochs.append)
    assert epochs == []
    assert (tmp_path / ENCODER).stat().st_mtime_ns == before


def test_the_loss_falls_on_records_that_can_be_told_apart(tmp_path):
    table, signals = cohort()
    t = np.arange(200) / 100
    waves = np.sin(2 * np.pi * t * np.linspace(2, 20, len(table))[:, None, None]).astype(np.float32)
    signals = Stored.of_millivolts(waves)
    store = train(
        tmp_path, {"optimiser.epochs": 30, "method": "simclr", "views.noise_mv": 0.01}, data=(table, signals)
    )
    history = json.loads(store.read_bytes(RECORD))["history"]
    assert history[-1]["loss"] < 0.7 * math.log(15), "chance is log(2B - 1)"


def test_bfloat16_is_a_choice_that_makes_another_run_and_trains_alike(tmp_path):
    full, half = train(tmp_path / "fp32"), train(tmp_path / "bf16", {"optimiser.precision": "bf16"})
    losses = [json.loads(s.read_bytes(RECORD))["history"][-1]["loss"] for s in (full, half)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert {t.dtype for t in weights(half).values()} == {torch.float32}, "weights stay in full precision"


def test_arms_with_one_seed_start_from_the_same_weights():
    a = build_encoder(override(Run(seed=3), {"method": "clef"})).state_dict()
    b = build_encoder(override(Run(seed=3), {"method": "random"})).state_dict()
    c = build_encoder(Run(seed=4)).state_dict()
    assert same(a, b)
    assert not same(a, c)


def test_the_control_is_not_trained(tmp_path):
    store = train(tmp_path, {"method": "random"})
    assert same(weights(store), build_encoder(Run()).state_dict())
    assert json.loads(store.read_bytes(RECORD))["history"] == []


def test_held_out_patients_are_never_seen_and_counted(tmp_path):
    table, signals = cohort()
    signals.gain_NK[-6:] = np.nan
    store = train(tmp_path, data=(table, signals))
    record = json.loads(store.read_bytes(RECORD))
    assert record["records"] == 18
    assert record["patients_excluded"] == 6
    assert all(math.isfinite(e["loss"]) for e in record["history"])
    table.loc[0, "patient"] = table.loc[23, "patient"]
    with pytest.raises(DataError, match="1 patients have records both in the training folds and outside"):
        training_rows(Run(), table)


def test_a_loss_that_is_not_finite_ends_the_run_with_the_epoch(tmp_path):
    table, signals = cohort()
    signals.gain_NK[0] = np.nan
    told = []
    with pytest.raises(TrainingError, match=r"not finite in epoch 1 \(loss/weighted, loss/alignment\)"):
        train(tmp_path, data=(table, signals), listen=told.append)
    assert told == [], "the epoch did not end well"
    assert not Store(str(tmp_path)).exists(CHECKPOINT)


def test_the_term_that_was_not_finite_first_is_named(monkeypatch):
    """After it the weights are NaN and every term is; the message tells of the step in which it began."""
    trainer = make_trainer()
    steps = iter([[1.0, 1.0, 2.0], [math.inf, math.inf, 2.0], [math.nan] * 3, [1.0, 1.0, 1.0]])

    def step(*arguments):
        return ["loss", "loss/a", "loss/b"], torch.tensor(next(steps))

    monkeypatch.setattr(trainer, "step", step)
    monkeypatch.setattr(type(trainer.plan), "steps", 4)
    monkeypatch.setattr(type(trainer.plan), "batches", lambda self, epoch: [None] * 4)
    with pytest.raises(TrainingError, match=r"not finite in epoch 3 \(loss/a\);"):
        trainer._epoch(2, iter([None] * 4))


def test_every_epoch_is_watched_and_told_with_its_metrics(tmp_path):
    trainer, seen, told = make_trainer(), [], []
    trainer.context = LocalContext(Store(str(tmp_path)), "cpu", told.append)

    def watch(encoder):
        assert encoder is trainer.encoder
        seen.append(trainer.optimiser.state[next(encoder.parameters())]["step"].item())
        return {"embedding/std": float(len(seen))}

    history = trainer.fit(watch)
    assert seen == [2, 4, 6], "after the epoch's last step"
    assert [e["embedding/std"] for e in history] == [1, 2, 3]
    assert told == history
    assert history_so_far(trainer.context.store) == history


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(StorageError, match=r"checkpoint\.pt is not a clef_ray checkpoint"):
        train(tmp_path)


def test_learning_rate_warms_up_and_falls_by_half_a_cosine():
    o = Optimiser(epochs=11, lr=1.0, lr_min=0.1, warmup_epochs=1.0)
    assert learning_rate(o, 0.5) == 0.5
    assert learning_rate(o, 1.0) == 1.0
    assert learning_rate(o, 6.0) == pytest.approx(0.55)
    assert learning_rate(o, 11.0) == pytest.approx(0.1)


@pytest.mark.parametrize("method", ["clef", "simclr"])
def test_a_learned_temperature_moves_and_is_told_and_a_fixed_one_is_not(tmp_path, method):
    def history(name, learned):
        settings = {"method": method, "loss.learn_temperature": learned, "loss.temperature": 0.2}
        return json.loads(train(tmp_path / name, settings).read_bytes(RECORD))["history"]

    temperatures = [e["temperature"] for e in history("learned", learned=True)]
    assert len(set(temperatures)) == 3
    assert all(0 < abs(t - 0.2) < 0.01 for t in temperatures), "Adam moves ln τ by at most lr a step"
    assert all("temperature" not in e for e in history("fixed", learned=False))


def test_weights_decay_and_a_learned_temperature_does_not():
    trainer = make_trainer({"loss.learn_temperature": True, "optimiser.weight_decay": 0.5})
    decays = [(g["weight_decay"], len(g["params"])) for g in trainer.optimiser.param_groups]
    assert decays == [(0.5, len(list(trainer.learner.parameters()))), (0.0, 1)]
    assert trainer.optimiser.param_groups[1]["params"][0] is trainer.loss.temperature.log


def test_risk_stratified_batches_train_without_a_loss_that_uses_risk(tmp_path):
    settings = {"method": "simclr", "batches": "risk_stratified"}
    told = [
        json.loads(train(tmp_path / str(n), s).read_bytes(RECORD))["history"][-1]["loss"]
        for n, s in enumerate([settings, {"method": "simclr"}])
    ]
    assert told[0] != told[1]
    assert all(map(math.isfinite, told))
