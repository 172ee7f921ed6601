"""Training encoder and head together: what is learnt, what may not be looked at, and what stays as it was."""

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made import material
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from clef_ray.encoders.clef import Clef
from clef_ray.errors import ConfigError, TrainingError
from clef_ray.evaluate.inputs import Rows
from clef_ray.evaluate.modes import _training, finetune, scratch
from clef_ray.evaluate.problem import Problem, Unanswerable
from clef_ray.evaluate.run import run_task
from clef_ray.tasks import Values
from clef_ray.tasks.diagnosis import Diagnosis

N, T = 120, 32
PARTS = Rows(*(np.isin(np.arange(N), part) for part in (range(84), range(84, 102), range(102, 120))))
TASK = Diagnosis(mode="finetune", epochs=3, lr=1e-2)


@dataclass(frozen=True, kw_only=True)
class Power(Values):
    target: ClassVar[str] = "power"
    unit: ClassVar[str] = "mV2"


class Tiny(nn.Module):
    """One convolution, mean power over time."""

    dim = 4

    def __init__(self, seed=0, norm=False, dropout=0.0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv1d(1, self.dim, 5)
        self.norm = nn.BatchNorm1d(self.dim) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BCT):
        return self.dropout(self.norm(self.conv(x_BCT)).square().mean(-1))


class Source:
    """An encoder and the signals; remembers the records that it gave while gradients were wanted, and the encoders it handed out."""

    device = torch.device("cpu")

    def __init__(self, x_NT, seed=0, **options):
        self.x_N1T = torch.from_numpy(x_NT.astype(np.float32))[:, None]
        self.encoder, self.options = Tiny(seed, **options), options
        self.fitted, self.given = set(), []

    def pretrained(self):
        self.given.append(copy.deepcopy(self.encoder))
        return self.given[-1]

    def blank(self, seed):
        return Tiny(seed, **self.options)

    def inputs(self, task, rows_N):
        if torch.is_grad_enabled():
            self.fitted |= set(rows_N.tolist())
        return self.x_N1T[torch.from_numpy(rows_N)]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def loud():
    """(signals [N, T], amplitude [N]): sines of random phase whose amplitude is the truth of every test."""
    rng = np.random.default_rng(0)
    amplitude_N = rng.uniform(0.2, 2, N)
    wave_NT = np.sin(2 * np.pi * (np.arange(T) / 8 + rng.random((N, 1))))
    return amplitude_N[:, None] * wave_NT + 0.05 * rng.normal(size=(N, T)), amplitude_N


def ask(kind, *truth, rows=PARTS):
    truth_NK = np.column_stack(truth).astype(float)
    return Problem(kind, tuple("ABC"[: truth_NK.shape[1]]), truth_NK, rows, np.arange(N).astype(str))


def using(source, seed=0):
    return material(np.zeros((N, 1)), pd.DataFrame(), trainable=source, seed=seed)


def test_learns_a_class_and_leaves_one_that_is_not_there(loud):
    x, amplitude = loud
    absent = np.random.default_rng(1).random(N) < 0.5
    problem = ask("multilabel", amplitude > 1, absent)
    answer = finetune.answer(problem, TASK, using(Source(x)))
    test = PARTS.test
    assert roc_auc_score(amplitude[test] > 1, answer.score_NK[test, 0]) == 1
    assert 0.2 < roc_auc_score(absent[test], answer.score_NK[test, 1]) < 0.8
    assert np.isnan(answer.score_NK[PARTS.train]).all()
    assert np.isfinite(answer.score_NK[~PARTS.train]).all()


def test_exclusive_classes_get_logits(loud):
    x, amplitude = loud
    band = np.digitize(amplitude, [0.8, 1.4])
    problem = ask("exclusive", *(band == k for k in range(3)))
    answer = finetune.answer(problem, replace(TASK, epochs=6, lr=3e-2), using(Source(x)))
    assert (answer.score_NK.argmax(1) == band)[PARTS.test].mean() > 0.8
    validation = PARTS.validation
    e_NK = np.exp(answer.score_NK[validation])
    expected = log_loss(band[validation], e_NK / e_NK.sum(1, keepdims=True), labels=[0, 1, 2])
    assert answer.extras["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_values_come_back_in_their_unit(loud):
    x, amplitude = loud
    power = amplitude**2
    task = Power(mode="finetune", epochs=6, lr=1e-2)
    found, other = (
        finetune.answer(ask("values", y), task, using(Source(x))) for y in (power, 120 + 1000 * power)
    )
    test, train, validation = PARTS.test, PARTS.train, PARTS.validation
    error = np.abs(found.score_NK[:, 0] - power)
    assert error[test].mean() < 0.1 * power[test].std()
    np.testing.assert_allclose(other.score_NK[test], 120 + 1000 * found.score_NK[test], rtol=1e-4)
    assert found.extras["valid_loss"] == pytest.approx(
        error[validation].mean() / power[train].std(), rel=1e-5
    )


def test_the_best_epoch_is_kept_and_training_ends_when_it_is_past(loud, monkeypatch):
    x, amplitude = loud
    truth = amplitude > 1
    truth[PARTS.validation] ^= True  # the better the fit, the worse the validation loss
    seen, loss = [], _training.Records.loss

    def listen(records, score_SK, rows_S):
        value = loss(records, score_SK, rows_S)
        if not value.requires_grad:
            seen.append(float(value.mean()))
        return value

    monkeypatch.setattr(_training.Records, "loss", listen)
    answer = finetune.answer(ask("multilabel", truth), replace(TASK, epochs=30), using(Source(x)))
    assert answer.extras == {"epochs": 1.0, "valid_loss": pytest.approx(seen[0])}
    assert len(seen) == 1 + _training.PATIENCE
    assert min(seen) == seen[0] < seen[-1]
    validation = PARTS.validation
    probability = 1 / (1 + np.exp(-answer.score_NK[validation, 0]))
    assert seen[0] == pytest.approx(log_loss(truth[validation], probability), rel=1e-5)


def test_a_later_epoch_can_be_the_best(loud):
    x, amplitude = loud
    answer = finetune.answer(ask("multilabel", amplitude > 1), TASK, using(Source(x)))
    assert answer.extras["epochs"] == 3


def test_stages_learn_at_rates_by_hand():
    class Staged(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = nn.Parameter(torch.zeros(1))
            self.stem = nn.Conv1d(1, 2, 3)
            self.blocks = nn.Sequential(nn.Linear(2, 2), nn.SiLU(), nn.Linear(2, 2))
            self.more = nn.ModuleList([nn.Linear(2, 2)])
            self.blocks[2].bias.requires_grad_(False)
            self.more[0].weight = self.blocks[0].weight

    m = Staged()
    groups = _training.rates(m, 0.5)
    assert [share for _, share in groups] == [0.0625, 0.125, 0.25, 0.5]
    wanted = [
        [m.own, m.stem.weight, m.stem.bias],
        [m.blocks[0].weight, m.blocks[0].bias],
        [m.blocks[2].weight],
        [m.more[0].bias],
    ]
    for (own, _), parameters in zip(groups, wanted, strict=True):
        assert list(map(id, own)) == list(map(id, parameters))
    assert {share for _, share in _training.rates(m, 1.0)} == {1.0}


def test_an_encoder_of_many_blocks_has_as_many_stages():
    encoder = Clef()
    groups = _training.rates(encoder, 0.9)
    assert len(groups) == 1 + len(encoder.blocks)  # the stem's convolution, and each block
    together = [id(p) for own, _ in groups for p in own]
    assert sorted(together) == sorted(id(p) for p in encoder.parameters() if p.requires_grad)
    assert groups[-1][1] == 0.9


def test_layer_decay_holds_the_encoder(loud):
    x, amplitude = loud
    moved = {}
    for decay in (1e-9, 0.1, 1.0):
        source = Source(x)
        finetune.answer(ask("multilabel", amplitude > 1), replace(TASK, layer_decay=decay), using(source))
        shift = source.given[0].conv.weight - source.encoder.conv.weight
        moved[decay] = shift.detach().abs().max().item()
    assert moved[1e-9] < 1e-8
    assert 0.01 < moved[0.1] / moved[1.0] < 0.3


@pytest.mark.parametrize("learner", [finetune, scratch])
def test_the_same_call_gives_the_same_bits(loud, learner):
    x, amplitude = loud
    problem = ask("multilabel", amplitude > 1)
    task = TASK if learner is finetune else Diagnosis(mode="scratch", epochs=3, lr=1e-2)
    answers = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(answers))
        before = torch.get_rng_state()
        answers.append(learner.answer(problem, task, using(Source(x, norm=True, dropout=0.3), seed)))
        assert torch.equal(torch.get_rng_state(), before)
    assert answers[0].score_NK.tobytes() == answers[1].score_NK.tobytes()
    assert answers[0].extras == answers[1].extras
    assert answers[0].score_NK.tobytes() != answers[2].score_NK.tobytes()


def test_scratch_knows_nothing_of_pretraining(loud):
    x, amplitude = loud
    problem = ask("multilabel", amplitude > 1)
    task = Diagnosis(mode="scratch", epochs=3)
    one, two = (scratch.answer(problem, task, using(Source(x, seed))).score_NK for seed in (1, 2))
    assert one.tobytes() == two.tobytes()
    fine, other = (finetune.answer(problem, TASK, using(Source(x, seed))).score_NK for seed in (1, 2))
    assert fine.tobytes() != other.tobytes()


def test_every_draw_of_records_starts_anew(loud):
    x, amplitude = loud
    problem = ask("multilabel", amplitude > 1)
    fewer = problem.learning_from(PARTS.train & (np.arange(N) > 3))
    one, two = (_training.draw_seed(p, using(Source(x))) for p in (problem, fewer))
    assert one != two
    assert one == _training.draw_seed(problem, using(Source(x, seed=5)))


def test_test_records_are_only_embedded(loud):
    x, amplitude = loud
    test = PARTS.test
    for kind, task in (("multilabel", TASK), ("values", Power(mode="finetune", epochs=3))):
        truth = amplitude > 1 if kind == "multilabel" else amplitude
        poisoned, other_x = truth.copy(), x.copy()
        poisoned[test] = ~truth[test] if kind == "multilabel" else 1e6
        other_x[test] = 1e3
        source = Source(x)
        clean = finetune.answer(ask(kind, truth), task, using(source))
        assert source.fitted == set(np.flatnonzero(PARTS.train))
        assert (
            clean.score_NK.tobytes()
            == finetune.answer(ask(kind, poisoned), task, using(Source(x))).score_NK.tobytes()
        )
        moved = finetune.answer(ask(kind, truth), task, using(Source(other_x)))
        validation = PARTS.validation
        assert clean.score_NK[validation].tobytes() == moved.score_NK[validation].tobytes()
        assert clean.extras == moved.extras


def test_validation_truth_chooses_and_fits_nothing(loud):
    x, amplitude = loud
    changed = amplitude.copy()
    changed[PARTS.validation] *= 1.01  # the same epoch is the best
    one, two = (
        finetune.answer(ask("values", y), Power(mode="finetune", epochs=3), using(Source(x)))
        for y in (amplitude, changed)
    )
    assert one.extras["epochs"] == two.extras["epochs"]
    assert one.score_NK.tobytes() == two.score_NK.tobytes()


def test_the_pretrained_encoder_stays_as_it_is(loud):
    x, amplitude = loud
    source = Source(x, norm=True)
    source.encoder.eval()
    before = copy.deepcopy(source.encoder.state_dict())
    finetune.answer(ask("multilabel", amplitude > 1), TASK, using(source))
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not source.encoder.training
    assert not torch.equal(source.given[0].conv.weight, before["conv.weight"])


def test_answers_do_not_depend_on_who_is_embedded_together(loud, monkeypatch):
    x, amplitude = loud
    problem = ask("multilabel", amplitude > 1)
    whole = finetune.answer(problem, TASK, using(Source(x, norm=True, dropout=0.3)))
    monkeypatch.setattr(_training, "AT_ONCE", 7)
    pieces = finetune.answer(problem, TASK, using(Source(x, norm=True, dropout=0.3)))
    np.testing.assert_allclose(whole.score_NK, pieces.score_NK, rtol=1e-3, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 700), seed=st.integers(0, 9), epoch=st.integers(1, 5))
def test_an_epoch_shows_every_record_equally_often(count, seed, epoch):
    rows = np.arange(count) * 3 + 1
    planned = list(_training.batches(rows, seed, epoch))
    shown = np.sort(np.concatenate(planned))
    passes = len(shown) // count
    assert np.array_equal(shown, np.repeat(rows, passes))
    sizes = {len(batch) for batch in planned}
    assert max(sizes) <= 64
    assert max(sizes) - min(sizes) <= 1
    per_pass = -(-count // 64)
    assert len(planned) == passes * per_pass
    assert len(planned) >= 10
    assert passes == 1 or (passes - 1) * per_pass < 10
    again = list(_training.batches(rows[::-1].copy(), seed, epoch))
    assert all(np.array_equal(a, b) for a, b in zip(planned, again, strict=True))
    if count > 20:
        other = np.concatenate(list(_training.batches(rows, seed, epoch + 1)))
        assert not np.array_equal(np.concatenate(planned), other)
        assert passes == 1 or not np.array_equal(*np.concatenate(planned)[: 2 * count].reshape(2, -1))


def test_a_draw_that_lacks_a_class_or_has_one_value_still_answers(loud):
    x, amplitude = loud
    few = PARTS._replace(train=PARTS.train & (amplitude < 0.9) & (np.arange(N) < 12))
    bands = [amplitude < 0.5, (amplitude >= 0.5) & (amplitude < 1), amplitude >= 1]
    for kind in ("multilabel", "exclusive"):
        answer = finetune.answer(ask(kind, *bands, rows=few), TASK, using(Source(x)))
        assert np.isfinite(answer.score_NK[PARTS.test]).all()
    constant = np.where(few.train, 5.0, amplitude)
    answer = finetune.answer(ask("values", constant, rows=few), Power(mode="finetune"), using(Source(x)))
    assert answer.score_NK[PARTS.test] == pytest.approx(5.0, abs=0.5)


def test_the_head_starts_at_what_is_known_of_the_classes():
    truth = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    start = _training._start
    assert start(truth, "multilabel").tolist() == pytest.approx([np.log(1.5 / 2.5), np.log(2.5 / 1.5)])
    assert torch.softmax(start(truth, "exclusive"), 0).tolist() == pytest.approx([1.5 / 4, 2.5 / 4])
    assert start(truth[:, :1], "values").tolist() == [0.0]


def test_a_loss_that_is_not_finite_ends_it(loud):
    x, amplitude = loud
    broken = x.copy()
    broken[0] = np.inf
    with pytest.raises(TrainingError, match=r"training loss of mode finetune .* epoch 1"):
        finetune.answer(ask("multilabel", amplitude > 1), TASK, using(Source(broken)))
    broken = x.copy()
    broken[90] = np.inf
    with pytest.raises(TrainingError, match="validation loss"):
        finetune.answer(ask("multilabel", amplitude > 1), TASK, using(Source(broken)))


def test_features_alone_cannot_be_trained(loud):
    problem = ask("multilabel", loud[1] > 1)
    for learner in (finetune, scratch):
        with pytest.raises(Unanswerable, match="only frozen features"):
            learner.answer(problem, TASK, using(None))


def test_a_task_that_is_fine_tuned_has_its_metrics(loud, corpus):
    x, amplitude = loud
    table = corpus(N)
    table["label_set"] = [["LOUD"] if a > 1 else [] for a in amplitude]
    given_ = material(
        np.zeros((N, 1)), table, label_sets={"set": ("LOUD",)}, headline="set", trainable=Source(x)
    )
    result = run_task(TASK, given_)
    prefix = TASK.prefix
    assert prefix == "finetune/epochs_3/lr_0.01"
    assert result.estimates[f"{prefix}/auroc"].value == 1
    assert {f"{prefix}/epochs", f"{prefix}/valid_loss"} <= set(result.extras)
    without = run_task(TASK, replace(given_, trainable=None))
    assert "only frozen features" in without.skipped


def test_options_are_checked():
    wrong = (
        ({"mode": "finetune", "epochs": 0}, r"diagnosis\.epochs: 0 was given"),
        ({"mode": "finetune", "lr": 0.0}, r"diagnosis\.lr: 0 given"),
        ({"mode": "finetune", "lr": float("nan")}, r"diagnosis\.lr: nan given"),
        ({"mode": "finetune", "layer_decay": 1.5}, r"layer_decay: 1\.5 given"),
        ({"epochs": 5}, r"epochs: mode linear has none; mode=finetune or scratch has"),
        ({"mode": "scratch", "layer_decay": 0.5}, r"mode scratch has none; mode=finetune has"),
    )
    for options, message in wrong:
        with pytest.raises(ConfigError, match=message):
            Diagnosis(**options)
    assert Diagnosis(mode="scratch", lr=1e-4, fraction=0.1).prefix == "scratch/10pct/lr_0.0001"
    assert Diagnosis(mode="finetune").prefix == "finetune"
