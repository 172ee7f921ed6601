"""PCLR: two records of a patient are the two views, from the batch to the gradient."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from seen import Seen, at, setting, signals
from waves import LEADS, SETTINGS, cohort, encoder

from clef_ray.config import Run, override
from clef_ray.distributed import LocalContext
from clef_ray.errors import ConfigError
from clef_ray.methods.pclr import Pclr
from clef_ray.store import Store
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.loop import Trainer
from clef_ray.train.pairs import PairPlan
from clef_ray.train.subjects import read_plan, subjects, training_rows


def test_of_a_pair_view_a_of_the_first_and_view_b_of_the_second_are_encoded():
    encoder = Seen()
    learner = Pclr().learner(encoder, setting(lead="I"))
    z = learner(signals(4), at(8, 9, 2, 3))
    assert z.tolist() == [[0, 1], [2000, 2001], [1500, 1501], [3500, 3501]]
    assert len(encoder.given[0]) == 4, "the other half is not encoded"
    assert (learner.parts, learner.records) == (2, 2)
    with pytest.raises(ConfigError, match="share of 3 records cannot be pairs"):
        learner(signals(3), at(0, 1, 2))


def test_the_same_random_lead_cannot_be_asked_for():
    with pytest.raises(ConfigError, match=r"views.same_lead 0.8.*name one lead"):
        Pclr().learner(Seen(), setting())
    assert Pclr("mlp2").learner(Seen(), setting(same_lead=0.0))(signals(2), at(0, 1)).shape == (2, 128)


def make_trainer(micro_batch=None):
    """Patients of one to three records; the last records are held out."""
    table, held = cohort()
    table["patient"] = [
        f"p{p}" for p in [0, 0, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 8, *range(20, 34)]
    ]
    table["fold"] = [1] * 18 + [10] * 14
    settings = {
        **SETTINGS,
        "method": "pclr",
        "loss.temperature": 0.1,
        "optimiser.lr_min": 0,
        "optimiser.lr": 0,
    }
    run = override(Run(), settings).canonical()
    people, rows = subjects(run, table), training_rows(run, table)
    with pytest.warns(UserWarning, match="3 of the 9 training patients have one record and are left out"):
        plan = read_plan(run, people, rows, np.zeros(len(table), dtype=np.int64))
    context = LocalContext(Store("unused"), "cpu")
    feed = ResidentFeed(held, LEADS)
    with mock.patch("clef_ray.train.loop.build_encoder", lambda run: encoder(run.seed)):
        return Trainer(run, people, plan, feed, context, micro_batch, table=table), table


def test_a_step_is_nt_xent_between_the_records_of_each_patient():
    trainer, table = make_trainer()
    plan = trainer.plan
    assert isinstance(plan, PairPlan)
    assert plan.steps == 6 // 4
    rows = plan.batches(0)[0]
    batch = trainer.feed.batch(0, rows, trainer.choose)
    _, values = trainer.step(0, 0, rows, batch)
    patients = table["patient"].to_numpy()[rows]
    assert (patients[::2] == patients[1::2]).all()
    assert len(set(patients)) == 4
    gradients = {name: p.grad.clone() for name, p in trainer.learner.named_parameters()}
    z = trainer._embed(0, batch, slice(None)).detach().double().numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    total = 0.0
    for i in range(8):
        e = [math.exp(z[i] @ z[k] / 0.1) for k in range(8)]
        total -= math.log(e[(i + 4) % 8] / (sum(e) - e[i]))
    assert values[0].item() == pytest.approx(total / 8, rel=1e-5)
    pieces, _ = make_trainer(micro_batch=3)
    assert [piece.stop - piece.start for piece in pieces.pieces] == [2] * 4
    _, other = pieces.step(0, 0, rows, batch)
    torch.testing.assert_close(other, values, rtol=1e-5, atol=0)
    for name, parameter in pieces.learner.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-3, atol=1e-6)
