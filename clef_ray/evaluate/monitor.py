"""How an encoder does while it trains: after every epoch, on the official validation patients, whom pretraining never sees.

    valid/rsa                 does the geometry follow risk already? the `rsa` of zeroshot.py with SCORE2
    embedding/std             spread of the unit-norm embeddings: mean over dimensions of the standard deviation, times sqrt(D); 0 collapsed,
                              1 where they point everywhere alike (Chen & He 2021, arXiv 2011.10566, section 4.1)
    embedding/effective_rank  how many directions they use: exp of the entropy of the normalised singular values (Roy & Vetterli 2007,
                              EUSIPCO), of the uncentred matrix, so that one direction for all is 1; at most the smaller of patients and D
    embedding/uniformity      log of the mean of exp(-2 |u - v|^2) over pairs of patients, unit norm (Wang & Isola 2020, arXiv 2005.10242,
                              section 4.2); 0: all in one point; about -4, less negative in few dimensions: spread evenly over the sphere
    embedding/alignment       mean |u - v|^2 of the two halves of one window, unit norm (the same paper, alpha = 2), 0..4; 0: one point

Whatever a method calls a positive pair, the pair of `alignment` is the first and the second half of the same window, each embedded by
itself: so it means the same for all methods and for untrained encoders, and needs neither views nor second records. It is low where an
encoder keeps what lasts, and it is low where it has collapsed: read it with the others. `collapse.py` says when a run looks collapsed.

Early stopping and people read them; training does not, so that a run with and without them is the same run. They belong to the run's
history, which sweeps with other tasks share: patients, score and lead depend on the run and the data alone, never on a task.
Measured on one thread of a CPU (5 s at 100 Hz) without the halves, which double it: 1.8 % of an epoch's CPU time with 1 298 records, 1.4 %
with 7 771.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from torch import nn

from clef_ray.augment import window
from clef_ray.config import Run
from clef_ray.datasets import covariates_of
from clef_ray.evaluate.embedder import Embedder
from clef_ray.evaluate.inputs import LEAST_PATIENTS, OFFICIAL, patients
from clef_ray.evaluate.statistics import cosine_distances, differences, weighted_spearman
from clef_ray.registry import SCORES
from clef_ray.scores import fit, risk
from clef_ray.shards import Corpus

#: Patients at most: 125 000 pairs, and few records beside those of an epoch that has ten times as many patients.
MOST_PATIENTS = 500

#: Signals by position in the corpus and by lead: [rows, T] float32 mV at the training rate.
Read = Callable[[NDArray[np.int64], str], NDArray[np.float32]]


def reader(corpus: Corpus) -> Read:
    """The signals of a corpus in memory."""
    return corpus.millivolts


@dataclass(frozen=True)
class Monitor:
    """Called after every epoch with the encoder that trains. x_PT: one window per validation patient, mV; risk_P: SCORE2 in %, NaN unknown."""

    run: Run
    x_PT: NDArray[np.float32]
    risk_P: NDArray[np.float64]
    device: torch.device

    @classmethod
    def of(
        cls, run: Run, table: pd.DataFrame, leads: tuple[str, ...], read: Read, device: torch.device
    ) -> Self:
        """Reads the signals it needs once. leads: those the run trains on."""
        rows_P, risk_P = validation_patients(run, table)
        x_PT = read(rows_P, lead(run, leads))
        return cls(run, x_PT[:, : window(run.signals, x_PT.shape[1])], risk_P, device)

    def __call__(self, encoder: nn.Module) -> dict[str, float]:
        """The metrics that can be computed: none with fewer than 20 patients or embeddings that are not finite, no `valid/rsa` with fewer
        than 20 known risks or where risks or distances are all equal.

        The encoder keeps its mode and its state; no random number is drawn.
        """
        if len(self.x_PT) < LEAST_PATIENTS:
            return {}
        half = self.x_PT.shape[1] // 2
        training = encoder.training
        embed = Embedder(encoder, self.run, str(self.device)).features
        windows = (self.x_PT, self.x_PT[:, :half], self.x_PT[:, half : 2 * half])
        z_PD, first_PD, second_PD = (embed(x_PT).astype(np.float64) for x_PT in windows)
        encoder.train(training)
        if not all(np.isfinite(found).all() for found in (z_PD, first_PD, second_PD)):
            return {}
        metrics = {
            "embedding/std": spread(z_PD),
            "embedding/effective_rank": effective_rank(z_PD),
            "embedding/uniformity": uniformity(z_PD),
            "embedding/alignment": alignment(first_PD, second_PD),
        }
        known_P = np.isfinite(self.risk_P)
        agreement = rsa(z_PD[known_P], self.risk_P[known_P])
        return metrics if np.isnan(agreement) else {"valid/rsa": agreement, **metrics}


def lead(run: Run, leads: tuple[str, ...]) -> str:
    """The lead the encoder is monitored on: the one it trains on; of several lead I, which the tasks judge unless they are told otherwise."""
    if run.views.lead != "random":
        return run.views.lead
    return "I" if "I" in leads else leads[0]


def validation_patients(run: Run, table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first record of each validation patient, as ascending positions in the table, and SCORE2 of each in %, [P] both.

    Of more than 500 patients those with a known risk come first, otherwise drawn at random, the same for every run. Missing fields other
    than age and sex stand at their centre, as in the zero-shot task. Of a run that trains on other folds than the official ones (a rotation's) nobody is one: its test fold may be fold 9.
    """
    folds = OFFICIAL.validation if {*run.train_folds} <= {*OFFICIAL.train} else ()
    rows_N = np.flatnonzero(table["fold"].isin(folds).to_numpy())
    rows_P = rows_N[np.unique(patients(table.iloc[rows_N]), return_index=True)[1]]
    chosen = table.iloc[rows_P]
    score, covariates = SCORES.get("score2")(), covariates_of(chosen)
    risk_P = risk(score, covariates, patients(chosen), fit("centre", covariates, score.fields)).value_N
    order = np.lexsort((np.random.default_rng(0).random(len(rows_P)), np.isnan(risk_P)))
    kept = order[:MOST_PATIENTS]
    kept = kept[np.argsort(rows_P[kept])]
    return rows_P[kept], risk_P[kept]


def rsa(z_PD: NDArray[np.float64], risk_P: NDArray[np.float64]) -> float:
    """Spearman of cosine distance and risk difference over all pairs, -1..1; NaN with fewer than 20 patients or where either is constant."""
    if len(risk_P) < LEAST_PATIENTS:
        return float("nan")
    i_P, j_P = np.triu_indices(len(risk_P), 1)
    distance_P, difference_P = cosine_distances(z_PD, i_P, j_P), differences(risk_P, i_P, j_P)
    return float(weighted_spearman(distance_P, difference_P, np.ones((1, len(i_P))))[0])


def spread(z_PD: NDArray[np.float64]) -> float:
    """Mean over dimensions of the standard deviation of the unit-norm embeddings, times sqrt(D), 0..1."""
    return float(_unit(z_PD).std(axis=0).mean() * np.sqrt(z_PD.shape[1]))


def effective_rank(z_PD: NDArray[np.float64]) -> float:
    """Effective rank of the unit-norm embeddings, 1..min(P, D); 0 where all of them are zero."""
    singular = np.linalg.svd(_unit(z_PD), compute_uv=False)
    share = singular[singular > 0] / max(singular.sum(), np.finfo(float).tiny)
    return float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0


def uniformity(z_PD: NDArray[np.float64]) -> float:
    """Log of the mean of exp(-2 |u - v|^2) over the pairs of at least two unit-norm embeddings, -8..0; 0 where all of them are zero."""
    return float(np.log(np.exp(-2 * pdist(_unit(z_PD), "sqeuclidean")).mean()))


def alignment(z_PD: NDArray[np.float64], other_PD: NDArray[np.float64]) -> float:
    """Mean squared distance of the unit-norm embeddings that stand in the same row, 0..4; 0 where all of them are zero."""
    return float(((_unit(z_PD) - _unit(other_PD)) ** 2).sum(axis=1).mean())


def _unit(z_PD: NDArray[np.float64]) -> NDArray[np.float64]:
    norm_P1 = np.linalg.norm(z_PD, axis=1, keepdims=True)
    return z_PD / np.where(norm_P1 > 0, norm_P1, 1)
