"""Who the records belong to, and at what risk: the metadata the loss needs, computed from the stored covariates."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from clef_ray.config import Run
from clef_ray.datasets import covariates_of
from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import METHODS, SCORES
from clef_ray.scores import delete, fit, risk
from clef_ray.train.pairs import PairPlan
from clef_ray.train.plan import ReadPlan


@dataclass(frozen=True)
class Subjects:
    """Per record of the corpus: patient code; risk in the score's unit, NaN unknown, K = 1 but for a score that is a point;
    completeness c in [0, 1].
    """

    patient_N: NDArray[np.int64]
    risk_NK: NDArray[np.float64]
    completeness_N: NDArray[np.float64]

    def batch(
        self, rows: NDArray[np.int64], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(risk [B, K], completeness [B], patient [B]) of one global batch as tensors."""
        return (
            torch.from_numpy(self.risk_NK[rows]).to(device, torch.float32),
            torch.from_numpy(self.completeness_N[rows]).to(device, torch.float32),
            torch.from_numpy(self.patient_N[rows]).to(device),
        )


def subjects(run: Run, table: pd.DataFrame) -> Subjects:
    """The training patients with the run's score and imputation; everyone else, and everyone where no risk is used, has NaN.

    What the run's missingness deletes is gone before the imputation is fitted, on the training records alone. A score option `seed` that
    is None is the run's seed, so that seeds differ in their permutation too.
    """
    patients = table["patient"].to_numpy(dtype=str)
    codes = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    completeness_N = np.zeros(len(table))
    if run.score is None:
        return Subjects(codes, np.full((len(table), 1), np.nan), completeness_N)
    options = dict(run.score.options)
    if "seed" in options and options["seed"] is None:
        options["seed"] = run.seed
    score, rows = SCORES.get(run.score.name)(**options), training_rows(run, table)
    covariates = {name: column[rows] for name, column in covariates_of(table).items()}
    gone = run.missingness
    covariates = dict(delete(covariates, patients[rows], gone.mechanism, gone.rate, run.seed, score.fields))
    found = risk(score, covariates, patients[rows], fit(run.imputation, covariates, score.fields))
    value_NK = found.value_N.reshape(len(rows), -1)
    if not np.isfinite(value_NK).all(axis=1).any() and not _zero_stands_for_unknown(run):
        raise DataError(
            f"score {run.score.name!r} is unknown for every one of the {len(rows)} training records: "
            f"none has all of its required fields; imputation is {run.imputation!r}"
        )
    risk_NK = np.full((len(table), value_NK.shape[1]), np.nan)
    risk_NK[rows], completeness_N[rows] = value_NK, found.completeness_N
    return Subjects(codes, risk_NK, completeness_N)


def _zero_stands_for_unknown(run: Run) -> bool:
    """As in the published code, which trains on whatever is not there."""
    return run.loss is not None and dict(run.loss.options).get("unknown") == "zero"


def read_plan(run: Run, people: Subjects, rows: NDArray[np.int64], row_groups: NDArray[np.int64]) -> ReadPlan:
    """The run's batches: of pairs of a patient's records where the method compares these.

    ConfigError where they are to be stratified by a score that is a point: it has no order; or where there are too few records, or pairs.
    """
    risk_N = None
    if run.batches == "risk_stratified":
        if people.risk_NK.shape[1] > 1:
            raise ConfigError(
                "batches: risk_stratified needs a score of one value per record to sort them by"
            )
        risk_N = people.risk_NK[rows, 0]
    batch = run.optimiser.batch
    if getattr(METHODS.get(run.method.name), "pairs_records", False):
        return PairPlan.of(rows, row_groups[rows], batch, run.seed, risk_N, people.patient_N[rows])
    return ReadPlan(rows, row_groups[rows], batch, run.seed, risk_N)


def training_rows(run: Run, table: pd.DataFrame) -> NDArray[np.int64]:
    """Positions of the records pretraining may see: those of the training folds. Patients of the other folds are never seen."""
    rows = np.flatnonzero(table["fold"].isin(run.train_folds).to_numpy())
    held_out = set(table["patient"].to_numpy()[~table["fold"].isin(run.train_folds).to_numpy()])
    if shared := held_out & set(table["patient"].to_numpy()[rows]):
        raise DataError(
            f"{len(shared)} patients have records both in the training folds and outside them; the split must be by patient"
        )
    if not len(rows):
        raise DataError(
            f"none of the {len(table)} records is in a training fold {tuple(run.train_folds)}: these data can be evaluated on, not pretrained on"
        )
    return rows.astype(np.int64)
