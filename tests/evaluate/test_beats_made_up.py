"""The beats task on the made-up recordings: the same question, and no claim about the published ones."""

import numpy as np
import pandas as pd
import pytest
from made import material

from clef_ray.datasets.synthetic_holter import SyntheticHolter
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.cpsc2020_beats import Cpsc2020Beats

NAMES = ("N", "S", "V")


@pytest.fixture(scope="module")
def windows():
    return SyntheticHolter(per_record=10).table()


def judge(table, dataset="synthetic_holter", noise=0.0, **options):
    """What the task says of features that are the truth and some noise."""
    truth = np.array([NAMES.index(names[0]) for names in table["label_beat"]])
    features = np.eye(3)[truth] + noise * np.random.default_rng(0).standard_normal((len(table), 3))
    facts = {"dataset": dataset, "leads": ("ECG",), "label_sets": {"beat": NAMES}, "headline": "beat"}
    other = material(np.empty((0, 1)), pd.DataFrame())
    return run_task(Cpsc2020Beats(**options), material(features, table, home=other, **facts))


def test_all_ten_are_judged_and_perfect_features_are_answered_perfectly(windows):
    found = judge(windows, mode="knn")
    assert found.skipped is None
    assert found.extras["cpsc2020_beats/knn/n_patients"] == 10
    assert found.extras["cpsc2020_beats/knn/n_test"] == len(windows) == 10 * 18
    assert found.estimates["cpsc2020_beats/knn/f1"].value == 1
    assert found.estimates["cpsc2020_beats/knn/loss_strict"].value == 0


def test_no_share_of_beats_that_are_marked_in_the_published_recordings_is_claimed(windows):
    made_up, published = judge(windows, mode="knn"), judge(windows, "cpsc2020", mode="knn")
    assert not [name for name in made_up.extras if "coverage" in name]
    assert not [note for note in made_up.notes if "shards hold" in note]
    assert [name for name in published.extras if "coverage" in name]


def test_the_smallest_share_of_the_day_still_has_an_answer(windows):
    """One window of each of seven recordings: a class may be missing, then it is never found."""
    options = {"noise": 0.3, "mode": "knn"}
    little = judge(windows, **options, fraction=0.01, draws=2).estimates["cpsc2020_beats/knn/1pct/f1"].value
    everything = judge(windows, **options).estimates["cpsc2020_beats/knn/f1"].value
    assert 0 < little < everything


def test_other_made_up_records_are_refused(windows):
    assert judge(windows, "synthetic").skipped == "it asks about cpsc2020, and these are records of synthetic"
