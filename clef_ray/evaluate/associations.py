"""What does a clinical score alone say about everything a corpus can be asked? No encoder and no signal: scores against labels.

    auroc     P(a record with the class has a higher score than one without), ties counting 1/2. 0.5: the score says nothing; less: those
              with the class have the lower scores. Nothing is fitted.
    spearman  rank correlation of score and value.
    rsa       Spearman(|s_i - s_j|, d_ij) over pairs of records of different patients: are people of other risk people of other labels?
              d is the Jaccard distance of their label lists, 1 - shared / all (0 where neither has any).

All with 95 % intervals over resampled patients. The control is one score permuted over patients: what this many intervals show by chance.

Shape letters: N records, K classes, P pairs, B weightings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.errors import DataError
from clef_ray.evaluate.agreement import permute_over_patients
from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.inputs import LEAST_PATIENTS, label_matrix, patients
from clef_ray.evaluate.risks import CONTROLS, computable, risks, unknown_fields
from clef_ray.evaluate.statistics import (
    correlation,
    differences,
    pair_weights,
    patient_pairs,
    rank_covariance,
    weighted_rankings,
    weighted_spearman,
)

Statistic = Literal["auroc", "spearman", "rsa"]

#: What a statistic is where the score says nothing.
NULL: Mapping[Statistic, float] = {"auroc": 0.5, "spearman": 0.0, "rsa": 0.0}

#: Patients at most, drawn by the seed, which bounds the resamples' memory; and pairs.
MOST_PATIENTS = 10_000
MOST_PAIRS = 50_000

#: A class has to be there, and absent, in so many patients.
LEAST_POSITIVES = 5

#: The score that leads, and is permuted for the control, where a corpus has it.
LEADING = "score2"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Association:
    """One score and one question.

    about: the label set (`auroc`, `rsa`) or the value (`spearman`); name: the class of an `auroc`, else empty; records, patients: that have
    both score and label; positive: patients that have the class, 0 where there is none.
    """

    score: str
    statistic: Statistic
    about: str
    name: str
    estimate: Estimate
    records: int
    patients: int
    positive: int = 0

    @property
    def marked(self) -> bool:
        """Whether the interval excludes what a score that says nothing has."""
        null = NULL[self.statistic]
        return self.estimate.low > null or self.estimate.high < null


@dataclass(frozen=True)
class Found:
    """scores: in order, the control last; notes: what was left out, and why."""

    scores: tuple[str, ...]
    rows: tuple[Association, ...]
    notes: tuple[str, ...]

    def of(self, statistic: Statistic, about: str | None = None) -> list[Association]:
        """Those of one statistic, and of one label set or value where it is named."""
        return [a for a in self.rows if a.statistic == statistic and about in (None, a.about)]


def associations(
    table: pd.DataFrame,
    label_sets: Mapping[str, tuple[str, ...]],
    targets: tuple[str, ...] = (),
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> Found:
    """Every score that the table's covariates give, against every class, value and label set.

    table: as `Dataset.table`, with `findings` for the score `acute`; targets: names of columns `target_<name>`, or covariates. Records
    without a known score, age or sex are left out of that score's rows; classes with fewer than 5 patients on either side are left out.
    Missing fields of a score other than age and sex stand at their centre (`risks`).

    Raises DataError where no score can be computed: it says what is unknown.
    """
    names = computable(table)
    if not names:
        missing = ", ".join(unknown_fields(LEADING, table))
        raise DataError(
            f"no score tells {LEAST_PATIENTS} patients of these {len(table)} records apart; of age, sex and {LEADING}'s fields "
            f"nobody has: {missing or 'none, but each record lacks some'}"
        )
    names = tuple(sorted(names, key=lambda name: name != LEADING))
    notes: dict[str, list[str]] = {}
    table = _few(table, seed, notes)
    rows: list[Association] = []
    for name, risk_N in _scored(names, table, seed):
        asked = _Asked(name, risk_N, table, n_boot, seed, notes)
        for labels, classes in label_sets.items():
            rows += asked.labels(labels, classes)
        for target in targets:
            rows += asked.value(target)
    scores = (*names, permuted(names[0]))
    return Found(scores, tuple(rows), tuple(_told(note, of, scores) for note, of in notes.items()))


def _told(note: str, of: Sequence[str], scores: Sequence[str]) -> str:
    """A note with the scores that it is about, where it is not about all."""
    return note if not of or len(of) == len(scores) else f"{note} ({', '.join(of)})"


def permuted(name: str) -> str:
    """What the control of a score is called."""
    return f"{name} permuted"


def _few(table: pd.DataFrame, seed: int, notes: dict[str, list[str]]) -> pd.DataFrame:
    """All records of at most MOST_PATIENTS patients."""
    names = np.unique(patients(table))
    if len(names) <= MOST_PATIENTS:
        return table
    notes[f"{MOST_PATIENTS} of {len(names)} patients, drawn at random"] = []
    kept = np.random.default_rng([seed, 7]).choice(names, MOST_PATIENTS, replace=False)
    return table[np.isin(patients(table), kept)].reset_index(drop=True)


def _scored(names: tuple[str, ...], table: pd.DataFrame, seed: int) -> Iterator[tuple[str, Floats]]:
    """Each score with its values [N], NaN for records that do not count; at the end the first one permuted over the patients who have it."""
    counted_N = np.isfinite(table[list(CONTROLS)].to_numpy(dtype=np.float64)).all(axis=1)
    risk = {name: np.where(counted_N, risks(name, table)[0], np.nan) for name in names}
    yield from risk.items()
    shuffled_N = risk[names[0]].copy()
    known_N = np.isfinite(shuffled_N)
    rng = np.random.default_rng([seed, 8])
    shuffled_N[known_N] = permute_over_patients(shuffled_N[known_N], patients(table)[known_N], rng)
    yield permuted(names[0]), shuffled_N


@dataclass(frozen=True)
class _Asked:
    """One score's values and whom they belong to. notes: what was left out, with the scores that it is about; grows."""

    name: str
    risk_N: Floats
    table: pd.DataFrame
    n_boot: int
    seed: int
    notes: dict[str, list[str]]

    def labels(self, labels: str, classes: tuple[str, ...]) -> list[Association]:
        """The AUROC of every class that enough patients have, and the RSA of the label set."""
        annotated_N, positive_NK = label_matrix(self.table, labels, classes)
        rows_N = annotated_N & np.isfinite(self.risk_N)
        positive_NK, patient_N = positive_NK[rows_N], patients(self.table)[rows_N]
        having_K = [len(np.unique(patient_N[has_N])) for has_N in positive_NK.T]
        lacking_K = [len(np.unique(patient_N[~has_N])) for has_N in positive_NK.T]
        asked = [k for k in range(len(classes)) if min(having_K[k], lacking_K[k]) >= LEAST_POSITIVES]
        if absent := [name for k, name in enumerate(classes) if k not in asked]:
            why = f"{labels}: fewer than {LEAST_POSITIVES} patients with or without {', '.join(absent)}"
            self.notes.setdefault(why, []).append(self.name)
        if not asked:
            return []
        risk_N, weights = self.risk_N[rows_N], sample_and_resamples(patient_N, self.n_boot, self.seed)
        score_NK = np.repeat(risk_N[:, None], len(asked), axis=1)
        auroc_BK = weighted_rankings(score_NK, positive_NK[:, asked], weights).auroc
        rsa_B = self._rsa(risk_N, positive_NK, patient_N, weights)
        return [
            *(
                self._row("auroc", labels, classes[k], auroc_B, patient_N, having_K[k])
                for k, auroc_B in zip(asked, auroc_BK.T, strict=True)
            ),
            self._row("rsa", labels, "", rsa_B, patient_N),
        ]

    def value(self, target: str) -> list[Association]:
        """The rank correlation with a value, where 20 patients have it."""
        column = target if target in COVARIATES else f"target_{target}"
        value_N = self.table[column].to_numpy(dtype=np.float64)
        rows_N = np.isfinite(value_N) & np.isfinite(self.risk_N)
        patient_N = patients(self.table)[rows_N]
        if (count := len(np.unique(patient_N))) < LEAST_PATIENTS:
            why = f"{target}: known of {count} patients with a score; {LEAST_PATIENTS} are needed"
            self.notes.setdefault(why, []).append(self.name)
            return []
        weights = sample_and_resamples(patient_N, self.n_boot, self.seed)
        spearman_B = weighted_spearman(self.risk_N[rows_N], value_N[rows_N], weights)
        return [self._row("spearman", target, "", spearman_B, patient_N)]

    def _rsa(
        self, risk_N: Floats, positive_NK: NDArray[np.bool_], patient_N: NDArray[np.str_], weights: Floats
    ) -> Floats:
        i_P, j_P = patient_pairs(patient_N, MOST_PAIRS, self.seed)
        apart = [differences(risk_N, i_P, j_P), jaccard_distances(positive_NK, i_P, j_P)]
        return correlation(rank_covariance(apart, pair_weights(weights, i_P, j_P)), 0, 1)

    def _row(
        self,
        statistic: Statistic,
        about: str,
        name: str,
        value_B: Floats,
        patient_N: NDArray[np.str_],
        positive: int = 0,
    ) -> Association:
        held = len(np.unique(patient_N))
        estimate = Estimate.of(value_B)
        return Association(self.name, statistic, about, name, estimate, len(patient_N), held, positive)


def jaccard_distances(positive_NK: NDArray[np.bool_], i_P: NDArray[np.intp], j_P: NDArray[np.intp]) -> Floats:
    """1 - |both| / |either| of the classes of each pair, [P], in 0..1; 0 where neither has a class (Jaccard 1912)."""
    whole_NK = positive_NK.astype(np.float32)
    both_P = np.einsum("pk,pk->p", whole_NK[i_P], whole_NK[j_P]).astype(np.float64)
    count_N = positive_NK.sum(axis=1)
    either_P = count_N[i_P] + count_N[j_P] - both_P
    return np.asarray(1 - np.divide(both_P, either_P, out=np.ones(len(i_P)), where=either_P > 0))
