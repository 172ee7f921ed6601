"""A trained encoder, ready to use: signals in mV in, embeddings out.

encoder = clef_ray.load("storage/runs/3f2a...")
z_D = encoder.embed(signal_T, fs=500, lead="I")
"""

import warnings
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from clef_ray.augment import preprocess
from clef_ray.augment.threads import in_threads
from clef_ray.config import Run, from_dict
from clef_ray.datasets import LEADS
from clef_ray.distributed import exact_float32, load_state, pick_device
from clef_ray.errors import DataError, StorageError
from clef_ray.registry import unknown
from clef_ray.signal.filters import resample
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, build_encoder
from clef_ray.weights import is_address, read_weights

#: Signals shorter than this hold too few beats to mean anything.
SHORTEST_SECONDS = 2.0

#: Windows that go through the encoder at once, on a CPU and elsewhere. At 500 Hz, 64 on one core take half as long each as 256, whose
#: activations fit in no cache, and several times less than one operation after the other spread over all cores (measured, encoder S).
PIECE = 64
BATCH = 256


#: Endings of files of weights that are no run's.
PUBLISHED = (".safetensors", ".ckpt", ".pth")


def is_run(where: str) -> bool:
    """Whether a name stands for a run (its folder, its encoder.pt, a URI of either) rather than for a file of weights or one on a hub."""
    return not is_address(where) and (Path(where).is_dir() or Path(where).name == ENCODER or "://" in where)


class Embedder:
    """An encoder with the preprocessing it was trained with."""

    def __init__(self, encoder: nn.Module, run: Run, device: str = "auto") -> None:
        exact_float32()
        self.run = run
        self.device = pick_device(device)
        self.encoder = encoder.to(self.device).eval()

    @classmethod
    def load(cls, path: str, device: str = "auto") -> Self:
        """From a run directory (or URI), its encoder.pt, or what `weights.read_weights` takes: a .safetensors file, a published checkpoint,
        `hf://owner/name`. Weights and configuration must match exactly; else StorageError, or of such files DataError.
        """
        if is_address(path) or path.endswith(PUBLISHED):
            weights = read_weights(path)
            return cls(weights.encoder, weights.run(), device)
        file = path.partition("?")[0].endswith(".pt")
        store, name = Store.holding(path) if file else (Store(path), ENCODER)
        if not store.exists(name):
            raise StorageError(
                f"no trained encoder at {store.path(name)}; give a run directory that holds {ENCODER}"
            )
        state = load_state(store, name)
        if not {"encoder", "run"} <= set(state):
            raise StorageError(
                f"{store.path(name)} is no encoder file of clef_ray: it lacks 'encoder' and 'run'"
            )
        run = from_dict(Run, state["run"])
        encoder = build_encoder(run)
        try:
            encoder.load_state_dict(state["encoder"])
        except RuntimeError as error:
            raise StorageError(
                f"the weights in {store.path(name)} do not fit encoder {run.encoder.name!r}: {error}"
            ) from error
        return cls(encoder, run, device)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.encoder.dim)  # type: ignore[arg-type]

    def embed(self, signal: ArrayLike, *, fs: float, lead: str = "I") -> NDArray[np.float32]:
        """Embed one record [T] or several of one length [N, T].

        signal: mV; fs: Hz, any rate (resampled to the training rate); lead: which of the twelve leads this is. Recordings longer than
        the training window are cut into whole windows whose embeddings are averaged. Returns [D] or [N, D]. Raises DataError for
        NaN, a flat signal, fewer than 2 s, or more than two dimensions.
        """
        x = np.asarray(signal, dtype=np.float32)
        self._check(x, fs, lead)
        x_NT = resample(np.atleast_2d(x), fs, self.run.signals.fs)
        window = round(self.run.signals.seconds * self.run.signals.fs)
        count = max(x_NT.shape[1] // window, 1)
        windows = x_NT[:, : count * window].reshape(len(x_NT) * count, -1)
        z_ND: NDArray[np.float32] = self.features(windows).reshape(len(x_NT), count, -1).mean(axis=1)
        return z_ND[0] if x.ndim == 1 else z_ND

    def _check(self, x: NDArray[np.float32], fs: float, lead: str) -> None:
        if lead not in LEADS:
            raise unknown("lead", lead, LEADS)
        trained = self.run.views.lead
        if trained not in ("random", lead) and self.run.epochs > 0:
            warnings.warn(
                f"this encoder was pretrained on lead {trained} only and is used on lead {lead}", stacklevel=3
            )
        if x.ndim not in (1, 2):
            raise DataError(
                f"a signal of shape {x.shape}: give one record [samples] or several [records, samples] of one lead"
            )
        if fs <= 0 or x.shape[-1] < SHORTEST_SECONDS * fs:
            raise DataError(f"{x.shape[-1]} samples at {fs} Hz are less than {SHORTEST_SECONDS} s")
        if not np.isfinite(x).all():
            raise DataError(
                f"{int((~np.isfinite(x)).sum())} samples are NaN or infinite; interpolate them or leave the record out"
            )
        flat = np.atleast_2d(np.ptp(x, axis=-1) == 0)
        if flat.any():
            raise DataError(f"{int(flat.sum())} of {flat.size} signals are flat (one value throughout)")

    def features(self, x_NT: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings [N, D] of windows already at the training rate, mV.

        On a CPU in pieces, each on one thread, on as many threads as torch has: the pieces, and so the results, are the same on any number.
        """
        in_pieces = self.device.type == "cpu"
        at_once = PIECE if in_pieces else BATCH
        made: dict[int, Tensor] = {}

        def write(first: int) -> None:
            with torch.inference_mode():
                x_BT = torch.from_numpy(np.array(x_NT[first : first + at_once])).to(self.device)
                made[first] = self.encoder(preprocess(x_BT, self.run.signals)[:, None]).float()

        pieces = range(0, len(x_NT), at_once)
        if in_pieces:
            in_threads(write, pieces)
        else:
            for first in pieces:
                write(first)
        return torch.cat([made[first] for first in pieces]).cpu().numpy()
