"""What a step costs: operations counted by hand from the layers' sizes, memory that was really taken, and not a bit of the training changed."""

import json

import numpy as np
import pytest
import torch
from noise_cohort import make_trainer, same, train, weights
from torch import nn
from torch.nn import functional

from clef_ray.train.cost import Meter
from clef_ray.train.loop import RECORD, Trainer

CPU = torch.device("cpu")
SHORT = {"method": "simclr", "signals.seconds": 1.0}


def flops(call):
    meter = Meter(CPU)
    with meter.step():
        call()
    return meter.cost(steps=1, batch=1, workers=1)["flops"]


def both_ways(layer, x):
    x.requires_grad_()

    def call():
        y = layer(x)
        (y[0] if isinstance(y, tuple) else y).sum().backward()

    return flops(call)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_costs_each_multiply_add_twice_once_forward_and_twice_back(groups):
    """4 records, 16 to 32 channels, kernel 7: 44 places of 50 samples; of a group each output sees 16 / groups channels."""
    forward = 2 * 4 * 44 * 32 * (16 // groups) * 7
    assert both_ways(nn.Conv1d(16, 32, 7, groups=groups), torch.randn(4, 16, 50)) == 3 * forward


def test_a_transposed_convolution_is_counted_by_its_input():
    forward = 2 * 4 * 50 * 32 * 16 * 7
    assert both_ways(nn.ConvTranspose1d(16, 32, 7, stride=2), torch.randn(4, 16, 50)) == 3 * forward


def test_a_frozen_convolution_has_no_gradient_of_its_weights():
    layer = nn.Conv1d(16, 32, 7).requires_grad_(False)
    assert both_ways(layer, torch.randn(4, 16, 50)) == 2 * (2 * 4 * 44 * 32 * 16 * 7)


def test_a_linear_layer():
    assert both_ways(nn.Linear(10, 6), torch.randn(5, 10)) == 3 * 2 * 5 * 10 * 6


@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_multiplies_at_every_step_with_both_matrices_of_every_layer(layers):
    """9 inputs, 8 units, four gates: matrices 32 x 9 (or 32 x 8 above the first layer) and 32 x 8, at 50 steps of 4 records."""
    matrices = 32 * 9 + 32 * 8 + (layers - 1) * 2 * 32 * 8
    found = both_ways(nn.LSTM(9, 8, layers, batch_first=True), torch.randn(4, 50, 9))
    assert found == 3 * 2 * 50 * 4 * matrices


def test_attention_is_two_products_forward_and_five_back():
    """The backward pass makes the scores again: 2 + 5 products of 50 x 50 x 8 in 4 x 2 heads."""
    x = torch.randn(4, 2, 50, 8)
    assert (
        both_ways(lambda q: functional.scaled_dot_product_attention(q, q, q), x)
        == 7 * 2 * 4 * 2 * 50 * 50 * 8
    )


def test_only_the_first_step_is_counted_and_the_workers_shares_add_up():
    meter = Meter(CPU)
    a = torch.randn(3, 5)
    for repeats in (1, 7):
        with meter.step():
            for _ in range(repeats):
                a @ a.T
    cost = meter.cost(steps=10, batch=6, workers=2)
    assert cost["flops_per_step"] == 2 * (2 * 3 * 5 * 3)
    assert cost["flops_per_record"] == cost["flops_per_step"] / 6
    assert cost["flops"] == 10 * cost["flops_per_step"]
    assert cost["records"] == 60


def test_a_training_without_a_step_says_nothing_of_operations():
    assert Meter(CPU).cost(steps=3, batch=2, workers=1).keys() <= {"records", "memory_bytes"}


@pytest.mark.skipif(Meter(CPU)._before is None, reason="memory is told on Linux only")
def test_memory_is_what_the_process_grew_by_since_then_and_not_what_it_had_before():
    before = np.ones(8_000_000)
    meter = Meter(CPU)
    held = np.ones(5_000_000)
    del held
    found = meter.cost(steps=1, batch=1, workers=1)["memory_bytes"]
    assert 38e6 < found < 60e6
    again = Meter(CPU).cost(steps=1, batch=1, workers=1)["memory_bytes"]
    assert again < 5e6, "an earlier run's largest size is forgotten"
    assert before[0] == 1


def test_training_ends_at_the_same_bits_whether_it_is_counted_or_not(tmp_path, monkeypatch):
    settings = {"optimiser.epochs": 1, "encoder.dropout": 0.2, "signals.seconds": 1.0}
    counted = train(tmp_path / "counted", settings)
    init = Trainer.__init__

    def unmeasured(self, *args, **options):
        init(self, *args, **options)
        self.meter = None

    monkeypatch.setattr(Trainer, "__init__", unmeasured)
    alone = train(tmp_path / "alone", settings)
    assert same(weights(counted), weights(alone))
    assert "flops" not in json.loads(alone.read_bytes(RECORD))["cost"]


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_the_record_of_a_run_holds_its_cost(tmp_path, micro_batch):
    """18 training records make 2 steps of 8; in pieces, each is encoded twice forward and once back instead of once each."""
    store = train(tmp_path, {**SHORT, "optimiser.epochs": 2}, micro_batch=micro_batch)
    cost = json.loads(store.read_bytes(RECORD))["cost"]
    assert cost["records"] == 2 * 2 * 8
    assert cost["flops"] == cost["flops_per_step"] * 4 == cost["flops_per_record"] * 32
    meter, trainer = Meter(CPU), make_trainer(SHORT)
    rows = trainer.plan.batches(0)[0]
    with meter.step():
        trainer.step(0, 0, rows, trainer.feed.batch(0, rows, trainer.choose))
    whole = meter.cost(steps=1, batch=8, workers=1)["flops"]
    ratio = cost["flops_per_step"] / whole
    assert ratio == 1 if micro_batch is None else 1.3 < ratio < 1.35


def test_what_trains_nothing_costs_nothing(tmp_path):
    store = train(tmp_path, {"method": "random"})
    assert json.loads(store.read_bytes(RECORD))["cost"] == {"records": 0, "flops": 0}
