"""Judging encoders: the patient bootstrap of a table of AUROCs against scikit-learn in a loop, and embeddings against the bare encoder.

The plain side is measured on a part of the table (a few resamples of a few classes) and scaled up: all of it would take an hour.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from clef_ray.augment import preprocess
from clef_ray.augment.threads import in_threads
from clef_ray.bench.measure import Figure, cores, faster, in_seconds, interleaved, on
from clef_ray.config import Run, override
from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.embedder import PIECE, Embedder
from clef_ray.evaluate.statistics import weighted_rankings
from clef_ray.train.loop import build_encoder

#: The target: seconds of 1,000 resamples of 100,000 records x 44 classes (PTB-XL's diagnoses), on 2 cores.
MOST_SECONDS = 30.0

#: The target: embeddings per second, as a share of those of the bare encoder.
LEAST_SHARE = 0.9

_ABOUT_EMBEDDINGS = (
    "Embeddings: mV to embeddings, band-pass and z-score included; limit is the encoder alone on filtered windows in the same pieces, plain "
    "the encoder alone on 256 at a time."
)


@dataclass(frozen=True)
class Sizes:
    """records, classes, resamples: of the bootstrapped table; part: resamples x classes of the plain side; rounds: of all sides;
    windows: to be embedded.
    """

    records: int
    classes: int
    resamples: int
    part: tuple[int, int]
    rounds: int
    windows: int = 512


class Table:
    """Scores of records of random patients, two each, for classes from common (30 %) to rare (0.5 %)."""

    def __init__(self, sizes: Sizes) -> None:
        rng = np.random.default_rng(0)
        self.sizes = sizes
        self.patient_N: NDArray[np.str_] = (np.arange(sizes.records) // 2).astype(np.str_)
        shares_K = np.geomspace(0.3, 0.005, sizes.classes)
        self.positive_NK = rng.random((sizes.records, sizes.classes)) < shares_K
        self.score_NK = rng.normal(size=self.positive_NK.shape) + self.positive_NK

    def ours(self) -> float:
        """Seconds of the whole table, the drawing of patients included."""
        begin = time.perf_counter()
        weights_BN = sample_and_resamples(self.patient_N, self.sizes.resamples, 0)
        weighted_rankings(self.score_NK, self.positive_NK, weights_BN)
        return time.perf_counter() - begin

    def plain(self) -> float:
        """Seconds of the whole table by a loop over resamples and classes, from those of a part. The classes are spread over all shares."""
        resamples, classes = self.sizes.part
        weights_BN = sample_and_resamples(self.patient_N, resamples, 0)[1:]
        chosen = np.linspace(0, self.sizes.classes - 1, classes).astype(int)
        begin = time.perf_counter()
        for weight_N in weights_BN:
            again = np.repeat(np.arange(self.sizes.records), weight_N.astype(int))
            for k in chosen:
                roc_auc_score(self.positive_NK[again, k], self.score_NK[again, k])
        share = (self.sizes.resamples * self.sizes.classes) / (resamples * classes)
        return (time.perf_counter() - begin) * share


def evaluation(sizes: Sizes, say: Callable[[str], None]) -> list[Figure]:
    """The figures of the group."""
    say("embeddings")
    embedded = embeddings(sizes.windows, sizes.rounds)
    say("patient bootstrap")
    return [embedded, bootstrap(sizes)]


def embeddings(windows: int, rounds: int, fs: int = 500) -> Figure:
    """Windows per second from mV to embeddings, on all cores, encoder S. `limit` is the encoder alone on filtered windows, in the same
    pieces; `plain` is the encoder alone, too, but 256 windows at a time with each operation spread over the cores.
    """
    run = override(Run(), {"signals.fs": fs}).canonical()
    embedder = Embedder(build_encoder(run), run, "cpu")
    x_NT = np.random.default_rng(0).standard_normal((windows, round(run.signals.seconds * fs)), np.float32)
    ready_N1T = preprocess(torch.from_numpy(x_NT), run.signals)[:, None]

    def encode(first: int, at_once: int) -> None:
        with torch.inference_mode():
            embedder.encoder(ready_N1T[first : first + at_once])

    def plain() -> int:
        for first in range(0, windows, 256):
            encode(first, 256)
        return windows

    def limit() -> int:
        in_threads(lambda first: encode(first, PIECE), range(0, windows, PIECE))
        return windows

    sides = {"ours": lambda: len(embedder.features(x_NT)), "plain": plain, "limit": limit}
    rates = interleaved({name: on(cores(), side) for name, side in sides.items()}, rounds)
    share = median(a / b for a, b in zip(rates["ours"], rates["limit"], strict=True))
    return replace(
        faster(f"embeddings S, {fs} Hz, {cores()} threads", _ABOUT_EMBEDDINGS, rates),
        unit="windows/s",
        target=f">= {LEAST_SHARE:.0%} of limit",
        met=share >= LEAST_SHARE,
    )


def bootstrap(sizes: Sizes) -> Figure:
    """Seconds of the bootstrapped table. The target is of the full size only."""
    table = Table(sizes)
    timed = in_seconds([(table.ours(), table.plain()) for _ in range(sizes.rounds)])
    full = (sizes.records, sizes.classes, sizes.resamples) == (100_000, 44, 1000)
    return replace(
        timed,
        name=f"bootstrap of {sizes.records:,} x {sizes.classes} AUROCs, {sizes.resamples:,} resamples",
        target=f"<= {MOST_SECONDS:g} s" if full else "",
        met=timed.ours <= MOST_SECONDS if full else None,
        note=(
            f"Bootstrap: 95 % intervals over patients, drawing included, on one thread; plain is scikit-learn's roc_auc_score in a loop, "
            f"measured on {sizes.part[0]} resamples x {sizes.part[1]} classes and scaled up."
        ),
    )
