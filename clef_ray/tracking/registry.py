"""Encoders worth keeping: versions in MLflow's model registry that say what they are, and load again as an `Embedder`.

A version is a folder: model.safetensors (weights that cannot carry code), config.json (the run), MODEL_CARD.md, and MLmodel with the
signature. No pickle, and no `pytorch.log_model`, which reloads as another class than it saved.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clef_ray.ablation import Outcome
from clef_ray.config import Run, from_dict, to_dict
from clef_ray.errors import StorageError, TrackingError
from clef_ray.evaluate.embedder import Embedder
from clef_ray.shards import Manifest
from clef_ray.tracking import public
from clef_ray.tracking.card import model_card
from clef_ray.tracking.client import check, client, errors, recorded
from clef_ray.train.loop import build_encoder
from clef_ray.trial import record_of, run_store

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "MODEL_CARD.md"
_FOLDER = "encoder"  # below the artifacts of the run that trained it


def register(
    uri: str,
    name: str,
    outcome: Outcome,
    storage: str,
    lineage: Mapping[str, str],
    headline: Sequence[str],
) -> int:
    """The encoder of a complete outcome as a version of the registered model `name`; returns the version's number.

    A run that is a version already stays that version. lineage: as `Tracker.open_ablation` takes it; `data` must be the shard folder.
    headline: the metrics of the model card. Raises TrackingError where no run of the store records this outcome, UnreachableError,
    StorageError where the storage does not hold the encoder, DataError where it does not hold the shards' manifest.
    """
    check(uri)
    run = outcome.trial.run.canonical()
    with errors(uri):
        asked = client(uri)
        if found := _version_of(asked, name, run.fingerprint()):
            return int(found.version)
        by = recorded(asked, run.fingerprint())
        if not by:
            raise TrackingError(
                f"no complete run with fingerprint {run.fingerprint()} is recorded at {public(uri)}: record it first"
            )
        trained_by = by[0].info.run_id
        with tempfile.TemporaryDirectory() as folder:
            tags = _write(Path(folder), outcome, storage, lineage, headline)
            asked.log_artifacts(trained_by, folder, _FOLDER)
        if not asked.search_registered_models(f"name = '{name}'"):
            asked.create_registered_model(name, description="Encoders of one-lead ECGs, made by clef_ray.")
        source = f"{asked.get_run(trained_by).info.artifact_uri}/{_FOLDER}"
        about = (
            f"{outcome.trial.arm.name}, seed {outcome.trial.seed}. The model card is {CARD} in its artifacts."
        )
        made = asked.create_model_version(name, source, run_id=trained_by, tags=tags, description=about)
        return int(made.version)


def load_registered(uri: str, name: str, version: int, device: str = "auto") -> Embedder:
    """A registered encoder, ready to embed. TrackingError: no such version; StorageError: its files are not what `register` wrote."""
    check(uri)
    with errors(uri), tempfile.TemporaryDirectory() as folder:
        place = client(uri).get_model_version_download_uri(name, str(version))
        got = Path(download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=uri))
        where = f"version {version} of {name}"
        try:
            run = from_dict(Run, json.loads((got / CONFIG).read_text(encoding="utf-8"))["run"])
            encoder = build_encoder(run)
            encoder.load_state_dict(load_file(got / WEIGHTS))
        except (FileNotFoundError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise StorageError(f"{where} is no encoder of clef_ray, or is damaged: {error}") from error
        return Embedder(encoder, run, device)


def _version_of(asked: MlflowClient, name: str, fingerprint: str) -> ModelVersion | None:
    found = asked.search_model_versions(f"name = '{name}'")
    return next((version for version in found if version.tags.get("fingerprint") == fingerprint), None)


def _write(
    folder: Path, outcome: Outcome, storage: str, lineage: Mapping[str, str], headline: Sequence[str]
) -> dict[str, str]:
    """The version's files; returns its tags."""
    run = outcome.trial.run.canonical()
    store = run_store(storage, run)
    embedder, facts, manifest = (
        Embedder.load(store.path(), "cpu"),
        record_of(store),
        Manifest.load(lineage["data"]),
    )
    save_file({k: v.contiguous() for k, v in embedder.encoder.state_dict().items()}, folder / WEIGHTS)
    config = {"run": to_dict(run), "fingerprint": run.fingerprint(), "leads": facts["leads"]}
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    estimates = {k: e for result in outcome.results.values() for k, e in result.estimates.items()}
    shown = {name: estimates[name] for name in headline if name in estimates}
    (folder / CARD).write_text(model_card(outcome.trial, facts, manifest, shown, lineage), encoding="utf-8")
    Model(signature=_signature(run, embedder.dim), flavors={"clef_ray": {"weights": WEIGHTS}}).save(
        str(folder / "MLmodel")
    )
    return {
        "fingerprint": run.fingerprint(),
        "data_digest": run.data,
        "data_licence": manifest.licence,
        **{name: f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for name, e in shown.items()},
    }


def _signature(run: Run, dim: int) -> ModelSignature:
    """[records, 1, samples] float32 in mV at the training rate -> [records, dim] float32."""
    samples, single = round(run.signals.seconds * run.signals.fs), np.dtype(np.float32)
    signal = TensorSpec(single, (-1, 1, samples), f"ecg in mV at {run.signals.fs:g} Hz")
    return ModelSignature(Schema([signal]), Schema([TensorSpec(single, (-1, dim), "embedding")]))
