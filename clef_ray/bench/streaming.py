"""Streaming and augmentation: shards to two views per record in batches, against a PyTorch DataLoader that takes one record after the other.

The plain side is `wfdb.rdrecord`, `scipy.signal.filtfilt` and NumPy per item, in the DataLoader's own process or in two. It filters and
augments as ours does. Both read the same synthetic records, 12 leads at 500 Hz, from files that the system has in its cache.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray
from scipy import signal as scipy_signal
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clef_ray.augment import Batch, Choice, Noise, two_views
from clef_ray.augment.filters import pad_samples
from clef_ray.augment.noise import KINDS, synthetic
from clef_ray.bench.measure import Figure, cores, faster, interleaved, on
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.sections import Signals, Views
from clef_ray.shards import Manifest, ingest_local, load_corpus, read_rows, row_groups
from clef_ray.train.feed import ResidentFeed
from clef_ray.train.plan import ReadPlan

SIGNALS = Signals(fs=500.0, seconds=10.0)
#: Seconds of each kind of noise that the plain side keeps in memory to cut its noise from.
NOISE_SECONDS = 120
#: How many times as fast as the faster DataLoader resident signals are to be, and which share of a copy of memory decoding.
TIMES, SHARE = 40.0, 0.3
NOTE = (
    "Stream + augment: plain is a DataLoader over rdrecord, filtfilt and NumPy per item, the faster of 0 and 2 workers, one thread each; "
    "limit is a copy of both views and their FFT there and back. Streaming is what a reading task does, without Ray's transport."
)
DECODING = (
    "Decoding: Parquet in the system's cache to int16 in memory of its own, in the order of training, in bytes of int16; plain is a copy of "
    "the same bytes, all leads in one piece or record by record two leads of all, into memory that is there already."
)
DEVICE = "Device: gains, filters, noise and masks of signals that are on the GPU, in bytes of int16 read; plain is a copy of the same bytes there."


@dataclass(frozen=True)
class Sizes:
    """records: in the shards, all read in one turn of ours (at most one window of the read plan); pairs: in one turn of the plain side."""

    records: int
    pairs: int
    batch: int
    rounds: int


class Batches:
    """Ours: batches in the read plan's order, then both views of a batch at once. `folder`: the shards."""

    def __init__(self, folder: str, batch: int, views: Views, device: torch.device | None = None) -> None:
        """device: where the signals lie and the views are made; None: in memory, by the CPU."""
        manifest = Manifest.load(folder)
        self.folder, self.leads, self.views = folder, manifest.leads, views
        self.choose = Choice(SIGNALS, views, self.leads, seed=0)
        self.plan = ReadPlan(np.arange(manifest.records), row_groups(manifest), batch, seed=0)
        self.memory = ResidentFeed(load_corpus(folder, SIGNALS.fs).signals, self.leads, device)
        self.noise = Noise.of(None, SIGNALS, self.leads, device or torch.device("cpu"))

    def from_memory(self) -> Iterator[Batch]:
        """Every batch of an epoch, from memory."""
        return self.memory.stream(self.plan, range(1), 0, 1, self.choose)

    def from_parquet(self) -> Iterator[Batch]:
        """The same from the shards: one window of the plan, read as a reading task of clef_ray/cluster/stream.py reads it."""
        rows = np.concatenate(list(self.plan.slices(0, 0, 1)))
        lead = self.choose.lead(0, rows)
        read = read_rows(self.folder, rows, SIGNALS.fs, self.leads, lead)
        arrays = (torch.from_numpy(x) for x in (read.raw_NKT, read.gain_NK, read.baseline_NK))
        whole = Batch(rows, lead, *arrays)
        return (whole[n : n + self.plan.batch] for n in range(0, len(rows), self.plan.batch))

    def pairs(self, batches: Iterable[Batch]) -> Iterator[Tensor]:
        """Both views [2B, T] of each batch."""
        for batch in batches:
            yield two_views(batch, 0, 0, SIGNALS, self.views, self.noise)

    def decode(self, pairs: bool = False) -> int:
        """All leads of every record, or with `pairs` only the two of its views, as stored; returns the bytes of their samples."""
        rows = self.plan.order(0)
        lead = self.choose.lead(0, rows) if pairs else None
        return read_rows(self.folder, rows, SIGNALS.fs, self.leads, lead).raw_NKT.nbytes

    def copy(self) -> Callable[[], int]:
        """A copy of as many bytes, from memory into memory that is there already."""
        source = self.memory.signals.raw_NKT
        target = np.empty_like(source)

        def turn() -> int:
            np.copyto(target, source)
            return target.nbytes

        return turn

    def copy_pairs(self) -> Callable[[], int]:
        """The same of the two leads of each record, in the same order."""
        source, rows = self.memory.signals.raw_NKT, self.plan.order(0)
        lead = self.choose.lead(0, rows)
        target = np.empty((*lead.shape, source.shape[-1]), dtype=np.int16)

        def turn() -> int:
            for n, row in enumerate(rows):
                np.take(source[row], lead[n], axis=0, out=target[n], mode="clip")
            return target.nbytes

        return turn


class PerItem(Dataset[NDArray[np.float64]]):
    """Plain: per record, read the file, and per view filter one lead, add noise, mask, standardise."""

    def __init__(self, folder: Path, names: list[str], views: Views) -> None:
        self.folder, self.names, self.views = folder, names, views
        self.rng = np.random.default_rng(0)
        self.b, self.a = scipy_signal.butter(5, SIGNALS.band, btype="bandpass", fs=SIGNALS.fs)
        self.noise_KL = synthetic(SIGNALS.fs, NOISE_SECONDS).astype(np.float64)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, item: int) -> NDArray[np.float64]:
        return self.pair(self.names[item])

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
        kind = self.rng.integers(len(KINDS) + 1)
        if kind < len(KINDS):
            start = self.rng.integers(self.noise_KL.shape[1] - len(x_T))
            noise_T = self.noise_KL[kind, start : start + len(x_T)]
            x_T = x_T + (noise_T - noise_T.mean()) * (self.views.noise_mv / noise_T.std())
        if self.rng.random() < self.views.mask_probability:
            length = int(self.rng.uniform(*self.views.mask_share) * len(x_T))
            start = self.rng.integers(len(x_T) - length + 1)
            x_T[start : start + length] = 0.0
        z_T: NDArray[np.float64] = (x_T - x_T.mean()) / (x_T.std() + 1e-8)
        return z_T


def loader(items: PerItem, workers: int) -> Callable[[], int]:
    """One pass of a DataLoader over all items, in batches of 32; its workers, of one thread each, stay from pass to pass."""
    made = DataLoader(
        items,
        batch_size=32,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,
    )
    return lambda: sum(len(pairs) for pairs in made)


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
    """Pairs per second streaming and resident, bytes per second of decoding, and on a GPU those of the views."""
    with tempfile.TemporaryDirectory(prefix="clef-ray-bench-") as scratch:
        cohort = Synthetic(patients=sizes.records, records_per_patient=1)
        (raw := Path(scratch, "wfdb")).mkdir()
        items = PerItem(raw, write_wfdb(cohort, raw, sizes.pairs), Views())
        ingest_local(cohort, f"{scratch}/shards")
        ours = Batches(f"{scratch}/shards", sizes.batch, Views())
        fft = bare_fft(sizes.batch, ours.plan.steps)
        sides = {
            "streaming": on(1, lambda: _count(ours.pairs(ours.from_parquet()))),
            "0 workers": on(1, loader(items, 0)),
            "resident": on(1, lambda: _count(ours.pairs(ours.from_memory()))),
            "limit": on(1, fft),
            "2 workers": on(1, loader(items, 2)),
            "resident, all": on(cores(), lambda: _count(ours.pairs(ours.from_memory()))),
            "limit, all": on(cores(), fft),
            "decode": on(1, ours.decode),
            "copy": on(1, ours.copy()),
            "decode pairs": on(1, lambda: ours.decode(pairs=True)),
            "copy pairs": on(1, ours.copy_pairs()),
        }
        rates = interleaved(sides, sizes.rounds)
        figures = _figures(rates)
        if torch.cuda.is_available():
            figures.append(_on_device(f"{scratch}/shards", sizes))
    return figures


def _figures(rates: dict[str, list[float]]) -> list[Figure]:
    rates["plain"] = max(rates["0 workers"], rates["2 workers"], key=median)
    title = "stream + augment"
    figures = [
        faster(f"{title}, streaming, 1 thread", NOTE, rates, "streaming"),
        faster(f"{title}, resident, 1 thread", NOTE, rates, "resident"),
        faster(f"{title}, resident, {cores()} threads", NOTE, rates, "resident, all", "limit, all", TIMES),
    ]
    pairs = _share("decoding 2 leads, 1 thread", rates["decode pairs"], rates["copy pairs"], None, DECODING)
    return [*figures, _share("decoding, 1 thread", rates["decode"], rates["copy"], SHARE, DECODING), pairs]


def _share(name: str, ours: list[float], plain: list[float], at_least: float | None, note: str) -> Figure:
    """Bytes per second against those of a copy, in GB/s."""
    ratio = median(ours) / median(plain)
    single = [a / b for a, b in zip(ours, plain, strict=True)]
    return Figure(
        name=name,
        unit="GB/s",
        ours=median(ours) / 1e9,
        plain=median(plain) / 1e9,
        ratio=ratio,
        spread=(min(single), max(single)),
        target="" if at_least is None else f">= {at_least:g}x",
        met=None if at_least is None else ratio >= at_least,
        note=note,
    )


def _on_device(folder: str, sizes: Sizes) -> Figure:
    device = torch.device("cuda")
    ours = Batches(folder, sizes.batch, Views(), device)
    read = ours.plan.steps * sizes.batch * 2 * round(SIGNALS.seconds * SIGNALS.fs) * 2
    held = torch.zeros(read, dtype=torch.uint8, device=device)
    target = torch.empty_like(held)

    def views() -> int:
        _count(ours.pairs(ours.from_memory()))
        torch.cuda.synchronize()
        return read

    def copy() -> int:
        target.copy_(held)
        torch.cuda.synchronize()
        return read

    rates = interleaved({"ours": views, "plain": copy}, sizes.rounds)
    return _share("views of resident signals, GPU", rates["ours"], rates["plain"], None, DEVICE)


def _count(pairs: Iterable[Tensor]) -> int:
    return sum(len(x_2BT) // 2 for x_2BT in pairs)
