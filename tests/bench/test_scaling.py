"""The model of a step on many workers against numbers by hand, and what the benchmark counts against the formula."""

import math
from dataclasses import replace

import pytest
import torch

from clef_ray.bench import index, scaling
from clef_ray.bench.collectives import Call, noted, transfer
from clef_ray.bench.scaling_model import (
    ASSUMED,
    Hardware,
    Job,
    efficiency,
    falls_below,
    gathered_bytes,
    step,
)
from clef_ray.encoders.clef import Clef
from clef_ray.shards import Manifest, read_table

JOB = Job(batch=100, dim=10, parameters=1000)
PLAIN = Hardware(encode=0.01, fixed=0.5, products=1e6, bandwidth=1e4, latency=0.001)


def test_a_step_by_hand():
    """B = 100, so V = 200; D = 10; P = 1000; 4 bytes a number."""
    one = step(JOB, PLAIN, 1)
    assert (one.fixed, one.encode, one.gather, one.gradients) == (0.5, 1.0, 0, 0)
    assert one.loss == pytest.approx(2 * 2 * 200 * 200 * 10 / 1e6)
    four = step(JOB, PLAIN, 4)
    assert four.encode == 0.25
    assert four.loss == pytest.approx(1 * 2 * 200 * 200 * 10 / 1e6), "4 products of all pairs, a quarter each"
    # 8000 bytes of embeddings: three quarters come from others, and twice as much of their gradient; 3 x 2 rounds
    assert four.gather == pytest.approx((6000 + 12000) / 1e4 + 6 * 0.001)
    # 4000 bytes of gradients: 2 x 3/4 of them; three sums of 2 x 2 rounds
    assert four.gradients == pytest.approx(6000 / 1e4 + 12 * 0.001)
    assert four.seconds == pytest.approx(0.5 + 0.25 + 0.8 + 1.806 + 0.612)
    assert four.communication == pytest.approx((1.806 + 0.612) / four.seconds)
    assert efficiency(JOB, PLAIN, 4) == pytest.approx(one.seconds / (4 * four.seconds))
    assert gathered_bytes(JOB, 4) == 8000 * 3


def test_more_workers_than_cores_take_turns_and_machines_are_further_apart_than_what_is_inside():
    assert step(JOB, replace(PLAIN, slots=2), 4).seconds == pytest.approx(2 * step(JOB, PLAIN, 4).seconds)
    crowded, plain = step(JOB, replace(PLAIN, crowded=1.5), 4), step(JOB, PLAIN, 4)
    assert (crowded.fixed, crowded.encode, crowded.loss) == pytest.approx((0.75, 0.375, 1.2))
    assert (crowded.gather, crowded.gradients) == (plain.gather, plain.gradients)
    assert step(JOB, replace(PLAIN, crowded=1.5), 1) == step(JOB, PLAIN, 1), "alone is alone"
    two = replace(PLAIN, within=2, inside=1e6)
    assert step(JOB, two, 2).gradients < step(JOB, PLAIN, 2).gradients
    assert step(JOB, two, 4) == step(JOB, PLAIN, 4)


def test_where_it_stops_scaling():
    free = replace(PLAIN, fixed=0.0, products=math.inf, bandwidth=math.inf, latency=0.0)
    assert falls_below(0.8, JOB, free) is None
    # with a fixed cost f the efficiency is (f + c) / (W f + c): 1.1 / (0.1 W + 1), first below 1/2 at 16 of the powers of two
    assert falls_below(0.5, JOB, replace(free, fixed=0.1)) == 16
    assert falls_below(0.5, JOB, replace(free, fixed=0.1), most=8) is None


def test_the_parameters_are_found_again_from_the_steps_they_make():
    known = replace(PLAIN, slots=scaling.cores())
    whole, half = (step(replace(JOB, batch=b), known, 1).seconds for b in (100, 50))
    loss, small = step(JOB, known, 1).loss, 2 * known.latency
    found = scaling.calibrate(JOB, whole, half, loss, (small, small + 4000 / known.bandwidth))
    for name in ("encode", "fixed", "products", "bandwidth", "latency"):
        assert getattr(found, name) == pytest.approx(getattr(known, name)), name


def test_waiting_is_what_the_last_worker_does_not_spend_in_a_collective():
    early = [Call("gather", 0, 5.0), Call("sum", 0, 1.0)]
    late = [Call("gather", 0, 1.0), Call("sum", 0, 3.0)]
    assert transfer([early, late]) == (2.0, 3.0)


def test_the_sizes_of_the_table_are_the_encoders():
    _, parameters, dim = scaling.SIZES["S"]
    encoder = Clef(size="S")
    assert (parameters, dim) == (sum(p.numel() for p in encoder.parameters()), encoder.dim)


def test_the_table_names_its_assumptions_and_where_efficiency_falls():
    figures = scaling.table(replace(ASSUMED, bandwidth=ASSUMED.bandwidth / 100))
    assert len(figures) == len(scaling.SIZES) * len(scaling.BATCHES) * len(scaling.GPUS)
    assert all(0 < f.ours <= 100 for f in figures)
    assert "2.5e+08 beyond" in figures[0].note
    assert figures[4].note.startswith("Model, size S, batch 512: efficiency below 80 % from ")


def measured_in_pair():
    return scaling.measure(torch.distributed.get_rank(), 2, 8, 1)


def calls_in_pair():
    calls, x = [], torch.ones(3, 2)
    with noted(calls):
        torch.distributed.all_gather([torch.empty_like(x) for _ in range(2)], x)
        torch.distributed.all_reduce(x)
    torch.distributed.all_reduce(x)
    return [(call.name, call.received) for call in calls], x.tolist()


def test_two_workers_gather_what_the_formula_says(gloo_pair):
    assert gloo_pair.run(calls_in_pair) == [([("gather", 24), ("sum", 24)], [[4.0, 4.0]] * 3)] * 2
    members = gloo_pair.run(measured_in_pair)
    job = Job(8, 256, scaling.SIZES["S"][1])
    gathered = sum(call.received for m in members for call in m.calls[0] if call.name == "gather")
    assert gathered == gathered_bytes(job, 2) == 2 * 8 * 256 * 4
    sums = [call.received for call in members[0].calls[0] if call.name == "sum"]
    assert sums.count(4 * job.parameters) == 1, "2 P (W - 1) / W numbers"
    names = {f.name for f in scaling._figures(job, PLAIN, 2, members)}
    assert names == {
        f"step S, batch 8, 2 workers{rest}"
        for rest in ("", ": communication", ": waiting for others", ": gathered")
    }


def test_an_index_without_signals_is_read_and_planned_from(tmp_path):
    index.make(str(tmp_path), 4100)
    manifest, table = Manifest.load(str(tmp_path)), read_table(str(tmp_path))
    assert [part.records for part in manifest.parts] == [2000, 2000, 100]
    assert (len(table), table["patient"].nunique()) == (4100, 4100)
    found = index.start(str(tmp_path))
    assert found.tasks == 2, "3,280 training records in windows of 3,200 records"
