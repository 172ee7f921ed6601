"""The benchmark: both sides of every figure compute the same thing, and every figure runs. How long they take is not asserted."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from clef_ray import bench
from clef_ray.bench import evaluate, ingest, loss, measure, probes, step, streaming, sweep
from clef_ray.bench.measure import Figure
from clef_ray.bench.naive import NaiveEncoder, naive_loss
from clef_ray.cli import build_parser
from clef_ray.config import Views
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.encoders.clef import Clef
from clef_ray.errors import ConfigError
from clef_ray.losses import Pairs, RiskReference, reduce
from clef_ray.losses.guided import Guided
from clef_ray.shards import ingest_local

CLEAN = Views(lead="II", noise_mv=0, mask_probability=0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """16 records as shards and as WFDB files: (folder of shards, folder of WFDB files, names)."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "wfdb").mkdir()
    people = Synthetic(patients=16, records_per_patient=1)
    ingest_local(people, str(folder / "shards"))
    return str(folder / "shards"), folder / "wfdb", streaming.write_wfdb(people, folder / "wfdb", 16)


def test_batches_from_parquet_are_the_batches_from_memory(cohort):
    ours = streaming.Batches(cohort[0], 8, Views())
    pairs = [list(ours.pairs(stream())) for stream in (ours.from_memory, ours.from_parquet)]
    assert [x.shape for x in pairs[0]] == [(16, 5000)] * 2
    assert all(torch.equal(a, b) for a, b in zip(*pairs, strict=True))


def test_both_sides_filter_and_standardise_the_same_samples(cohort):
    shards, folder, names = cohort
    ours, plain = streaming.Batches(shards, 16, CLEAN), streaming.PerItem(folder, names, CLEAN)
    (views,) = ours.pairs(ours.from_parquet())
    for row, record in enumerate(ours.plan.batches(0)[0]):
        # filtfilt continues the ends by 33 samples, where the 0.67 Hz edge rings for seconds: compare away from them
        inside = [
            v[1000:4000] for v in (views[row].numpy(), views[row + 16].numpy(), *plain.pair(names[record]))
        ]
        for other in inside[1:]:
            assert np.corrcoef(inside[0], other)[0, 1] > 0.995


def test_both_sides_mask_one_run_of_the_configured_share(cohort):
    shards, folder, names = cohort
    masking = Views(lead="II", noise_mv=0, mask_probability=1, mask_share=(0.1, 0.3))
    ours, plain = streaming.Batches(shards, 16, masking), streaming.PerItem(folder, names, masking)
    (views,) = ours.pairs(ours.from_memory())
    for both in (views.numpy(), np.concatenate([plain.pair(name) for name in names])):
        still = np.diff(both, axis=1) == 0
        for row in still:
            runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], row, [0]]))))[::2]
            assert 0.095 * 5000 < runs.max() <= 0.3 * 5000


def test_the_plain_side_draws_two_leads_and_has_each_kind_of_noise_at_an_rms_of_one(cohort):
    _, folder, names = cohort
    plain = streaming.PerItem(folder, names, Views(same_lead=0))
    assert np.sqrt(np.mean(plain.noise_KL**2, axis=1)) == pytest.approx([1, 1, 1, 1], abs=0.05)
    a, b = np.moveaxis(np.stack([plain.pair(name) for name in names]), 1, 0)
    assert (a != b).any(axis=1).all()
    assert np.isfinite([a, b]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_takes_every_item_once(cohort, workers):
    _, folder, names = cohort
    assert streaming.loader(streaming.PerItem(folder, names, Views()), workers)() == 16


def test_decoding_gives_every_sample_of_every_lead(cohort):
    ours = streaming.Batches(cohort[0], 8, Views())
    assert ours.decode() == ours.copy()() == 16 * 12 * 5000 * 2


@pytest.mark.parametrize("size", ["S", "M"])
def test_the_naive_encoder_is_the_encoder(size):
    torch.manual_seed(0)
    ours, naive = Clef(size=size), NaiveEncoder(size)
    step.copy_parameters(ours, naive)
    for samples in (1000, 777):
        x = torch.randn(2, 1, samples)
        torch.testing.assert_close(naive(x), ours(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(naive(x), ours.eval()(x), rtol=1e-4, atol=1e-5)
        ours.train()


def test_the_naive_loss_is_the_guided_loss_in_value_and_gradient():
    rng = torch.Generator().manual_seed(0)
    risk = torch.rand(10, generator=rng, dtype=torch.float64) * 20
    risk[3] = torch.nan
    completeness = torch.rand(10, generator=rng, dtype=torch.float64)
    pairs = Pairs(
        risk[:, None], completeness, torch.arange(10) // 2, key=(0, 0), reference=RiskReference(90.0, 0.45)
    )
    z = torch.randn(20, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    losses = reduce(Guided()(z, torch.arange(20), pairs)), naive_loss(z, pairs)
    gradients = [torch.autograd.grad(loss, z)[0] for loss in losses]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)  # the mask of negatives is float32
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-8)


def test_both_training_steps_go_the_same_way():
    both = step.Step(batch=8)
    before = [p.detach().clone() for p in both.encoder.parameters()]
    with measure.threads(1):
        losses = [(both.ours(), both.plain()) for _ in range(4)]
    assert all(a == pytest.approx(b, rel=1e-5) for a, b in losses)
    assert losses[-1][0] < losses[0][0]
    moved = [(p - b).abs().max().item() for p, b in zip(both.encoder.parameters(), before, strict=True)]
    assert min(moved) > 0


def test_the_loss_and_its_products_are_those_of_the_plain_side():
    case = loss.Case(batch=24)
    gradients = []
    for side in (case.ours, case.plain):
        assert side() == 24
        gradients.append(case.z_all.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
    with FlopCounterMode(display=False) as counter:
        case.products()
    assert (
        counter.get_total_flops() == 2 * 2 * 48 * 48 * loss.DIM
    )  # the third is an addmm_, which is not counted


def added_once(mebibytes):
    return measure.added_memory(lambda: torch.ones(mebibytes * 2**18))


def test_memory_is_what_the_call_adds_in_a_process_of_its_own():
    held = torch.ones(2**27)  # 512 MiB here are not the other process's
    assert 190 <= measure.in_process(added_once, 200) / 2**20 < 260
    assert held[0] == 1


@pytest.mark.long
@pytest.mark.slow
def test_the_losses_figures_say_speed_and_memory_of_every_batch(monkeypatch):
    monkeypatch.setattr(loss, "LARGEST_PLAIN", 16)
    monkeypatch.setattr(loss, "AT", 16)
    monkeypatch.setattr(loss, "LARGEST", 32)
    named = {f.name: f for f in loss.losses(loss.Sizes({16: 1, 32: 1}))}
    assert [name.partition(",")[2] for name in named] == [
        " batch 16",
        " batch 16: time over its products",
        " batch 16: memory",
        " batch 32",
        " batch 32: memory",
    ]
    assert named["guided loss, batch 16"].ratio > 0
    assert named["guided loss, batch 32"].plain is None
    assert named["guided loss, batch 32: memory"].met is True


@pytest.mark.slow
def test_gradient_caching_is_measured():
    figure = step.gradient_caching(batch=16, piece=8)
    assert figure.ours > 0
    assert "28 negatives" in figure.name


def test_the_bare_layers_are_all_of_the_steps_arithmetic():
    encoder = NaiveEncoder()
    layers = step.BareLayers(encoder, 4)
    assert len(layers.calls) == 1 + 10 * 5
    with FlopCounterMode(display=False) as counter:
        encoder(torch.randn(4, 1, step.SAMPLES))
    stem = 2 * encoder.stem.weight.numel() * 4 * step.SAMPLES // 2
    assert layers.flop == 3 * counter.get_total_flops() - stem
    layers.run()
    assert all(p.grad is not None for p in encoder.parameters())


def test_sides_take_turns_after_one_unmeasured_round():
    turns = []
    sides = {name: lambda name=name: turns.append(name) or 3 for name in "ab"}
    rates = measure.interleaved(sides, rounds=3)
    assert "".join(turns) == "ab" * 4
    assert {name: len(values) for name, values in rates.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_of_medians_and_judged_by_its_target():
    rates = {"ours": [9.0, 20.0, 100.0], "plain": [10.0, 5.0, 10.0], "limit": [40.0, 40.0, 50.0]}
    figure = measure.faster("f", "a note", rates, at_least=2)
    assert (figure.ours, figure.plain, figure.limit, figure.ratio) == (20, 10, 40, 2)
    assert figure.spread == (0.9, 10)
    assert figure.met is True
    assert measure.faster("f", "a note", rates, at_least=2.1).met is False


def test_threads_are_given_back():
    before = torch.get_num_threads(), pa.cpu_count()
    assert measure.on(before[0] + 1, torch.get_num_threads)() == before[0] + 1
    assert measure.on(1, pa.cpu_count)() == 1
    assert (torch.get_num_threads(), pa.cpu_count()) == before


@pytest.mark.parametrize(
    ("measured", "count"),
    [
        (lambda: streaming.streaming(streaming.Sizes(records=8, pairs=2, batch=4, rounds=1)), 2),
        (lambda: step.training_step(step.Sizes(4, 4, 1, 1, 1)), 2),
    ],
)
def test_every_figure_runs(measured, count):
    figures = measured()
    assert len(figures) >= count
    assert all(f.ours > 0 and f.plain > 0 and (f.limit or 1) > 0 and f.ratio > 0 for f in figures)


def test_the_command_line_offers_every_group_and_nothing_else():
    parser = next(
        a for a in build_parser()._actions if hasattr(a, "choices") and a.choices and "synth" in a.choices
    )
    offered = next(a.choices for a in parser.choices["bench"]._actions if a.dest == "group")
    assert tuple(offered) == ("all", *bench.GROUPS)


@pytest.mark.parametrize(
    ("group", "quick", "seconds", "expected"),
    [
        ("sweep", False, None, 60.0),
        ("sweep", True, None, 1.0),
        ("sweep", True, 7.0, 7.0),
        ("all", False, None, 3.0),
    ],
)
def test_a_group_measures_its_own_figures_with_trials_of_the_length_asked_for(
    monkeypatch, capsys, group, quick, seconds, expected
):
    asked = []
    for module, function in (
        (ingest, "ingest"),
        (streaming, "streaming"),
        (step, "training_step"),
        (loss, "losses"),
        (evaluate, "evaluation"),
        (sweep, "sweep"),
    ):
        monkeypatch.setattr(module, function, lambda *given, f=function: asked.append((f, given)) or [])
    monkeypatch.setattr(step, "gradient_caching", lambda *sizes: Figure("caching", "MiB", 1.0))
    monkeypatch.setattr(probes, "probes", lambda *given: Figure("probes", "s", 1.0))
    assert bench.run(group, quick=quick, as_json=False, seconds=seconds) == 0
    capsys.readouterr()
    assert [f for f, _ in asked] == (
        ["ingest", "streaming", "training_step", "losses", "evaluation", "sweep"]
        if group == "all"
        else ["sweep"]
    )
    assert asked[-1][1][0].seconds == expected


@pytest.mark.parametrize(
    ("group", "seconds"), [("loss", 5.0), ("all", 5.0), ("sweep", 0.0), ("sweep", np.inf)]
)
def test_seconds_that_mean_nothing_are_refused(group, seconds):
    with pytest.raises(ConfigError, match="--seconds"):
        bench.run(group, quick=True, as_json=False, seconds=seconds)


def test_the_figures_are_printed_as_a_table_or_as_json_alone(monkeypatch, capsys):
    figures = [Figure("step", "pairs/s", 30.0, 10.0, 3.0, (2.5, 3.5), 60.0, ">= 20x", False, "a note")]
    monkeypatch.setattr(bench, "_measure", lambda group, quick, seconds: figures)
    assert bench.run("all", quick=True, as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["figures"][0]["ratio"] == 3.0
    assert printed["command"] == "clef-ray bench --quick --json"
    assert int(printed["machine"]["cores"]) >= 1
    assert bench.run("step", quick=False, as_json=False) == 0
    table = capsys.readouterr().out
    for text in ("pairs/s", "3.00x", "missed", "a note", "command: clef-ray bench step"):
        assert text in table
