"""Banks of recorded noise: files named by their content, below `<storage>/noise/`."""

import hashlib
import io
import math
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

from clef_ray.datasets import LEADS, lead_name
from clef_ray.datasets._mat import NO_MATLAB
from clef_ray.errors import ConfigError, DataError, StorageError
from clef_ray.registry import unknown
from clef_ray.signal.filters import resample
from clef_ray.store import Store

FOLDER = "noise"

#: The kinds of noise in DATA_noises_real.mat and ours; its rows are the simulator's 15 leads. Read in code that loads the file (the
#: simulator's own and the published one of CLEF); the file itself was not seen.
_MAT = {
    "baseline_wander": "wander",
    "electrode_movement": "electrode",
    "motion_artefacts": "motion",
    "mixture_of_noises": "mixture",
}
_MAT_LEADS = (*LEADS, "X", "Y", "Z")

#: Seconds that each row of DATA_noises_real.mat lasts: its source, the MIT-BIH noise stress test database, has 650,000 samples at 360 Hz.
_MAT_SECONDS = 650_000 / 360


@dataclass(frozen=True)
class NoiseBank:
    """noise_KCL: float32 [kinds, leads, samples] at fs Hz, in any unit; one row for all leads where `leads` is empty."""

    kinds: tuple[str, ...]
    leads: tuple[str, ...]
    fs: float
    noise_KCL: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.kinds or self.noise_KCL.shape[:2] != (len(self.kinds), max(len(self.leads), 1)):
            raise DataError(
                f"noise of {len(self.kinds)} kinds and {len(self.leads)} leads cannot be of shape {self.noise_KCL.shape}: "
                "[kinds, leads, samples] is needed, and one row where no leads are named"
            )
        if not (math.isfinite(self.fs) and self.fs > 0):
            raise DataError(f"noise at {self.fs} Hz: the rate must be a positive number")
        unusable = ~np.isfinite(self.noise_KCL).all(axis=-1) | (np.ptp(self.noise_KCL, axis=-1) == 0)
        if unusable.any():
            raise DataError(
                f"{int(unusable.sum())} of {unusable.size} stretches of noise are flat or hold values that are not finite"
            )

    @property
    def mark(self) -> str:
        """8 hex digits of its content."""
        found = hashlib.sha256(repr((self.kinds, self.leads, float(self.fs))).encode())
        found.update(np.ascontiguousarray(self.noise_KCL, dtype="<f4").data)
        return found.hexdigest()[:8]

    def of_leads(self, leads: tuple[str, ...]) -> "NoiseBank":
        """The noise of these leads, in their order; itself where it has one for all. ConfigError: it lacks one."""
        if not self.leads:
            return self
        if absent := [lead for lead in leads if lead not in self.leads]:
            raise ConfigError(
                f"views.noise: the bank has noise of leads {', '.join(self.leads)}, none of {', '.join(absent)}; "
                "set views.lead to one of its leads, or views.noise=synthetic"
            )
        at = [self.leads.index(lead) for lead in leads]
        return replace(self, leads=leads, noise_KCL=self.noise_KCL[:, at])

    def at_rate(self, fs: float) -> "NoiseBank":
        """Resampled to `fs` Hz."""
        return replace(self, fs=fs, noise_KCL=resample(self.noise_KCL, self.fs, fs))

    def save(self, name: str, storage: str) -> str:
        """Write it below `storage`; returns what views.noise is to be set to. Saving the same noise again writes the same file."""
        if not name or not all(c.isalnum() or c in "-_" for c in name):
            raise ConfigError(f"--name {name!r}: allowed are letters, digits, - and _")
        full, buffer = f"{name}-{self.mark}", io.BytesIO()
        rows = dict(zip(self.kinds, self.noise_KCL, strict=True))
        np.savez(buffer, fs=self.fs, leads=np.array(self.leads, dtype=str), **rows)
        Store(storage).child(FOLDER).write_bytes(f"{full}.npz", buffer.getvalue())
        return full


def find_bank(full: str, storage: str) -> Store:
    """The folder that holds the bank `NAME-HEX`. ConfigError where there is none."""
    store = Store(storage).child(FOLDER)
    if not store.exists(f"{full}.npz"):
        there = [name.removesuffix(".npz") for name in store.list() if name.endswith(".npz")]
        raise unknown(
            "noise bank",
            full,
            ["synthetic", *there],
            f"views.noise; `clef-ray noise` writes into {store.path()}",
        )
    return store


def load_bank(full: str, storage: str) -> NoiseBank:
    """The bank `NAME-HEX`. ConfigError where there is none, StorageError where its content is not what its name says."""
    store = find_bank(full, storage)
    bank = _from_npz(store.read_bytes(f"{full}.npz"), store.path(f"{full}.npz"), None)
    if bank.mark != full.rpartition("-")[2]:
        raise StorageError(
            f"{store.path(f'{full}.npz')} was changed: its content is {bank.mark}; make it again"
        )
    return bank


def read_bank(file: str, fs: float | None = None) -> NoiseBank:
    """A bank from DATA_noises_real.mat, or from an .npz of one array per kind of noise, [leads, samples] or [samples].

    An .npz also holds `leads` (names; not needed where there is one row) and `fs` in Hz, unless it is given here. The .mat holds no rate:
    it is told by its length, half an hour, which gives 1,000 Hz for the 1,805,556 samples that the simulator names. DataError: cannot be
    read, or lacks something.
    """
    path = Path(file)
    if not path.is_file():
        raise DataError(f"{file}: no such file")
    if path.suffix == ".mat":
        return _from_mat(path, fs)
    if path.suffix == ".npz":
        return _from_npz(path.read_bytes(), file, fs)
    raise DataError(f"{file}: noise is read from .mat and .npz files")


def _from_mat(path: Path, fs: float | None) -> NoiseBank:
    try:
        held = scipy.io.loadmat(path, variable_names=list(_MAT))
    except NO_MATLAB as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file before version 7.3: {error}") from error
    if absent := [name for name in _MAT if name not in held]:
        raise DataError(f"{path}: lacks {', '.join(absent)}; DATA_noises_real.mat has {', '.join(_MAT)}")
    shapes = {held[name].shape for name in _MAT}
    if len(shapes) > 1 or next(iter(shapes))[0] != len(_MAT_LEADS):
        raise DataError(f"{path}: shapes {sorted(shapes)}; {len(_MAT_LEADS)} rows of one length are expected")
    noise_KCL = np.stack([np.asarray(held[name], dtype=np.float32) for name in _MAT])
    return NoiseBank(tuple(_MAT.values()), _MAT_LEADS, fs or _rate(noise_KCL.shape[-1], path), noise_KCL)


def _rate(samples: int, path: Path) -> float:
    fs = float(round(samples / _MAT_SECONDS))
    if abs(samples - fs * _MAT_SECONDS) > 1:
        raise DataError(
            f"{path}: {samples} samples are not the half hour of the noise stress test database at a whole rate; give --fs"
        )
    return fs


def _from_npz(content: bytes, where: str, fs: float | None) -> NoiseBank:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        rate = fs if fs is not None else float(held.pop("fs"))
        leads = tuple(lead_name(str(lead)) for lead in held.pop("leads", np.empty(0, dtype=str)))
        held.pop("fs", None)
        noise_KCL = np.stack([np.atleast_2d(rows).astype(np.float32) for rows in held.values()])
    except KeyError as error:
        raise DataError(f"{where}: lacks {error}; give --fs") from error
    except (ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{where}: is no .npz of one array per kind of noise, all of one shape: {error}"
        ) from error
    return NoiseBank(tuple(held), leads, rate, noise_KCL)
