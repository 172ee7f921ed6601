"""Weights on a hub: written to and fetched from a local server that answers what huggingface_hub asks."""

import hub_server
import pytest
import torch
from huggingface_hub import constants

from clef_ray.config import Run, spec
from clef_ray.encoders.clef import Clef
from clef_ray.errors import ConfigError, StorageError
from clef_ray.registry import ENCODERS
from clef_ray.weights import Weights, is_address, pull, push, read_weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, an empty cache, no token."""
    with hub_server.serve() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")  # fmt: skip
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    run = Run(encoder=spec(ENCODERS, "clef", {}))
    return Weights.of_run(Clef(), run, ("I", "II"))


def test_what_is_pushed_is_pulled(hub, weights, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub_server.SECRET)
    url = push(weights, "hf://somebody/small")
    assert url.startswith(f"{hub.url}/somebody/small/commit/")
    assert hub.private == {"somebody/small"}
    assert set(hub.models["somebody/small"]["main"]) == {"model.safetensors", "README.md"}
    card = hub.models["somebody/small"]["main"]["README.md"].decode()
    assert "clef-ray embed --weights hf://somebody/small" in card
    assert "I, II" in card
    assert hub_server.SECRET not in card
    back = read_weights("hf://somebody/small")
    assert (back.spec, back.signals, back.leads, back.source) == (weights.spec, weights.signals, weights.leads, weights.source)  # fmt: skip
    assert all(torch.equal(back.encoder.state_dict()[n], t) for n, t in weights.encoder.state_dict().items())


def test_a_revision_and_a_file_can_be_named(hub):
    hub.models["somebody/small"] = {
        "main": {"a.pth": b"new"},
        "v1": {"a.pth": b"old", "model.safetensors": b"x"},
    }
    assert pull("hf://somebody/small/a.pth").read_bytes() == b"new"
    assert pull("hf://somebody/small/a.pth@v1").read_bytes() == b"old"
    assert pull("hf://somebody/small@v1").read_bytes() == b"x"


def test_what_is_not_there_is_told_in_one_line(hub, monkeypatch):
    hub.models["somebody/small"] = {"main": {"README.md": b""}}
    hub.models["somebody/secret"], hub.private = {"main": {"model.safetensors": b"x"}}, {"somebody/secret"}
    for address in (
        "hf://somebody/small",
        "hf://somebody/small@v9",
        "hf://nobody/small",
        "hf://somebody/secret",
    ):
        with pytest.raises(StorageError, match=f"(?s)model.safetensors of {address}: .*HF_TOKEN") as caught:
            pull(address)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", hub_server.SECRET)
    assert pull("hf://somebody/secret").read_bytes() == b"x", "the token of the environment opens it"


def test_the_token_comes_from_the_environment_alone(hub, weights, monkeypatch, tmp_path):
    """One that somebody stored on the machine is not used."""
    hub.models["somebody/secret"], hub.private = {"main": {"model.safetensors": b"x"}}, {"somebody/secret"}
    (tmp_path / "token").write_text(hub_server.SECRET)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(StorageError):
        pull("hf://somebody/secret")
    with pytest.raises(ConfigError, match="HF_TOKEN is not set"):
        push(weights, "hf://somebody/small")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(StorageError, match="cannot write to hf://somebody/small") as caught:
        push(weights, "hf://somebody/small")
    assert "hf_wrong" not in str(caught.value)
    assert hub.models.keys() == {"somebody/secret"}


def test_no_hub_at_all(hub, monkeypatch):
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}")  # fmt: skip
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # its client tries again
    with pytest.raises(StorageError, match=r"cannot fetch model\.safetensors of hf://somebody/small"):
        pull("hf://somebody/small")


@pytest.mark.parametrize("address", ["hf://", "hf://small", "hf://a/b@", "hf://a/b c", "hf://a//b"])
def test_what_is_no_address(address, weights):
    assert is_address(address)
    with pytest.raises(ConfigError, match="hf://owner/name"):
        pull(address)
    with pytest.raises(ConfigError, match="hf://owner/name"):
        push(weights, address)
    with pytest.raises(ConfigError, match="the file is always"):
        push(weights, "hf://a/b/c.pth")
    assert not is_address("storage/runs/x")
