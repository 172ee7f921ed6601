"""Task `diagnosis`, the linear probe, on features whose answer is known."""

import numpy as np
import pytest
from made import material
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.inputs import Split
from clef_ray.evaluate.metrics.classification import best_threshold
from clef_ray.evaluate.modes.linear import C_PATH
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.diagnosis import Diagnosis

CLASSES = ("A", "B", "RARE")


def probed(features, table, classes=CLASSES, **options):
    """What the task finds on a corpus whose label set `set` is its own choice."""
    given = material(features, table, label_sets={"set": classes}, headline="set", **options)
    return run_task(Diagnosis(), given)


@pytest.fixture
def labelled(corpus):
    """600 patients, 8 features; A follows feature 0, B follows none, RARE has two records."""
    table = corpus(600)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 8)).astype(np.float32)
    positive = np.column_stack([features[:, 0] + 0.7 * rng.normal(size=600) > 0.8, rng.random(600) < 0.3])
    table["label_set"] = [[CLASSES[k] for k in np.flatnonzero(row)] for row in positive]
    for n in (0, 1):
        table["label_set"].iloc[n].append("RARE")
    return features, table, positive


def test_finds_the_class_that_is_there_and_not_the_one_that_is_not(labelled):
    features, table, positive = labelled
    result = probed(features, table, n_boot=200)
    test = (table.fold == 10).to_numpy()
    there, absent = result.estimates["probe/auroc/A"], result.estimates["probe/auroc/B"]
    assert there.value == pytest.approx(roc_auc_score(positive[test, 0], features[test, 0]), abs=0.03)
    assert there.low > 0.6
    assert absent.low < 0.5 < absent.high
    assert result.estimates["probe/auroc"].value == pytest.approx((there.value + absent.value) / 2)
    assert result.extras["probe/classes"] == 2
    assert result.extras["probe/n_test"] == 60
    assert "class RARE left out" in result.notes[0]


def test_agrees_with_scikit_learn_step_by_step(labelled):
    features, table, positive = labelled
    result = probed(features, table, n_boot=10)
    train, validation, test = (table.fold.isin(f).to_numpy() for f in (range(1, 9), [9], [10]))
    x = StandardScaler().fit(features[train].astype(float)).transform(features.astype(float))
    macro, f1 = [], []
    for strength in C_PATH:
        scores = [
            LogisticRegression(C=strength).fit(x[train], y[train]).decision_function(x) for y in positive.T
        ]
        macro.append(
            np.mean(
                [roc_auc_score(y[validation], s[validation]) for y, s in zip(positive.T, scores, strict=True)]
            )
        )
        if macro[-1] == max(macro) and macro.count(macro[-1]) == 1:
            best = scores
    for y, score in zip(positive.T, best, strict=True):
        candidates = np.unique(score[validation])
        values = [f1_score(y[validation], score[validation] >= t) for t in candidates]
        f1.append(f1_score(y[test], score[test] >= candidates[np.argmax(values)]))
    assert result.extras["probe/c"] == C_PATH[int(np.argmax(macro))]
    assert result.estimates["probe/auroc/A"].value == pytest.approx(
        roc_auc_score(positive[test, 0], best[0][test]), abs=2e-3
    )
    assert result.estimates["probe/f1"].value == pytest.approx(np.mean(f1), abs=0.02)


def test_test_records_do_not_touch_the_fit(labelled):
    features, table, _ = labelled
    before = probed(features, table, n_boot=10)
    table["label_set"] = [
        ["A"] if fold == 10 and n % 3 == 0 else names
        for n, (names, fold) in enumerate(zip(table["label_set"], table["fold"], strict=True))
    ]
    changed = features.copy()
    changed[table.fold == 10, 1:] += 100
    after = probed(changed, table, n_boot=10)
    assert after.extras["probe/c"] == before.extras["probe/c"]
    assert after.estimates["probe/auroc/A"].value != before.estimates["probe/auroc/A"].value


def test_records_that_were_not_annotated_are_left_out(labelled):
    features, table, _ = labelled
    table["label_set"] = [None if n % 3 == 0 else names for n, names in enumerate(table["label_set"])]
    result = probed(features, table, n_boot=10)
    assert result.extras["probe/n_test"] == sum(n % 3 != 0 for n in range(600) if n % 10 == 9)


def test_the_same_seed_gives_the_same_resamples_to_two_arms(labelled):
    features, table, _ = labelled
    one, two = (probed(features, table, n_boot=50, seed=4) for _ in range(2))
    np.testing.assert_array_equal(
        one.estimates["probe/auroc"].replicates, two.estimates["probe/auroc"].replicates
    )


def test_nothing_to_judge_is_said(labelled):
    features, table, _ = labelled
    table["label_set"] = [[] for _ in range(len(table))]
    result = probed(features, table)
    assert not result.estimates
    assert "no class" in result.skipped
    assert len(result.notes) == 3


def test_bad_input_is_named(labelled):
    features, table, _ = labelled
    broken = features.copy()
    broken[[3, 7], 0] = np.nan
    with pytest.raises(DataError, match="2 of 600 feature rows"):
        probed(broken, table)
    with pytest.raises(DataError, match="one row per record"):
        probed(features[:10], table)
    with pytest.raises(DataError, match="'RARE'"):
        probed(features, table, CLASSES[:2])
    table.loc[9, "patient"] = table.loc[0, "patient"]
    with pytest.raises(DataError, match="1 patients have records in more than one"):
        probed(features, table)
    with pytest.raises(ConfigError, match="serves twice"):
        Split(train=(1, 2), validation=(2,))
    with pytest.raises(ConfigError, match="fold 10 is judged on"):
        Split(also_pretrain=(9, 10))


def test_threshold_is_the_best_there_is():
    rng = np.random.default_rng(0)
    score, positive = rng.normal(size=50).round(1), rng.random(50) < 0.4
    chosen = f1_score(positive, score >= best_threshold(score, positive))
    assert chosen == pytest.approx(max(f1_score(positive, score >= t) for t in score))
