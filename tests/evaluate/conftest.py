"""A table of records with folds, ages, labels; features are the tests' own."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def corpus():
    """corpus(patients, records=1, seed=0): the table; patient k is in fold k % 10 + 1 with all its records."""

    def build(count, records=1, seed=0):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(count), records)
        return pd.DataFrame(
            {
                "record": [f"r{k:05d}" for k in range(len(patient))],
                "patient": [f"p{k:05d}" for k in patient],
                "fold": patient % 10 + 1,
                "age": rng.integers(40, 90, count)[patient].astype(float),
                "sex": rng.integers(0, 2, count)[patient].astype(float),
            }
        )

    return build
