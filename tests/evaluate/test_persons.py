"""Identification by an encoder that learns the known pieces: what it may see, what it learns, and how it answers."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from made import material
from sklearn.metrics import roc_auc_score
from torch import nn

from clef_ray.config import task_spec
from clef_ray.errors import ConfigError
from clef_ray.evaluate.modes.persons import Pieces, learnt
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.identification import Identification
from clef_ray.tasks.identification_finetuned import IdentificationFinetuned

TASK = IdentificationFinetuned(epochs=4, lr=3e-2)
NAME = "identification_finetuned/epochs_4/lr_0.03"


class Mixed(nn.Module):
    """Embeds all channels, but the one that tells persons apart hardly."""

    dim = 6

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 1, 1, 0.02, 0.02, 0.02]))

    def forward(self, x_B1T):
        return x_B1T[:, 0] * self.scale


class Ends:
    """Known and asked pieces of every record: three numbers of noise, three that the person has in both. Remembers whom gradients saw."""

    window, device = 10.0, torch.device("cpu")

    def __init__(self, records, seed=0):
        rng = np.random.default_rng(seed)
        own = rng.normal(size=(records, 3))
        pieces = [np.column_stack([rng.normal(size=(records, 3)), own]) for _ in range(2)]
        self.first, self.last = (torch.from_numpy(p).float() for p in pieces)
        self.encoder, self.learnt_from = Mixed(), []

    def pretrained(self):
        return copy.deepcopy(self.encoder)

    def inputs(self, task, rows_N, span=None):
        if torch.is_grad_enabled():
            self.learnt_from.append((span, set(rows_N.tolist())))
        return (self.first if span[1] <= 5 else self.last)[torch.from_numpy(rows_N)][:, None]


def people(count):
    return pd.DataFrame(
        {
            "record": [f"r{k:05d}" for k in range(count)],
            "patient": [f"p{k:05d}" for k in range(count)],
            "fold": np.arange(count) % 10 + 1,
        }
    )


def judged(task, source, count=300):
    return run_task(task, material(np.empty((count, 1)), people(count), trainable=source))


pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_persons_keep_is_learnt_where_the_frozen_encoder_drowns_it():
    """The thirty persons of fold 10 of 300. By cosine alone the noise decides."""
    source = Ends(300)
    frozen = judged(Identification(), source)
    tuned = judged(TASK, source)
    assert frozen.estimates["identification/accuracy"].value < 0.3
    assert tuned.estimates[f"{NAME}/accuracy"].value > frozen.estimates["identification/accuracy"].value + 0.2
    assert tuned.estimates[f"{NAME}/auroc"].value > 0.8
    assert set(tuned.estimates) == {f"{NAME}/{m}" for m in ("accuracy", "accuracy_top5", "auroc", "eer")}
    assert tuned.extras == {f"{NAME}/persons": 30, f"{NAME}/n_patients": 30, f"{NAME}/chance": 1 / 30}


def test_only_known_pieces_of_the_judged_are_learnt_from_and_the_encoder_at_hand_stays():
    source = Ends(300)
    before = copy.deepcopy(source.encoder.state_dict())
    judged(TASK, source)
    spans = {span for span, _ in source.learnt_from}
    assert len(spans) == 40, "another half at every step"
    assert all(first >= 0 and last <= 5 and last - first == pytest.approx(2.5) for first, last in spans)
    assert min(spans)[0] < 0.5
    assert max(spans)[1] > 4.5
    seen = set().union(*(rows for _, rows in source.learnt_from))
    assert seen == set(range(9, 300, 10))
    assert len(source.learnt_from) == 4 * 10, "all epochs, of ten steps each"
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(value, before[name])


def test_scores_are_log_probabilities_of_asked_by_known_and_the_same_again():
    source = Ends(40)
    rows = np.arange(5, 30)
    known, asked = (Pieces(source, rows, span) for span in ((0.0, 5.0), (5.0, 10.0)))
    score = learnt(source.pretrained(), known, asked, TASK, 0)
    np.testing.assert_allclose(np.exp(score).sum(axis=1), 1)
    assert np.array_equal(score, learnt(source.pretrained(), known, asked, TASK, 0))
    assert not np.array_equal(score, learnt(source.pretrained(), known, asked, TASK, 1))
    # One person against the rest by a column, as scikit-learn has it.
    assert roc_auc_score(np.eye(25), score, average="macro") > 0.8
    turned = learnt(source.pretrained(), known, Pieces(source, rows[::-1].copy(), (5.0, 10.0)), TASK, 0)
    np.testing.assert_allclose(turned, score[::-1], atol=1e-5)


def test_before_anything_is_learnt_the_nearest_standardised_embedding_answers():
    source, rows = Ends(40), np.arange(40)
    known, asked = (Pieces(source, rows, span) for span in ((0.0, 5.0), (5.0, 10.0)))
    score = learnt(source.pretrained(), known, asked, IdentificationFinetuned(epochs=1, lr=1e-12), 0)
    first, last = ((x.double() * source.encoder.scale.detach()).numpy() for x in (source.first, source.last))
    u, v = ((z - first.mean(axis=0)) / first.std(axis=0) for z in (first, last))
    norms = np.linalg.norm(u, axis=1)
    logits = 10 * (v @ (u / norms[:, None]).T) / norms.mean()
    want = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(score, want, atol=1e-4)


def test_parts_are_two_seconds_at_least_and_the_same_again():
    def spans(seed, seconds):
        source = Ends(10)
        piece = Pieces(source, np.arange(10), (0.0, seconds), seed)
        for _ in range(5):
            piece.inputs(TASK, np.arange(3))
        return [span for span, _ in source.learnt_from]

    assert spans(0, 5.0) == spans(0, 5.0) != spans(1, 5.0)
    assert all(last - first == pytest.approx(2) for first, last in spans(0, 3.0))
    assert spans(0, 2.0) == [(0.0, 2.0)] * 5

    source = Ends(10)
    pieces = [Pieces(source, np.arange(10), span) for span in ((0.0, 5.0), (5.0, 10.0))]
    for _ in range(2):
        learnt(source.pretrained(), *pieces, TASK, 0)
    once = len(source.learnt_from) // 2
    assert source.learnt_from[:once] == source.learnt_from[once:]


def test_it_has_a_name_of_its_own_and_leaves_that_of_identification():
    assert IdentificationFinetuned().prefix == "identification_finetuned"
    assert IdentificationFinetuned(seconds=4).prefix == "identification_finetuned/4s"
    assert IdentificationFinetuned(layer_decay=1).prefix == "identification_finetuned/layer_decay_1"
    assert dict(task_spec("identification").options) == {
        "across": "halves", "lead": "I", "rate": None, "seconds": 5.0,
    }, "what names kept results"  # fmt: skip
    with pytest.raises(ConfigError, match=r"identification_finetuned\.epochs: 0"):
        IdentificationFinetuned(epochs=0)
