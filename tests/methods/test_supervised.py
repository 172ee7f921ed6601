"""Supervised pretraining: whose labels are read, what becomes of a record without any, the cross-entropy."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from waves import encoder, make_trainer, step

from clef_ray.errors import ConfigError, DataError
from clef_ray.methods import At, Setting
from clef_ray.methods.supervised import Supervised
from clef_ray.sections import Signals, Views

#: Records 0 to 5 are for training; 3 was not annotated, 2 was, and has no class.
KINDS = [["A"], ["B", "A"], [], None, ("C",), np.array(["B"]), ["D"], ["A", "E"]]
ONE = [["A"], ["B"], ["A"], None, ["B"], ["B"], ["D"], ["A", "E"]]


def setting(rows=range(6), **columns):
    table = pd.DataFrame({"record": [f"r{n}" for n in range(8)], "age": 50.0})
    for name, lists in (columns or {"label_kind": KINDS}).items():
        table[name] = pd.Series(lists, dtype=object)
    return Setting(Signals(), Views(), 10, table, np.array(rows))


def views(records):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2 * records, 1, 40)).astype(np.float32))


def logits(learner, x_2mCT, records):
    return learner.readout(learner.encoder(x_2mCT[:records])).detach().double().tolist()


def test_multilabel_is_the_mean_over_classes_of_each_ones_cross_entropy():
    learner, x, rows = Supervised().learner(encoder(), setting()), views(4), [5, 1, 3, 2]
    assert learner.readout.out_features == 3, "D and E occur in held-out records alone"
    found = learner(x, At(torch.tensor(rows), 0))
    assert found.shape == (4, 1)
    assert (learner.parts, learner.records) == (1, 1)
    for row, loss, logit in zip(rows, found[:, 0].tolist(), logits(learner, x, 4), strict=True):
        if KINDS[row] is None:
            assert loss == -math.inf
            continue
        each = [
            -math.log(1 / (1 + math.exp(-value if name in KINDS[row] else value)))
            for name, value in zip("ABC", logit, strict=True)
        ]
        assert loss == pytest.approx(sum(each) / 3, rel=1e-5)


def test_exclusive_is_the_cross_entropy_of_the_softmax():
    learner = Supervised(exclusive=True).learner(encoder(), setting(label_kind=ONE))
    x, rows = views(3), [4, 0, 3]
    found = learner(x, At(torch.tensor(rows), 0))[:, 0].tolist()
    for loss, logit, own in zip(found[:2], logits(learner, x, 3), (1, 0), strict=False):
        assert loss == pytest.approx(-math.log(math.exp(logit[own]) / sum(map(math.exp, logit))), rel=1e-5)
    assert found[2] == -math.inf


def test_a_record_without_labels_has_no_part_in_the_gradient():
    learner, x = Supervised().learner(encoder(), setting()), views(2).requires_grad_()
    loss = learner(x, At(torch.tensor([0, 3]), 0))
    torch.where(loss == -torch.inf, 0, loss).sum().backward()
    assert x.grad.isfinite().all()
    assert [bool(g.abs().sum() > 0) for g in x.grad] == [True, False, False, False], "nor has view b"
    assert all(p.grad.isfinite().all() for p in learner.parameters() if p.grad is not None)


def test_labels_of_other_than_training_records_are_neither_read_nor_kept():
    changed = [*KINDS[:6], ["A"], 7]
    one, other = (
        Supervised().learner(encoder(), setting(label_kind=lists)).target_NK for lists in (KINDS, changed)
    )
    assert torch.equal(one, other)
    assert not one[6:].any()
    learner = Supervised().learner(encoder(), setting())
    assert (learner(views(2), At(torch.tensor([6, 7]), 0)) == -torch.inf).all()


def test_no_label_is_in_the_checkpoint():
    state = Supervised().learner(encoder(), setting()).state_dict()
    assert {name.split(".")[0] for name in state} == {"encoder", "readout"}


def test_the_label_set_that_is_meant():
    two = setting(label_kind=KINDS, label_form=ONE)
    assert Supervised("form").learner(encoder(), two).readout.out_features == 2
    assert Supervised().learner(encoder(), two).readout.out_features == 3, "the first: the corpus' headline"
    with pytest.raises(ConfigError, match=r"unknown label set 'kin'.*'kind'.*form, kind"):
        Supervised("kin").learner(encoder(), two)
    bare = Setting(Signals(), Views(), 10, pd.DataFrame({"age": [50.0]}), np.array([0]))
    with pytest.raises(ConfigError, match="the corpus has no label set"):
        Supervised().learner(encoder(), bare)


def test_labels_that_cannot_be_learned_from_are_refused():
    with pytest.raises(
        ConfigError, match="2 of 5 annotated training records have not exactly one class of 'kind'"
    ):
        Supervised(exclusive=True).learner(encoder(), setting())
    with pytest.raises(DataError, match="of the 2 training records none is annotated with a class of 'kind'"):
        Supervised().learner(encoder(), setting(rows=[2, 3]))


def test_in_training_the_loss_is_the_mean_over_the_annotated():
    trainer = make_trainer({"method": "supervised", "optimiser.lr": 0, "optimiser.lr_min": 0})
    batch = trainer.plan.batches(0)[0]
    annotated = [n for n, row in enumerate(batch) if row % 5]
    assert 0 < len(annotated) < len(batch)
    each = trainer._embed(0, trainer.feed.batch(0, batch, trainer.choose), slice(None))[:, 0]
    assert step(trainer, 0)[0].item() == pytest.approx(each[annotated].mean().item(), rel=1e-6)
