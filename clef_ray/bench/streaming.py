"""Streaming and augmentation: shards to two views per record in batches, against one record after the other.

The plain side is what a data loader without batches does in one process: `wfdb.rdrecord`, `scipy.signal.filtfilt`, NumPy. Both read the
same synthetic records, 12 leads at 500 Hz, from files that the system has in its cache.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray
from scipy import signal as scipy_signal
from torch import Tensor

from clef_ray.augment import NOISES, LeadChoice, noise_spectra, pad_samples, two_views
from clef_ray.bench.measure import Figure, cores, faster, interleaved, on
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.sections import Signals, Views
from clef_ray.shards import Manifest, ingest_local, load_corpus, read_rows, row_groups
from clef_ray.train.loop import MemoryFeed
from clef_ray.train.plan import ReadPlan

SIGNALS = Signals(fs=500.0, seconds=10.0)
#: Seconds of each kind of noise that the plain side keeps in memory to cut its noise from.
NOISE_SECONDS = 120
NOTE = (
    "Stream + augment: plain is rdrecord, filtfilt and NumPy per item in one process on one thread; "
    "limit is a copy of both views and their FFT there and back."
)


@dataclass(frozen=True)
class Sizes:
    """records: in the shards, all read in one turn of ours (at most one window of the read plan); pairs: in one turn of the plain side."""

    records: int
    pairs: int
    batch: int
    rounds: int


class Batches:
    """Ours: batches in the read plan's order, then both views of a batch at once. `folder`: the shards."""

    def __init__(self, folder: str, batch: int, views: Views) -> None:
        manifest = Manifest.load(folder)
        self.folder, self.leads, self.views = folder, manifest.leads, views
        self.choose = LeadChoice(views, self.leads, seed=0)
        self.plan = ReadPlan(np.arange(manifest.records), row_groups(manifest), batch, seed=0)
        self.memory = MemoryFeed(load_corpus(folder, SIGNALS.fs).signals_NCT, self.leads)

    def from_memory(self) -> Iterator[Tensor]:
        """The two leads of every record of each batch of an epoch, [B, 2, T], from memory."""
        return self.memory.stream(self.plan, range(1), 0, 1, self.choose)

    def from_parquet(self) -> Iterator[Tensor]:
        """The same from the shards: one window of the plan, read as a reading task of clef_ray/cluster/stream.py reads it."""
        rows = np.concatenate(list(self.plan.slices(0, 0, 1)))
        signals_N2T = torch.from_numpy(
            read_rows(self.folder, rows, SIGNALS.fs, self.leads, self.choose(0, rows))
        )
        return iter(torch.split(signals_N2T, self.plan.batch))

    def pairs(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Both views [2B, T] of each batch."""
        for rows, x_B2T in zip(self.plan.batches(0), batches, strict=True):
            yield two_views(x_B2T, torch.from_numpy(rows), 0, 0, SIGNALS, self.views)


class PerItem:
    """Plain: per record, read the file, and per view filter one lead, add noise, mask, standardise."""

    def __init__(self, folder: Path, names: list[str], views: Views) -> None:
        self.folder, self.names, self.views = folder, names, views
        self.rng = np.random.default_rng(0)
        self.b, self.a = scipy_signal.butter(5, SIGNALS.band, btype="bandpass", fs=SIGNALS.fs)
        self.noise_KL = noise_bank(self.rng)

    def pair(self, name: str) -> NDArray[np.float64]:
        """Two views [2, T] of one record."""
        record = wfdb.rdrecord(str(self.folder / name))
        leads = record.sig_name
        if self.views.lead == "random":
            first, second = self.rng.integers(len(leads), size=2)
            second = first if self.rng.random() < self.views.same_lead else second
        else:
            first = second = leads.index(self.views.lead)
        return np.stack([self._view(record.p_signal[:, lead]) for lead in (first, second)])

    def _view(self, x_T: NDArray[np.float64]) -> NDArray[np.float64]:
        x_T = scipy_signal.filtfilt(self.b, self.a, x_T)
        kind = self.rng.integers(len(NOISES))
        if NOISES[kind] != "none":
            start = self.rng.integers(self.noise_KL.shape[1] - len(x_T))
            noise_T = self.noise_KL[kind, start : start + len(x_T)]
            x_T = x_T + noise_T * (self.views.noise_mv / np.sqrt(np.mean(noise_T**2)))
        if self.rng.random() < self.views.mask_probability:
            length = int(self.rng.uniform(*self.views.mask_share) * len(x_T))
            start = self.rng.integers(len(x_T) - length + 1)
            x_T[start : start + length] = 0.0
        z_T: NDArray[np.float64] = (x_T - x_T.mean()) / (x_T.std() + 1e-8)
        return z_T


def noise_bank(rng: np.random.Generator) -> NDArray[np.float64]:
    """Two minutes of each kind of NOISES with an RMS of 1, made beforehand as recorded noise would be: [5, L]."""
    length = round(NOISE_SECONDS * SIGNALS.fs)
    spectra_KF = noise_spectra(length, SIGNALS.fs).numpy().astype(np.float64)
    phase_KF = rng.uniform(0, 2 * np.pi, spectra_KF.shape)
    return np.fft.irfft(spectra_KF * np.exp(1j * phase_KF), n=length)


def write_wfdb(cohort: Synthetic, folder: Path, count: int) -> list[str]:
    """The first `count` records of the cohort as WFDB files, 16 bit; returns their names."""
    names = []
    for row in cohort.table().head(count).to_dict("records"):
        signal = cohort.signal({str(key): value for key, value in row.items()})
        names.append(str(row["record"]))
        wfdb.wrsamp(
            names[-1],
            fs=signal.fs,
            units=["mV"] * len(signal.leads),
            sig_name=list(signal.leads),
            d_signal=signal.raw_CT.T.astype(np.int64),
            fmt=["16"] * len(signal.leads),
            adc_gain=signal.gain_C.tolist(),
            baseline=signal.baseline_C.astype(int).tolist(),
            write_dir=str(folder),
        )
    return names


def bare_fft(batch: int, batches: int) -> Callable[[], int]:
    """The limit: copy the rows of both views once and transform them there and back, nothing else."""
    samples = round(SIGNALS.seconds * SIGNALS.fs)
    length = samples + sum(pad_samples(samples, SIGNALS.fs))
    rows_2BL = torch.randn(2 * batch, length, generator=torch.Generator().manual_seed(0))
    held_2BL = torch.empty_like(rows_2BL)

    def turn() -> int:
        for _ in range(batches):
            held_2BL.copy_(rows_2BL)
            torch.fft.irfft(torch.fft.rfft(held_2BL), n=length)
        return batch * batches

    return turn


def streaming(sizes: Sizes) -> list[Figure]:
    """Pairs per second from Parquet and from memory on one thread, and from memory on all."""
    with tempfile.TemporaryDirectory(prefix="clef-ray-bench-") as scratch:
        cohort = Synthetic(patients=sizes.records, records_per_patient=1)
        (raw := Path(scratch, "wfdb")).mkdir()
        plain = PerItem(raw, write_wfdb(cohort, raw, sizes.pairs), Views())
        ingest_local(cohort, f"{scratch}/shards")
        ours = Batches(f"{scratch}/shards", sizes.batch, Views())
        fft = bare_fft(sizes.batch, ours.plan.steps)
        sides = {
            "parquet": on(1, lambda: _count(ours.pairs(ours.from_parquet()))),
            "plain": on(1, lambda: len([plain.pair(name) for name in plain.names])),
            "memory": on(1, lambda: _count(ours.pairs(ours.from_memory()))),
            "limit": on(1, fft),
            "memory, all": on(cores(), lambda: _count(ours.pairs(ours.from_memory()))),
            "limit, all": on(cores(), fft),
        }
        rates = interleaved(sides, sizes.rounds)
    title, many = "stream + augment", f"{cores()} threads"
    figures = [
        faster(f"{title}, Parquet, 1 thread", NOTE, rates, "parquet"),
        faster(f"{title}, memory, 1 thread", NOTE, rates, "memory"),
    ]
    if cores() > 1:
        # One process against one process: ours may use all its threads, the plain one has no use for more than one.
        figures.append(
            faster(f"{title}, memory, {many}", NOTE, rates, "memory, all", "limit, all", at_least=20)
        )
    return figures


def _count(pairs: Iterable[Tensor]) -> int:
    return sum(len(x_2BT) // 2 for x_2BT in pairs)
