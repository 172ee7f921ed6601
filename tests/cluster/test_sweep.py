"""Trials on a real Ray: streaming, worker groups, sweeps that skip what is finished and survive what fails."""

import json
from dataclasses import replace

import numpy as np
import pytest
import ray.train
import torch

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.augment import LeadChoice
from clef_ray.cluster import sweep, trainer
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.stream import RayFeed, materialise
from clef_ray.cluster.sweep import run_sweep
from clef_ray.config import Run
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.distributed import load_state
from clef_ray.errors import StorageError
from clef_ray.sections import Views
from clef_ray.shards import Manifest, ingest_local, load_corpus
from clef_ray.train.loop import ENCODER, MemoryFeed
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


def test_ray_data_and_a_plain_process_read_the_same_corpus(local_ray, folder):
    here, there = load_corpus(folder, 100.0, ("I", "V5")), materialise(folder, 100.0, ("I", "V5"))
    np.testing.assert_array_equal(here.signals_NCT, there.signals_NCT)
    assert here.table["record"].tolist() == there.table["record"].tolist()


def test_streaming_delivers_the_plans_batches_in_order(local_ray, folder):
    corpus = load_corpus(folder, 100.0, ("V5", "I", "aVR"))
    read = ReadPlan(np.arange(len(corpus.table)), corpus.groups, 32, seed=0)
    leads = corpus.leads
    memory, stream = MemoryFeed(corpus.signals_NCT, leads), RayFeed(folder, 100.0, leads)
    choose = LeadChoice(Views(lead="random", same_lead=0.5), leads, seed=0)
    for rank, workers in ((0, 1), (1, 2)):
        expected = list(memory.stream(read, range(1, 3), rank, workers, choose))
        found = list(stream.stream(read, range(1, 3), rank, workers, choose))
        assert len(found) == len(expected) == 2 * read.steps
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_sweep_trains_each_run_once_and_a_second_start_trains_nothing(local_ray, folder, tmp_path):
    watch = Watch()
    outcomes = run_sweep(made(folder), folder, str(tmp_path), Request(1, 1.0, 0.0), [watch])
    assert [o.state for o in outcomes] == ["COMPLETE"] * 4
    assert sorted(watch.started) == ["clef-7", "random", "simclr-7"], "the twin arm is the same run"
    assert sorted(watch.epochs) == [("clef-7", 1), ("clef-7", 2), ("simclr-7", 1), ("simclr-7", 2)]
    assert outcomes[1].shared_with == "clef-7 seed 0"
    assert outcomes[0].metrics == outcomes[1].metrics
    assert np.isfinite(outcomes[0].metrics["zeroshot/rsa"])
    assert len(outcomes[0].history) == 2
    assert all(o.seconds["wall"] >= o.seconds["evaluate"] > 0 for o in watch.ended)

    assert [o.seconds for o in outcomes if o.trial.arm.name != "twin"] == [
        o.seconds for o in sorted(watch.ended, key=lambda o: NAMES.index(o.trial.arm.name))
    ]

    again = Watch()
    second = run_sweep(made(folder), folder, str(tmp_path), Request(1, 1.0, 0.0), [again])
    assert again.started == []
    assert [o.metrics for o in second] == [o.metrics for o in outcomes]
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
    assert changed[0].metrics["zeroshot/rsa"] != outcomes[0].metrics["zeroshot/rsa"]
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
    monkeypatch.setattr(trainer, "pretrain", lambda *arguments: asked.append(arguments[-1]))
    monkeypatch.setattr(trainer, "_tables", lambda source: (None, None))
    monkeypatch.setattr(trainer, "TrainContext", lambda store: store)
    source, request = trainer.Source("shards", 100.0, ("I",)), Request(2, 0.5, 0.0, micro_batch=5)
    trainer.pretrain_in_process(Run(), source, str(tmp_path), request, print)
    groups = []
    monkeypatch.setattr(trainer, "TuneReportCallback", ray.train.UserCallback)  # it wants a Tune session
    monkeypatch.setattr(trainer, "TorchTrainer", lambda worker, **options: groups.append(options) or Fitted())
    monkeypatch.setattr(trainer, "complete", lambda store: True)
    trainer.pretrain_in_group(Run(), source, str(tmp_path), request)
    trainer._worker(groups[0]["train_loop_config"])
    assert asked == [5, 5]


class Fitted:
    return_value = None

    def fit(self):
        return self


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
