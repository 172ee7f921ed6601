"""Who the records belong to, and at what risk: the metadata the loss needs, computed from the stored covariates."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from clef_ray.config import Run
from clef_ray.datasets import COVARIATES
from clef_ray.errors import DataError
from clef_ray.registry import SCORES
from clef_ray.scores import risk


@dataclass(frozen=True)
class Subjects:
    """Per record of the corpus: patient code, risk in percent (NaN unknown), completeness c in [0, 1]."""

    patient_N: NDArray[np.int64]
    risk_N: NDArray[np.float64]
    completeness_N: NDArray[np.float64]

    def batch(
        self, rows: NDArray[np.int64], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(risk, completeness, patient) of one global batch as tensors."""
        return (
            torch.from_numpy(self.risk_N[rows]).to(device, torch.float32),
            torch.from_numpy(self.completeness_N[rows]).to(device, torch.float32),
            torch.from_numpy(self.patient_N[rows]).to(device),
        )


def subjects(run: Run, table: pd.DataFrame) -> Subjects:
    """The training patients with the run's score and imputation; everyone else, and everyone where no risk is used, has NaN.

    A score option `seed` that is None is the run's seed, so that seeds differ in their permutation too.
    """
    patients = table["patient"].to_numpy(dtype=str)
    codes = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    risk_N, completeness_N = np.full(len(table), np.nan), np.zeros(len(table))
    if run.score is None:
        return Subjects(codes, risk_N, completeness_N)
    options = dict(run.score.options)
    if "seed" in options and options["seed"] is None:
        options["seed"] = run.seed
    rows = training_rows(run, table)
    covariates = {name: table[name].to_numpy(dtype=np.float64)[rows] for name in COVARIATES}
    found = risk(SCORES.get(run.score.name)(**options), covariates, patients[rows], run.imputation)
    risk_N[rows], completeness_N[rows] = found.value_N, found.completeness_N
    if not np.isfinite(found.value_N).any():
        raise DataError(
            f"score {run.score.name!r} is unknown for every one of the {len(rows)} training records: "
            f"none has all of its required fields; imputation is {run.imputation!r}"
        )
    return Subjects(codes, risk_N, completeness_N)


def training_rows(run: Run, table: pd.DataFrame) -> NDArray[np.int64]:
    """Positions of the records pretraining may see: those of the training folds. Patients of the other folds are never seen."""
    rows = np.flatnonzero(table["fold"].isin(run.train_folds).to_numpy())
    held_out = set(table["patient"].to_numpy()[~table["fold"].isin(run.train_folds).to_numpy()])
    if shared := held_out & set(table["patient"].to_numpy()[rows]):
        raise DataError(
            f"{len(shared)} patients have records both in the training folds and outside them; the split must be by patient"
        )
    return rows.astype(np.int64)
