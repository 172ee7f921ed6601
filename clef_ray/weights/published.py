"""The released checkpoints of CLEF and ECGFounder, read without running code and without guessing.

CLEF (Zenodo 17572734): clef_small.ckpt, clef_medium.ckpt, clef_largel.ckpt; Lightning checkpoints whose `state_dict` holds `backbone.*`, beside
the optimiser's state, which is not read. ECGFounder (PKUDigitalHealth/ECGFounder on Hugging Face): 1_lead_ECGFounder.pth and
12_lead_ECGFounder.pth; `state_dict` holds Net1D's own names and a classifier. Both run without their batch normalisation, as the released
code has them run. Sizes and leads are known by the tensors; the file's name says nothing.

Not run here on the released files themselves: they could not be fetched. Files of the same layout are made in the tests.
"""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from clef_ray.config import spec
from clef_ray.datasets import LEADS
from clef_ray.errors import DataError, StorageError
from clef_ray.registry import ENCODERS, unknown
from clef_ray.sections import Signals
from clef_ray.store import Store
from clef_ray.weights.model import Weights, filled, require_same, shapes_of
from clef_ray.weights.net1d import CLASSIFIER, COUNTER, STEM, Place, SizeName, layout, size_of

#: What CLEF's Lightning module calls its encoder.
BACKBONE = "backbone."

#: Tensors that an error names when it says what a file looks like.
_SHOWN = 5


def read_published(path: str | Path, norm: Literal["none", "bn"] = "none") -> Weights:
    """The encoder of a released checkpoint.

    norm: `none`, as the released code runs it: the file's batch normalisation is left out (a warning where that has been trained); `bn` keeps
    it. Signals: 500 Hz, 10 s, 0.67 to 40 Hz, then z-score per lead: CLEF's recipe (method §3). ECGFounder's further filters (a notch at
    50 Hz, a median) are not ours, and its twelve leads were scaled together. That the one-lead ECGFounder saw only one of the leads is not
    known to us; all twelve are named.
    StorageError: no such file. DataError: holds what could run code; is of neither kind (it says what it looks like); or lacks a tensor, has
    one too many or of another shape (all are listed), or has a value that is not finite.
    """
    path = Path(path)
    if norm not in ("none", "bn"):
        raise unknown("norm", norm, ("none", "bn"), "read_published")
    state = _state(path)
    prefix = BACKBONE if any(name.startswith(BACKBONE) for name in state) else ""
    size, leads = _recognised(path, state, prefix)
    places = {prefix + name: place for name, place in layout(size, leads).items()}
    kept = {name: tensor for name, tensor in state.items() if name.removeprefix(prefix) not in CLASSIFIER}
    require_same(shapes_of(kept), {name: place.shape for name, place in places.items()}, str(path))
    if norm == "none":
        _warn_of_trained_norm(path, kept, places)
    ours = {
        p.ours: kept[name].to(_dtype(kept[name])) for name, p in places.items() if norm == "bn" or not p.norm
    }
    options = {"size": size, "in_leads": leads, "norm": norm}
    encoder = spec(ENCODERS, "clef", options)
    source = (
        f"{'CLEF' if prefix else 'ECGFounder'}, size {size}, {leads} lead{'s' * (leads > 1)}: {path.name}"
    )
    digest = Store(str(path.absolute().parent)).digest(path.name)
    return Weights(filled(encoder, ours, str(path)), encoder, Signals(), LEADS, source, digest)


def _dtype(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _recognised(path: Path, state: Mapping[str, Tensor], prefix: str) -> tuple[SizeName, int]:
    """Size and number of leads, by the first convolution."""
    stem = state.get(prefix + STEM)
    size = size_of(stem.shape[0]) if stem is not None and stem.ndim == 3 else None
    if stem is None or size is None:
        some = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in list(state.items())[:_SHOWN])
        raise DataError(
            f"{path} is neither a checkpoint of CLEF nor of ECGFounder: these have {STEM} [32, 64 or 128, leads, 16] (in CLEF's below {BACKBONE}); "
            f"it looks like another network of {len(state)} tensors, the first: {some}"
        )
    return size, stem.shape[1]


def _warn_of_trained_norm(path: Path, state: Mapping[str, Tensor], places: Mapping[str, Place]) -> None:
    batches = max(int(state[name]) for name in places if name.endswith(COUNTER))
    if batches:
        warnings.warn(
            f"{path}: its batch normalisation was trained ({batches} batches) and is left out, as the released code does; "
            "read_published(path, norm='bn') keeps it",
            stacklevel=3,
        )


def _state(path: Path) -> Mapping[str, Tensor]:
    """The checkpoint's tensors by name."""
    found = _loaded(path)
    if isinstance(found, Mapping) and {"encoder", "run"} <= set(found):
        raise DataError(f"{path} is the encoder of a run of clef_ray; give the run's folder")
    state = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        if isinstance(found, Mapping):
            what = f"a mapping with {', '.join(map(str, list(found)[:_SHOWN])) or 'nothing'}"
        else:
            what = f"a {type(found).__name__}"
        raise DataError(
            f"{path} is no checkpoint of an encoder: it holds {what}, and no `state_dict` of tensors"
        )
    return {str(name): tensor for name, tensor in state.items()}


def _loaded(path: Path) -> Any:
    """The file's content: tensors, plain values and NumPy's numbers (ECGFounder's file may have its AUROC beside the tensors)."""
    if not path.is_file():
        raise StorageError(f"no weights at {path} (looked at {path.absolute()})")
    packed = zipfile.is_zipfile(path)
    with torch.serialization.safe_globals(_numbers()):
        try:
            # Mapped: of a file of 3.6 GB two thirds are the optimiser's state, which nobody reads.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
        except pickle.UnpicklingError as error:
            if not packed:
                raise DataError(f"{path} is no file that torch has written") from error
            held = ", ".join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
            raise DataError(
                f"{path} holds more than tensors and plain values ({held or 'not named'}); that could run code, so it is not read. Whoever made it "
                "can write `state_dict` alone into a file"
            ) from error
        except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
            raise DataError(f"{path} is damaged, or no file that torch has written: {error}") from error


def _numbers() -> list[Any]:
    """NumPy's numbers, which can do nothing: their constructor, also under the name it had before NumPy 2, and their types."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]  # noqa: SLF001 - what pickles of numbers name
    types = [type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4", "?")]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *types]
