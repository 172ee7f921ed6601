"""The model registry: what is in a version, that it loads as the same encoder, that one run is one version."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ablation_outcomes import LINEAGE, complete, toy_plan
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import Model
from safetensors.torch import load_file

from clef_ray.config import to_dict
from clef_ray.errors import StorageError, TrackingError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.shards import Manifest
from clef_ray.store import Store
from clef_ray.tracking.client import check
from clef_ray.tracking.mlflow import MlflowTracker
from clef_ray.tracking.registry import load_registered, register
from clef_ray.train.loop import build_encoder, finish
from clef_ray.trial import run_store

MADE = toy_plan(
    settings={"signals.fs": 100, "signals.seconds": 5},
    arms=(toy_plan().trials[3].arm, replace(toy_plan().trials[-1].arm, settings={"method": "random"})),
)
OUTCOME = complete(MADE.trials[0], 0.8104)
HEADLINE = ("probe/auroc", "zeroshot/rsa", "probe/absent")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(tracking uri, storage, lineage): one trained run, recorded, and its shards' manifest."""
    folder = tmp_path_factory.mktemp("registry")
    uri, run = f"sqlite:///{folder}/mlflow/mlflow.db", OUTCOME.trial.run.canonical()
    check(uri)
    manifest = Manifest(
        schema_version=1,
        dataset="synthetic",
        parameters={},
        fs=100,
        samples=1000,
        leads=("I",),
        label_sets={},
        headline="rhythm",
        records=900,
        patients=300,
        quarantined={},
        coverage={},
        parts=(),
        fingerprint=MADE.data,
        citation="Nobody et al. 2024",
        licence="CC BY 4.0",
    )
    manifest.save(Store(str(folder / "shards")))
    facts = {"leads": ["I"], "records": 720, "patients": 240, "patients_excluded": 60, "seconds": 2.0}
    encoder = build_encoder(run)
    with torch.no_grad():
        for weight in encoder.parameters():  # not the weights that `build_encoder` alone would give
            weight.add_(0.01)
    finish(run, encoder, list(OUTCOME.history), run_store(str(folder), run), facts)
    lineage = {**LINEAGE, "data": str(folder / "shards")}
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, lineage)
    tracker.close_trial(OUTCOME)
    return uri, str(folder), lineage


def _register(place) -> int:
    uri, storage, lineage = place
    return register(uri, "clef-encoder", OUTCOME, storage, lineage, HEADLINE)


def test_a_registered_encoder_loads_as_the_same_encoder(place):
    uri, storage, _ = place
    version = _register(place)
    signal_NT = np.random.default_rng(0).normal(size=(3, 1200)).astype(np.float32)
    ours = Embedder.load(run_store(storage, OUTCOME.trial.run).path(), "cpu").embed(signal_NT, fs=120)
    again = load_registered(uri, "clef-encoder", version, "cpu")
    np.testing.assert_array_equal(again.embed(signal_NT, fs=120), ours)
    assert again.run == OUTCOME.trial.run.canonical()


def test_a_version_says_what_it_is(place, tmp_path):
    uri, _, _ = place
    version = MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version(
        "clef-encoder", _register(place)
    )
    assert version.tags["fingerprint"] == OUTCOME.trial.run.fingerprint()
    assert (version.tags["data_digest"], version.tags["data_licence"]) == (MADE.data, "CC BY 4.0")
    assert version.tags["probe/auroc"] == "0.810 (0.763 to 0.858)"
    client = MlflowClient(tracking_uri=uri)
    assert client.get_run(version.run_id).info.run_name == "clef-31 seed 0"
    folder = download_artifacts(
        run_id=version.run_id, artifact_path="encoder", dst_path=str(tmp_path), tracking_uri=uri
    )
    names = {path.name for path in (tmp_path / "encoder").iterdir()}
    assert names == {"model.safetensors", "config.json", "MODEL_CARD.md", "MLmodel"}
    assert all(b"\x80\x04" not in path.read_bytes()[:2] for path in (tmp_path / "encoder").iterdir())
    config = json.loads((tmp_path / "encoder" / "config.json").read_text())
    assert config["run"] == to_dict(OUTCOME.trial.run.canonical())
    assert (
        load_file(f"{folder}/model.safetensors").keys()
        == build_encoder(OUTCOME.trial.run).state_dict().keys()
    )
    card = (tmp_path / "encoder" / "MODEL_CARD.md").read_text()
    for wanted in (
        "No medical device",
        "720 records of 240 patients",
        "60 patients were held out",
        "CC BY 4.0. Nobody et al. 2024",
        "| probe/auroc | 0.810 | 0.763 to 0.858 |",
        "guided by the score `score2`",
        "python experiments/toy.py",
    ):
        assert wanted in card
    assert "probe/absent" not in card
    signature = Model.load(folder).signature
    (signal,), (embedding,) = signature.inputs.inputs, signature.outputs.inputs
    assert (signal.shape, signal.type, signal.name) == (
        (-1, 1, 500),
        np.dtype("float32"),
        "ecg in mV at 100 Hz",
    )
    dim = Embedder.load(run_store(place[1], OUTCOME.trial.run).path(), "cpu").dim
    assert embedding.shape == (-1, dim)


def test_one_run_is_one_version(place):
    assert _register(place) == _register(place)
    uri = place[0]
    assert (
        len(MlflowClient(tracking_uri=uri, registry_uri=uri).search_model_versions("name = 'clef-encoder'"))
        == 1
    )


def test_a_run_that_is_not_recorded_is_refused(place):
    uri, storage, lineage = place
    with pytest.raises(TrackingError, match="record it first"):
        register(uri, "clef-encoder", complete(MADE.trials[1], 0.8), storage, lineage, HEADLINE)


def test_a_version_that_is_absent_or_damaged_is_an_error(place, tmp_path):
    uri, storage, _ = place
    version = _register(place)
    with pytest.raises(TrackingError, match="999"):
        load_registered(uri, "clef-encoder", 999)
    (weights,) = Path(storage).glob("mlflow/artifacts/**/model.safetensors")
    shutil.copy(weights, tmp_path / "kept")
    try:
        weights.write_bytes(b"not weights")
        with pytest.raises(StorageError, match=f"version {version} of clef-encoder .* damaged"):
            load_registered(uri, "clef-encoder", version)
    finally:
        shutil.copy(tmp_path / "kept", weights)
