"""Trials on a real Ray: streaming, worker groups, sweeps that skip what is finished and survive what fails."""

import json
import os
import shutil
import signal
import uuid
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import ray.train
import torch

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.augment import Choice
from clef_ray.cluster import sweep, trainer
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.stream import RayFeed, held
from clef_ray.cluster.sweep import run_sweep
from clef_ray.config import Run
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.distributed import load_state
from clef_ray.errors import ClefRayError, ConfigError, DataError, StorageError, TrainingError
from clef_ray.sections import Signals, Views
from clef_ray.shards import Manifest, ingest_local, load_corpus
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import ENCODER
from clef_ray.train.plan import ReadPlan
from clef_ray.trial import run_store

pytestmark = pytest.mark.ray

ABLATION = Ablation(
    name="tiny",
    question="?",
    expect="",
    arms=(
        Arm("clef-7", {"method": "clef", "loss.negatives": 7}, "CLEF", 7),
        Arm("twin", {"method": "clef", "loss.negatives": 7}),
        Arm("simclr-7", {"method": "simclr", "loss.negatives": 7}, "SimCLR", 7),
        Arm("random", {"method": "random"}),
    ),
    base="clef-7",
    seeds=(0,),
    tasks=("score_spearman:permutations=19",),
    headline=("zeroshot/rsa",),
    axis="negatives per anchor",
    settings={
        "signals.fs": 100,
        "signals.seconds": 2.0,
        "views.lead": "I",
        "optimiser.batch": 32,
        "optimiser.epochs": 2,
        "optimiser.lr": 1e-3,
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=260, records_per_patient=1.0, seed=5), out, records_per_part=100)
    return out


NAMES = [arm.name for arm in ABLATION.arms]


class Watch:
    def __init__(self):
        self.started, self.epochs, self.ended = [], [], []

    def start(self, trial):
        self.started.append(trial.arm.name)

    def epoch(self, trial, metrics):
        self.epochs.append((trial.arm.name, int(metrics["epoch"])))

    def end(self, outcome):
        self.ended.append(outcome)


def made(folder, **options):
    return plan(replace(ABLATION, **options), Manifest.load(folder).fingerprint)


def test_ray_data_and_a_plain_process_read_the_same_corpus(local_ray, folder, tmp_path):
    here, there = load_corpus(folder, 100.0, ("I", "V5")), ray.get(held(folder, 100.0, ("I", "V5")))
    for name in ("raw_NKT", "gain_NK", "baseline_NK"):
        np.testing.assert_array_equal(getattr(here.signals, name), getattr(there.signals, name))
    assert here.table["record"].tolist() == there.table["record"].tolist()

    damaged = shutil.copytree(folder, tmp_path / "damaged")
    next(iter(sorted(damaged.glob("part-*.parquet")))).write_bytes(b"PAR1 no longer")
    with pytest.raises(DataError, match=r"^[^\n]*part-00000\.parquet cannot be read: .*shards verify"):
        held(str(damaged), 100.0, ("I",))


def test_streaming_delivers_the_plans_batches_in_order(local_ray, folder):
    corpus = load_corpus(folder, 100.0, ("V5", "I", "aVR"))
    read = ReadPlan(np.arange(len(corpus.table)), corpus.groups, 32, seed=0)
    leads = corpus.leads
    memory, stream = ResidentFeed(corpus.signals, leads), RayFeed(folder, 100.0, leads)
    views = Views(lead="random", same_lead=0.5, crop="random")
    choose = Choice(Signals(fs=100, seconds=7), views, leads, seed=0)
    for rank, workers in ((0, 1), (1, 2)):
        expected = list(memory.stream(read, range(1, 3), rank, workers, choose))
        found = list(stream.stream(read, range(1, 3), rank, workers, choose))
        assert len(found) == len(expected) == 2 * read.steps
        for a, b in zip(found, expected, strict=True):
            assert np.array_equal(a.rows_b, b.rows_b)
            assert np.array_equal(a.lead_b2, b.lead_b2)
            for name in ("raw_b2T", "gain_b2", "baseline_b2"):
                assert torch.equal(getattr(a, name), getattr(b, name)), "bit for bit"


def test_a_sweep_trains_each_run_once_and_a_second_start_trains_nothing(local_ray, folder, tmp_path):
    watch = Watch()
    outcomes = run_sweep(made(folder), folder, str(tmp_path), Request(1, 1.0, 0.0), [watch])
    assert [o.state for o in outcomes] == ["COMPLETE"] * 4
    assert sorted(watch.started) == ["clef-7", "random", "simclr-7"], "the twin arm is the same run"
    assert sorted(watch.epochs) == [("clef-7", 1), ("clef-7", 2), ("simclr-7", 1), ("simclr-7", 2)]
    assert outcomes[1].shared_with == "clef-7 seed 0"
    np.testing.assert_equal(outcomes[0].metrics, outcomes[1].metrics)
    assert np.isfinite(outcomes[0].metrics["zeroshot/rsa"])
    assert len(outcomes[0].history) == 2
    assert all(o.seconds["wall"] >= o.seconds["evaluate"] > 0 for o in watch.ended)

    assert [o.seconds for o in outcomes if o.trial.arm.name != "twin"] == [
        o.seconds for o in sorted(watch.ended, key=lambda o: NAMES.index(o.trial.arm.name))
    ]

    again = Watch()
    second = run_sweep(made(folder), folder, str(tmp_path), Request(1, 1.0, 0.0), [again])
    assert again.started == []
    np.testing.assert_equal([o.metrics for o in second], [o.metrics for o in outcomes])
    assert [o.seconds for o in second] == [o.seconds for o in outcomes], "what it took is known later too"

    other = Watch()
    encoder = run_store(str(tmp_path), outcomes[0].trial.run).path(ENCODER)
    before = load_state(run_store(str(tmp_path), outcomes[0].trial.run), ENCODER)["encoder"]
    changed = run_sweep(
        made(folder, tasks=("score_spearman:score=age,permutations=9",)),
        folder,
        str(tmp_path),
        Request(1, 1.0, 0.0),
        [other],
    )
    assert other.epochs == [], "a changed task list evaluates without pretraining again"
    assert changed[0].metrics["zeroshot/age/rsa"] != outcomes[0].metrics["zeroshot/rsa"]
    after = load_state(run_store(str(tmp_path), outcomes[0].trial.run), ENCODER)["encoder"]
    assert all(torch.equal(before[k], after[k]) for k in before), encoder


def test_a_trial_that_fails_tells_why_and_the_others_go_on(local_ray, folder, tmp_path):
    arms = (
        *ABLATION.arms[:1],
        Arm("bad", {"method": "clef", "loss.negatives": 7, "views.lead": "random", "optimiser.lr": 1e6}),
    )
    watch = Watch()
    outcomes = run_sweep(made(folder, arms=arms), folder, str(tmp_path), Request(1, 1.0, 0.0), [watch])
    assert [o.state for o in outcomes] == ["COMPLETE", "FAILED"]
    assert "the loss is not finite" in outcomes[1].reason
    assert {o.state for o in watch.ended} == {"COMPLETE", "FAILED"}


class Full:
    """An agenda whose every run meets a full disk."""

    def __init__(self, trials):
        self.left, self.ends = list(trials), []

    def next(self):
        return self.left.pop(0) if self.left else None

    @property
    def finished(self):
        return not self.left

    def epoch(self, trial, metrics): ...

    def end(self, outcome):
        self.ends.append(outcome)


def test_a_storage_that_is_lost_ends_the_sweep_and_spares_the_rest(local_ray, folder, tmp_path, monkeypatch):
    """Otherwise every configuration of a sweep would fail in turn, though nothing is wrong with any of them."""

    def full(config, work):
        raise StorageError("cannot write checkpoint.pt: No space left on device")

    monkeypatch.setattr(sweep, "_trial", full)
    plan = made(folder)
    agenda = Full(plan.unique())
    with pytest.raises(StorageError, match=r"No space left on device\. What is finished is kept"):
        run_sweep(plan, folder, str(tmp_path), Request(2, 0.5, 0.0), agenda=agenda)
    assert [(o.state, o.lost) for o in agenda.ends] == [("FAILED", True)]


def test_the_micro_batch_that_is_asked_for_reaches_every_kind_of_trial(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(trainer, "pretrain", lambda *arguments: asked.append(arguments[6]))
    monkeypatch.setattr(trainer, "_tables", lambda source: (None, None))
    monkeypatch.setattr(trainer.Source, "feed", lambda source, device, *, alone: None)
    monkeypatch.setattr(trainer, "TrainContext", lambda store: SimpleNamespace(device="cpu"))
    source, request = trainer.Source("shards", 100.0, ("I",)), Request(2, 0.5, 0.0, micro_batch=5)
    trainer.pretrain_in_process(Run(), source, str(tmp_path), request, print)
    groups = []
    monkeypatch.setattr(trainer, "Queue", lambda **options: Empty())
    monkeypatch.setattr(trainer, "TorchTrainer", lambda worker, **options: groups.append(worker) or Fitted())
    monkeypatch.setattr(trainer, "complete", lambda store: True)
    monkeypatch.setattr(trainer, "attainable", lambda run, request: request)
    trainer.pretrain_in_group(Run(), source, str(tmp_path), request, print)
    groups[0]()
    assert asked == [5, 5]


class Fitted:
    def fit(self): ...


class Empty:
    def get(self, timeout):
        raise trainer.Empty

    def shutdown(self): ...


@pytest.mark.slow
def test_an_error_that_would_come_again_ends_a_group_after_one_start(
    local_ray, folder, tmp_path, monkeypatch
):
    """Also where one worker alone meets it while the other waits for its part of the batch."""
    starts = tmp_path / "starts"
    starts.mkdir()

    class Broken(trainer.Source):
        def feed(self, device, *, alone):
            rank = ray.train.get_context().get_world_rank()
            (starts / f"{rank}-{uuid.uuid4().hex}").touch()
            if rank == 1:
                raise DataError("nobody can read this")
            return super().feed(device, alone=alone)

    monkeypatch.setattr(sweep, "Source", Broken)
    plan = made(folder, arms=ABLATION.arms[:1])
    (outcome,) = run_sweep(plan, folder, str(tmp_path / "storage"), Request(2, 0.5, 0.0), retries=2)
    assert (outcome.state, outcome.reason, outcome.lost) == ("FAILED", "nobody can read this", False)
    assert sorted(file.name[0] for file in starts.iterdir()) == ["0", "1"]


@pytest.mark.parametrize("kind", [ConfigError, DataError, TrainingError, StorageError])
def test_the_reason_of_a_group_is_the_error_of_ours_and_first_one_that_would_come_again(kind):
    own, lost = kind("the reason"), RuntimeError("Connection closed by peer")
    failed = ray.train.WorkerGroupError("[Rank 0 Error]\nsnippet", {0: lost, 1: StorageError("full"), 2: own})
    assert str(trainer._cause(failed)) == ("full" if kind is StorageError else "the reason")
    gone = trainer._cause(ray.train.WorkerGroupError("[Rank 0 Error]\nsnippet", {0: lost}))
    assert type(gone) is ClefRayError
    assert str(gone) == "the group of workers broke off: snippet"


@pytest.mark.long
@pytest.mark.slow
def test_a_group_that_loses_a_worker_is_started_again_as_often_as_is_asked_for(
    local_ray, folder, tmp_path, monkeypatch
):
    starts = tmp_path / "starts"
    starts.mkdir()

    class Dying(trainer.Source):
        def feed(self, device, *, alone):
            if ray.train.get_context().get_world_rank() == 1:
                (starts / uuid.uuid4().hex).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().feed(device, alone=alone)

    monkeypatch.setattr(sweep, "Source", Dying)
    plan = made(folder, arms=ABLATION.arms[:1])
    (outcome,) = run_sweep(plan, folder, str(tmp_path / "storage"), Request(2, 0.5, 0.0), retries=1)
    assert (outcome.state, outcome.lost) == ("FAILED", True), outcome.reason
    assert outcome.reason.startswith("the group of workers broke off: ")
    assert len(list(starts.iterdir())) == 2


@pytest.mark.slow
def test_two_workers_end_with_the_weights_of_one(local_ray, folder, tmp_path):
    arms = ABLATION.arms[:1]
    alone = run_sweep(made(folder, arms=arms), folder, str(tmp_path / "one"), Request(1, 1.0, 0.0))
    watch = Watch()
    half = Request(2, 0.5, 0.0, micro_batch=5)
    pair = run_sweep(made(folder, arms=arms), folder, str(tmp_path / "two"), half, [watch])
    assert [o.state for o in (*alone, *pair)] == ["COMPLETE"] * 2, [o.reason for o in (*alone, *pair)]
    assert watch.epochs == [("clef-7", 1), ("clef-7", 2)]
    assert alone[0].trial.run.fingerprint() == pair[0].trial.run.fingerprint(), (
        "workers are not part of a run's identity"
    )
    a, b = (
        load_state(run_store(str(tmp_path / n), alone[0].trial.run), ENCODER)["encoder"]
        for n in ("one", "two")
    )
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-5)
    record = json.loads(run_store(str(tmp_path / "two"), alone[0].trial.run).read_bytes("pretrain.json"))
    assert record["workers"] == 2


def test_a_storage_that_cannot_be_written_is_found_before_anything_starts(local_ray, folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    watch = Watch()
    with pytest.raises(StorageError, match="cannot write"):
        run_sweep(made(folder), folder, str(tmp_path / "file"), Request(1, 1.0, 0.0), [watch])
    assert watch.started == []
