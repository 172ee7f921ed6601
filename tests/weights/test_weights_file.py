"""Our own file of weights: what is saved is loaded, and nothing else is."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from clef_ray.config import Run, override, spec
from clef_ray.encoders.clef import Clef
from clef_ray.errors import ConfigError, DataError, StorageError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.registry import ENCODERS
from clef_ray.sections import Signals
from clef_ray.train.loop import build_encoder
from clef_ray.weights import Weights, load, save

OPTIONS = {"norm": "bn", "in_leads": 2, "dropout": 0.25}


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    encoder = Clef(**OPTIONS).eval()
    found = spec(ENCODERS, "clef", OPTIONS)
    return Weights(encoder, found, Signals(100, 5, (0.5, 30)), ("V1", "aVF"), "a test", "ab" * 32)


@pytest.fixture
def path(weights, tmp_path):
    save(weights, tmp_path / "x.safetensors")
    return tmp_path / "x.safetensors"


def rewritten(path, change):
    """The file with other tensors or metadata: `change` gets both."""
    with safe_open(str(path), framework="pt") as file:
        about = file.metadata()
    tensors = safetensors.torch.load_file(path)
    change(tensors, about)
    safetensors.torch.save_file(tensors, path, about)


def test_what_is_saved_is_loaded(weights, path):
    state = torch.random.get_rng_state()
    back = load(path)
    assert torch.equal(torch.random.get_rng_state(), state), "nobody else's random numbers"
    assert (back.spec, back.signals, back.leads, back.source, back.sha256) == (
        weights.spec, weights.signals, weights.leads, weights.source, weights.sha256,
    )  # fmt: skip
    x = torch.randn(2, 2, 77)
    with torch.inference_mode():
        assert torch.equal(back.encoder(x), weights.encoder(x))
    assert not back.encoder.training


def test_the_metadata_are_plain(path):
    with safe_open(str(path), framework="pt") as file:
        about = file.metadata()
    assert about.keys() == {"format", "encoder", "signals", "leads", "source", "sha256", "clef_ray"}
    assert json.loads(about["encoder"]) == {"name": "clef", "size": "S", **OPTIONS}
    assert json.loads(about["signals"]) == {"fs": 100.0, "seconds": 5.0, "band": [0.5, 30.0]}


@pytest.mark.parametrize(("lead", "leads"), [("random", ("I", "V2")), ("II", ("I", "II"))])
def test_of_a_run(tmp_path, lead, leads):
    run = override(Run(seed=3), {"signals.fs": 100, "signals.seconds": 5, "views.lead": lead})
    encoder = build_encoder(run)
    save(Weights.of_run(encoder, run, leads), tmp_path / "x.safetensors")
    back = load(tmp_path / "x.safetensors")
    assert (back.leads, back.sha256) == (leads if lead == "random" else ("II",), None)
    assert run.fingerprint() in back.source
    assert back.run().views.lead == lead
    x_T = np.sin(np.arange(900) / 9).astype(np.float32)
    here, there = Embedder(encoder, run, "cpu"), Embedder(back.encoder, back.run(), "cpu")
    assert np.array_equal(here.embed(x_T, fs=90, lead="II"), there.embed(x_T, fs=90, lead="II"))


def test_every_difference_is_listed(path):
    def change(tensors, _):
        del tensors["stem.0.bias"]
        tensors["more"] = torch.zeros(2)
        tensors["blocks.0.conv1.weight"] = torch.zeros(3, 3)

    rewritten(path, change)
    with pytest.raises(DataError) as caught:
        load(path)
    told = str(caught.value)
    assert "missing (1): stem.0.bias; unexpected (1): more; wrong shape (1): blocks.0.conv1.weight is [3, 3], must be [16, 32, 1]" in told  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "error", "told"),
    [
        ("format", "other-1", DataError, "not one of clef_ray"),
        ("encoder", None, DataError, "lack a readable 'encoder'"),
        ("encoder", "{", DataError, "lack a readable 'encoder'"),
        ("encoder", "[]", DataError, "name no encoder"),
        ("encoder", '{"name": "cleff"}', ConfigError, "Did you mean 'clef'"),
        ("encoder", '{"name": "clef", "width": 3}', ConfigError, "width"),
        ("signals", '{"fs": 100.0}', DataError, r"lack signals\.band, signals\.seconds"),
        ("signals", '{"fs": 100.0, "seconds": 5.0, "band": [0.5, 80.0]}', ConfigError, r"signals\.band"),
        ("leads", None, DataError, "lack a readable 'leads'"),
    ],
)
def test_metadata_that_are_not_ours(path, key, value, error, told):
    def change(_, about):
        about.pop(key)
        if value is not None:
            about[key] = value

    rewritten(path, change)
    with pytest.raises(error, match=told):
        load(path)


def test_other_files(tmp_path, path):
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(DataError, match="not one of clef_ray"):
        load(tmp_path / "plain.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="no safetensors file, or is damaged"):
        load(path)
    with pytest.raises(StorageError, match="no weights at"):
        load(tmp_path / "absent.safetensors")
    ours = Weights.of_run(Clef(), Run(), ("I",))
    with pytest.raises(StorageError, match="cannot write"):
        save(ours, path / "below_a_file.safetensors")
