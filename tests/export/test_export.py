"""Exported files: they give the encoder's embeddings on any batch and length, say what to feed, and are not written where they would not."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from scipy import signal as scipy_signal

from clef_ray import export
from clef_ray.cli import build_parser, main
from clef_ray.cli import export as verb
from clef_ray.config import spec
from clef_ray.encoders import clef
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.export import check, int8, onnx_file, torch_file
from clef_ray.export.deployed import Deployed
from clef_ray.export.programme import INPUT
from clef_ray.export.windows import made_up, windows
from clef_ray.registry import ENCODERS
from clef_ray.sections import Signals
from clef_ray.weights import Weights, save

SIGNALS = Signals(fs=50, seconds=2, band=(0.67, 20))


def lively(encoder):
    """Weights large enough for every layer to matter."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in encoder.parameters():
            p.copy_(torch.randn(p.shape, generator=rng) / max(1, p[0].numel()) ** 0.5)
    return encoder.eval()


@pytest.fixture(scope="module")
def small():
    """A CLEF encoder with two stages and all that they have: grown and equal channels, groups, both strides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(clef.SIZES, "S", clef.Size(8, 0.5, (8, 16), (1, 2), 8))
        encoder = lively(clef.Clef(size="S"))
    return Weights(encoder, spec(ENCODERS, "clef"), SIGNALS, ("II",), "test", "ab12")


@pytest.fixture(scope="module")
def content(small):
    """The ONNX file of `small`."""
    return onnx_file.as_onnx(small)


class Flat(torch.nn.Module):
    """The least encoder: it exports in no time."""

    dim = 3

    def __init__(self, in_leads=1):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(3.0 * in_leads).reshape(3, in_leads) - 1)

    def forward(self, x_BCT):
        return (self.weight @ x_BCT.abs()).mean(-1)


@pytest.fixture
def flat():
    return Weights(Flat(), spec(ENCODERS, "clef"), SIGNALS, ("II",), "test", None)


def z_score(x):
    """In NumPy, float64."""
    x = x.astype(np.float64)
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True))


def reference(encoder, x):
    with torch.no_grad():
        return encoder(torch.from_numpy(z_score(x)).float()).numpy()


@pytest.mark.parametrize(("size", "leads", "norm"), [("S", 1, "none"), ("S", 2, "bn"), ("S", 1, "ln")])
@pytest.mark.parametrize("samples", [1, 2, 3, 17, 100, 101, 258])
def test_the_form_that_is_exported_gives_the_encoders_embeddings(size, leads, norm, samples):
    encoder = lively(clef.Clef(size=size, in_leads=leads, norm=norm))
    x = np.random.default_rng(samples).normal(3, 0.2, (2, leads, samples)).astype(np.float32)
    if samples < 3:
        x[...] = 0  # of one sample or two the z-score is rounding and sign
        want = encoder(torch.zeros(2, leads, samples)).detach().numpy()
    else:
        want = reference(encoder, x)
    got = Deployed(encoder)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * max(1, np.abs(want).max()))


def test_the_encoder_itself_is_left_as_it_is(small):
    before = {name: tensor.clone() for name, tensor in small.encoder.state_dict().items()}
    Deployed(small.encoder)
    after = small.encoder.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(p.requires_grad for p in small.encoder.stem.parameters())


@pytest.mark.slow
def test_onnx_runs_on_any_batch_and_length(small, content):
    session = onnx_file.session_of(content[0])
    assert content[1] < 1e-5
    assert [i.shape for i in session.get_inputs()] == [["batch", 1, "samples"]]
    for batch, samples in [(1, 100), (4, 99), (2, 7), (3, 1000), (1, 333)]:
        x = np.random.default_rng(samples).normal(1, 0.5, (batch, 1, samples)).astype(np.float32)
        want = reference(small.encoder, x)
        got = onnx_file.embedded(session, torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * max(1, np.abs(want).max()))


@pytest.mark.slow
def test_onnx_says_what_to_feed(content):
    told = {p.key: p.value for p in onnx.load_from_string(content[0]).metadata_props}
    assert (told["fs"], told["seconds"], told["samples"], told["leads_at_once"]) == ("50", "2", "100", "1")
    assert json.loads(told["band"]) == [0.67, 20]
    assert json.loads(told["leads"]) == ["II"]
    assert (told["source"], told["sha256"]) == ("test", "ab12")
    assert json.loads(told["encoder"])["name"] == "clef"
    assert "sosfiltfilt" in told["band_pass"]
    onnx.checker.check_model(onnx.load_from_string(content[0]))


@pytest.mark.slow
@pytest.mark.long
def test_a_torch_export_file_runs_on_any_batch_and_length(small, tmp_path):
    made, difference = torch_file.as_torch(small)
    (tmp_path / "a.pt2").write_bytes(made)
    extra = {"clef_ray.json": ""}
    again = torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    told = json.loads(extra["clef_ray.json"])
    assert told["fs"] == "50"
    assert told["fewest_samples"] == "9"  # 8 are one step after the stem and two stages
    with pytest.raises(AssertionError):
        again.module()(torch.zeros(1, 1, 8))
    assert difference < 1e-5
    for batch, samples in [(1, 100), (4, 99), (2, 9), (3, 1000)]:
        x = np.random.default_rng(samples).normal(1, 0.5, (batch, 1, samples)).astype(np.float32)
        want = reference(small.encoder, x)
        got = again.module()(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * max(1, np.abs(want).max()))


@pytest.mark.slow
@pytest.mark.long
def test_int8_is_smaller_and_says_what_it_costs(small, content, tmp_path, monkeypatch):
    monkeypatch.setattr(int8, "as_onnx", lambda weights: content)
    x = made_up(small, 4)
    made = int8.quantised(small, tmp_path / "q.onnx", x, rounds=3)
    written = (tmp_path / "q.onnx").read_bytes()
    assert made.int8.size == len(written) < made.float32.size == len(content[0])
    assert min(made.int8.milliseconds, made.float32.milliseconds) > 0
    model = onnx.load_from_string(written)
    assert "ConvInteger" in {node.op_type for node in model.graph.node}
    assert {p.key for p in model.metadata_props} >= {"fs", "quantisation"}
    sessions = onnx_file.session_of(content[0]), onnx_file.session_of(written)
    a, b = (onnx_file.embedded(s, x[:1]).numpy()[0].astype(np.float64) for s in sessions)
    assert not np.array_equal(a, b)
    assert made.cosine_N.shape == (4,)
    assert float(made.cosine_N[0]) == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)
    assert made.cosine_N.min() > 0.98


def test_a_file_that_gives_other_embeddings_is_refused(flat):
    def slightly(x_BCT):
        return flat.encoder(torch.from_numpy(z_score(x_BCT.numpy())).float()) + 3e-4

    with pytest.raises(DataError, match=r"differ from the encoder's by .* Nothing was written"):
        check.compared(flat, slightly, "the file")
    with pytest.raises(DataError, match="nan"):
        check.compared(flat, lambda x_BCT: torch.full((len(x_BCT), 3), torch.nan), "the file")
    with pytest.raises(DataError, match=r"gives \[1, 2\], the encoder \[1, 3\]"):
        check.compared(flat, lambda x_BCT: torch.zeros(len(x_BCT), 2), "the file")


def test_a_file_that_does_not_run_on_an_odd_length_is_refused(flat):
    def even_only(x_BCT):
        if x_BCT.shape[-1] % 2:
            raise RuntimeError("odd")
        return Deployed(flat.encoder)(x_BCT)

    with pytest.raises(DataError, match=r"does not run on \[2, 1, 99\]: odd"):
        check.compared(flat, even_only, "the file")


def test_lengths_odd_and_even_and_several_batches_are_compared():
    made = check.shapes(1000)
    assert {samples % 2 for _, samples in made} == {0, 1}
    assert len({batch for batch, _ in made}) > 2
    assert min(samples for _, samples in made) <= 500
    assert max(samples for _, samples in made) > 2000
    assert min(samples for _, samples in check.shapes(100, fewest=90)) == 90


@pytest.mark.parametrize("fewest", range(1, 21))
def test_the_shortest_signal_is_found(fewest):
    class From(torch.nn.Module):
        def forward(self, x_BCT):
            assert x_BCT.shape[2] >= fewest
            return x_BCT

    assert torch_file.fewest_samples(From(), 1, 20) == fewest


def test_nothing_is_written_where_the_check_fails(flat, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(DataError, match="Nothing was written"):
        export.export(flat, "torch", tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_torch_cannot_trace_is_named(flat):
    class Stubborn(Flat):
        def forward(self, x_BCT):
            return (
                super().forward(x_BCT) * x_BCT.shape[-1] if x_BCT.shape[-1] == 100 else super().forward(x_BCT)
            )

    with pytest.raises(DataError, match=r"encoder 'clef' cannot be exported for any batch and length"):
        export.export(replace(flat, encoder=Stubborn()), "torch", "unused.pt2")


@pytest.mark.parametrize(("form", "name"), [("onnx", "a.pt2"), ("torch", "a.onnx"), ("int8", "a")])
def test_a_name_that_does_not_fit_the_format_is_refused_before_anything_is_read(form, name, capsys):
    assert main(["export", "nowhere", "--format", form, "--out", name]) == 2
    assert "must end in" in capsys.readouterr().err


def test_records_are_only_for_int8(capsys):
    assert main(["export", "nowhere", "--format", "onnx", "--out", "a.onnx", "--lead", "II"]) == 2
    assert "only --format int8" in capsys.readouterr().err


def test_formats_are_those_of_the_command_line():
    parser = next(
        a for a in build_parser()._actions if hasattr(a, "choices") and a.choices and "synth" in a.choices
    ).choices["export"]
    offered = next(a.choices for a in parser._actions if a.dest == "format")
    assert tuple(offered) == tuple(export.FORMATS)
    with pytest.raises(ConfigError, match="unknown format 'onx'"):
        export.export(None, "onx", "a.onnx")


def test_the_verb_writes_a_file_of_a_safetensors_file(flat, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verb, "read", lambda where: flat)
    out = tmp_path / "deep" / "a.pt2"
    assert main(["export", "any.safetensors", "--format", "torch", "--out", str(out)]) == 0
    assert "largest difference" in capsys.readouterr().out
    got = torch.export.load(out).module()(torch.ones(1, 1, 50).cumsum(-1))
    np.testing.assert_allclose(got, reference(flat.encoder, np.arange(50.0)[None, None]), rtol=1e-4)


def test_weights_are_read_from_a_file(tmp_path):
    encoder = clef.Clef(size="S")
    given = Weights(encoder, spec(ENCODERS, "clef"), SIGNALS, ("II",), "test", "ab12")
    save(given, tmp_path / "a.safetensors")
    again = verb.read(str(tmp_path / "a.safetensors"))
    assert (again.signals, again.leads, again.sha256) == (SIGNALS, ("II",), "ab12")


def test_windows_have_the_encoders_rate_length_and_band(flat):
    t = np.arange(1500) / 250
    beat, drift, buzz = np.sin(2 * np.pi * 5 * t), 5 * np.ones(1500), np.sin(2 * np.pi * 24 * t)
    long = (beat + drift + buzz)[None].astype(np.float32)
    x = windows(flat, [(long, 250.0), (long[:, :300], 250.0)])
    assert x.shape == (1, 1, 100)  # the second is shorter than the window
    inside = x[0, 0, 20:80].numpy()
    want = np.sin(2 * np.pi * 5 * np.arange(100) / 50)[20:80]
    assert np.corrcoef(inside, want)[0, 1] > 0.99
    with pytest.raises(DataError, match="none of 1 records is as long"):
        windows(flat, [(long[:, :300], 250.0)])


def test_what_the_metadata_tell_to_do_in_scipy_is_what_the_encoder_was_trained_on(flat):
    """The whole path of a device: SciPy's filter, then the file; against `Embedder.embed` of the raw signal."""
    encoder = lively(clef.Clef(size="S"))
    weights = Weights(encoder, spec(ENCODERS, "clef"), Signals(fs=100), ("I",), "test", None)
    from clef_ray.datasets.synthetic import Synthetic

    mv = Synthetic(patients=1).signal({"record": "p000000-1"}).millivolts()[:1, ::5].astype(np.float32)
    sos = scipy_signal.butter(5, (0.67, 40), "bandpass", fs=100, output="sos")
    filtered = scipy_signal.sosfiltfilt(sos, mv, padlen=200).astype(np.float32)
    got = Deployed(encoder)(torch.from_numpy(filtered.copy())[None]).numpy()[0]
    want = Embedder(encoder, weights.run(), "cpu").embed(mv[0], fs=100)
    assert got @ want / np.linalg.norm(got) / np.linalg.norm(want) > 0.999
    assert INPUT == "signal"
