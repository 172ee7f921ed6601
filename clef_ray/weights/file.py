"""Our own file of weights: safetensors, which cannot carry code, with metadata that say what the encoder is and sees."""

import json
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open

from clef_ray.config import from_dict, spec, to_dict
from clef_ray.errors import DataError, StorageError
from clef_ray.registry import ENCODERS
from clef_ray.sections import Signals
from clef_ray.store import Store
from clef_ray.weights.model import Weights, filled

#: What the metadata call this format; another one is refused.
FORMAT = "clef_ray-weights-1"


def save(weights: Weights, path: str | Path) -> None:
    """Write `path`, whole or not at all. StorageError: cannot be written.

    Metadata, all text, JSON where not plain: format, encoder (name and options), signals (fs [Hz], seconds, band [Hz]), leads, source, sha256
    (empty: unknown), clef_ray (the version that wrote it).
    """
    path = Path(path)
    about = {
        "format": FORMAT,
        "encoder": json.dumps(to_dict(weights.spec)),
        "signals": json.dumps(to_dict(weights.signals)),
        "leads": json.dumps(list(weights.leads)),
        "source": weights.source,
        "sha256": weights.sha256 or "",
        "clef_ray": version("clef-ray"),
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in weights.encoder.state_dict().items()}
    Store(str(path.absolute().parent)).write_bytes(path.name, safetensors.torch.save(tensors, about))


def load(path: str | Path) -> Weights:
    """Inverse of `save`. StorageError: no such file; DataError: not one of ours, damaged, or not exactly the encoder's tensors (all that
    differ are listed); ConfigError: an encoder or an option that this version of clef_ray does not have.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError as error:
        raise StorageError(f"no weights at {path} (looked at {Path(path).absolute()})") from error
    except SafetensorError as error:
        raise DataError(f"{path} is no safetensors file, or is damaged: {error}") from error
    if about.get("format") != FORMAT:
        raise DataError(
            f"{path} is a safetensors file, but not one of clef_ray: its metadata have no format {FORMAT!r}"
        )
    encoder, signals, leads = (_json(about, key, str(path)) for key in ("encoder", "signals", "leads"))
    if not isinstance(encoder, dict) or "name" not in encoder or not isinstance(signals, dict):
        raise DataError(f"{path}: its metadata name no encoder, or no signals")
    options = {key: value for key, value in encoder.items() if key != "name"}
    built = spec(ENCODERS, encoder["name"], options, str(path))
    if absent := {f.name for f in fields(Signals)} - set(signals):
        raise DataError(
            f"{path}: its metadata lack {', '.join(f'signals.{name}' for name in sorted(absent))}"
        )
    seen = from_dict(Signals, signals, f"{path}: signals")
    where = (about.get("source", ""), about.get("sha256") or None)
    return Weights(filled(built, tensors, str(path)), built, seen, tuple(map(str, leads)), *where)


def _json(about: dict[str, str], key: str, where: str) -> Any:
    try:
        return json.loads(about[key])
    except (KeyError, ValueError) as error:
        raise DataError(f"{where}: its metadata lack a readable {key!r}") from error
