"""Whom a question is about that fits nothing on the corpus it asks."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.evaluate.inputs import OFFICIAL, Split
from clef_ray.evaluate.problem import Material


def judged(material: Material) -> NDArray[np.bool_]:
    """The records that are judged, [N]; see `judged_rows`."""
    return judged_rows(material.table, material.split, own=material.home is None)


def judged_rows(table: pd.DataFrame, split: Split, *, own: bool) -> NDArray[np.bool_]:
    """The records of a corpus that are judged, [N]. own: whether it is the corpus of pretraining.

    There, and wherever configurations are chosen (another split than the official one): the split's test part. On another corpus nobody was
    fitted on: all records but the official validation folds, which are kept for choosing.
    """
    rows = split.rows(table)
    if own or split != OFFICIAL:
        return rows.test
    return np.asarray(~rows.validation)


def one_record_each(
    rows_N: NDArray[np.bool_], patient_N: NDArray[np.str_], most: int, seed: int
) -> NDArray[np.intp]:
    """The first record of each patient among the rows, as ascending positions; of `most` patients, drawn by the seed, where there are more.

    The draw depends on the patients alone: every encoder is judged on the same ones.
    """
    rows = np.flatnonzero(rows_N)
    first = rows[np.unique(patient_N[rows], return_index=True)[1]]
    if len(first) > most:
        first = np.random.default_rng([seed, 5]).choice(first, most, replace=False)
    return np.sort(first)
