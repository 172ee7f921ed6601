"""Pretraining: what a killed run, two workers and another feed may not change."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from clef_ray.config import Optimiser, Run, override
from clef_ray.datasets import COVARIATES
from clef_ray.distributed import CHECKPOINT, LocalContext, gather_views, load_state, sum_gradients
from clef_ray.errors import ClefRayError, ConfigError, DataError, StorageError
from clef_ray.losses import Pairs, mean, reduce
from clef_ray.losses.guided import Guided, risk_reference
from clef_ray.losses.ntxent import Ntxent
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, RECORD, MemoryFeed, Trainer, build_encoder, learning_rate
from clef_ray.train.plan import ReadPlan
from clef_ray.train.subjects import subjects, training_rows
from clef_ray.trial import pretrain

SETTINGS = {
    "signals.fs": 100,
    "signals.seconds": 2.0,
    "views.lead": "I",
    "optimiser.batch": 8,
    "optimiser.epochs": 3,
    "optimiser.lr": 1e-3,
}


def cohort(records: int = 24, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A table with complete covariates, and one lead of noise per record; the last six records are held out."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: np.full(records, np.nan) for name in COVARIATES})
    table["record"] = [f"r{i}" for i in range(records)]
    table["patient"] = [f"p{i}" for i in range(records)]
    table["fold"] = [1 + i % 8 if i < records - 6 else 10 for i in range(records)]
    table["age"], table["sex"] = rng.uniform(40, 69, records), rng.integers(0, 2, records).astype(float)
    table["sbp"], table["smoker"] = rng.uniform(100, 180, records), rng.integers(0, 2, records).astype(float)
    table["total_cholesterol"], table["hdl"] = rng.uniform(4, 8, records), rng.uniform(0.8, 2, records)
    return table, rng.normal(size=(records, 1, 200)).astype(np.float32)


def train(folder, settings=None, listen=None, data=None):
    table, signals = data or cohort()
    run = override(Run(), {**SETTINGS, **(settings or {})})
    store = Store(str(folder))
    feed = MemoryFeed(signals, ("I",))
    pretrain(run, table, np.zeros(len(table), dtype=np.int64), feed, LocalContext(store, "cpu", listen))
    return store


def weights(store):
    return load_state(store, ENCODER)["encoder"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("method", ["clef", "simclr"])
def test_a_killed_run_resumes_and_ends_where_an_uninterrupted_one_ends(tmp_path, method):
    class KilledError(Exception):
        pass

    def kill(metrics):
        if metrics["epoch"] == 2:
            raise KilledError

    whole = train(tmp_path / "whole", {"method": method})
    with pytest.raises(KilledError):
        train(tmp_path / "killed", {"method": method}, kill)
    assert not Store(str(tmp_path / "killed")).exists(RECORD), "only COMPLETE counts"
    resumed_epochs = []
    resumed = train(tmp_path / "killed", {"method": method}, lambda m: resumed_epochs.append(m["epoch"]))
    assert resumed_epochs == [3]
    assert same(weights(whole), weights(resumed)), "bitwise"
    losses = [[e["loss"] for e in json.loads(s.read_bytes(RECORD))["history"]] for s in (whole, resumed)]
    assert losses[0] == losses[1]


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
    signals = np.sin(2 * np.pi * t * np.linspace(2, 20, len(table))[:, None, None]).astype(np.float32)
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
    signals[-6:] = np.nan
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
    signals[0] = np.nan
    with pytest.raises(ClefRayError, match="not finite in epoch 1"):
        train(tmp_path, data=(table, signals))


def test_an_unknown_risk_for_everybody_is_an_error_not_a_constant():
    table, _ = cohort()
    table["age"] = np.nan
    with pytest.raises(DataError, match="score 'score2' is unknown for every one of the 18 training records"):
        subjects(Run(), table)


def test_permuted_risks_differ_between_seeds_and_stay_within_the_training_patients():
    table, _ = cohort()
    true = subjects(Run(), table)
    made = [subjects(override(Run(seed=s), {"score": "permuted"}), table) for s in (0, 1)]
    assert not np.array_equal(made[0].risk_N, made[1].risk_N, equal_nan=True)
    for permuted in made:
        assert sorted(permuted.risk_N[:18]) == sorted(true.risk_N[:18]), (
            "the training patients' own risks, exchanged"
        )
        assert np.isnan(permuted.risk_N[18:]).all(), "a held-out patient's risk is never read"


@pytest.mark.parametrize("setting", [{"encoder.norm": "bn"}, {"encoder.dropout": 0.1}])
def test_layers_that_see_one_workers_share_are_refused_with_several_workers(setting):
    context = LocalContext(Store("."), "cpu")
    context.world_size = 2
    table, signals = cohort()
    run = override(Run(), {**SETTINGS, **setting}).canonical()
    plan = ReadPlan(np.arange(18), np.zeros(18, dtype=np.int64), 8, 0)
    with pytest.raises(ConfigError, match="2 workers would give another result than one"):
        Trainer(run, subjects(run, table), plan, MemoryFeed(signals, ("I",)), context)


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


# --- several workers -----------------------------------------------------------------------------------------------------------------

BATCH = 8


def _problem():
    generator = torch.Generator().manual_seed(0)
    x_BF = torch.randn(2, BATCH, 5, generator=generator, dtype=torch.float64)
    weight_DF = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    risk_B = torch.tensor([1.0, 5, 12, float("nan"), 3, 3, 20, 8], dtype=torch.float64)
    c_B = torch.tensor([1, 0.5, 1, 0, 1, 1 / 3, 1, 1], dtype=torch.float64)
    patient_B = torch.tensor([0, 1, 2, 3, 4, 4, 5, 6])
    reference = risk_reference(risk_B.numpy(), 2, 0.2)
    return x_BF, weight_DF, Pairs(risk_B, c_B, patient_B, (0, 1), reference)


def _losses():
    return {
        "ntxent": Ntxent(),
        "ntxent-3": Ntxent(negatives=3),
        "guided": Guided(),
        "guided-3": Guided(negatives=3),
        "published": Guided(
            mask="none",
            normaliser="batch_minmax",
            weight_norm="softmax",
            similarity="batch_minmax",
            same_patient="negative",
            lambda_w=0.5,
            lambda_d=0.5,
        ),
    }


class _Worker:
    device = torch.device("cpu")

    def __init__(self, rank, world_size):
        self.rank, self.world_size = rank, world_size


def work(rank, world_size):
    """One worker's share of one step, as train/loop.py does it: loss and the gradient of a shared linear encoder."""
    x_2BF, weight, pairs = _problem()
    share = BATCH // world_size
    context = _Worker(rank, world_size)
    found = {}
    for name, loss in _losses().items():
        layer = torch.nn.Linear(5, 4, bias=False, dtype=torch.float64)
        layer.weight.data.copy_(weight)
        own = x_2BF[:, rank * share : (rank + 1) * share].reshape(-1, 5)
        z_all, rows = gather_views(layer(own), context)
        terms = loss(z_all, rows, pairs)
        counts = torch.stack([t.count for t in terms])
        totals = torch.stack([t.total for t in terms])
        if world_size > 1:
            torch.distributed.all_reduce(counts)
        value = (
            mean(totals, counts) * torch.tensor([t.coefficient for t in terms], dtype=torch.float64)
        ).sum()
        value.backward()
        sum_gradients(layer.parameters(), context)
        value = value.detach()
        if world_size > 1:
            torch.distributed.all_reduce(value)
        found[name] = (value.numpy(), layer.weight.grad.numpy())
    return found


def work_in_pool():
    return work(torch.distributed.get_rank(), 2)


def test_one_worker_is_the_plain_loss():
    x_2BF, weight, pairs = _problem()
    for name, loss in _losses().items():
        z = x_2BF.reshape(-1, 5) @ weight.T
        assert work(0, 1)[name][0] == pytest.approx(
            reduce(loss(z, torch.arange(2 * BATCH), pairs)).item(), rel=1e-12
        )


def test_two_workers_give_the_loss_and_gradients_of_one(gloo_pair):
    alone = work(0, 1)
    for found in gloo_pair.run(work_in_pool):
        for name, (value, gradient) in found.items():
            assert value == pytest.approx(alone[name][0], rel=1e-10), name
            np.testing.assert_allclose(gradient, alone[name][1], rtol=1e-10, atol=1e-12, err_msg=name)
