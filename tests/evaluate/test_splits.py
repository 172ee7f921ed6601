"""The split for choosing: who is judged, who is fitted on, and who is not looked at."""

import numpy as np
import pytest
from made import material

from clef_ray.errors import ConfigError
from clef_ray.evaluate.inputs import OFFICIAL, SELECTION, SPLITS, Split
from clef_ray.evaluate.run import run_task
from clef_ray.evaluate.zeroshot import zero_shot
from clef_ray.tasks.diagnosis import Diagnosis

SETS = {"set": ("A", "B")}


@pytest.fixture
def cohort(corpus):
    """Features that tell A from B a little and follow the risk a little."""
    table, rng = corpus(600), np.random.default_rng(0)
    positive, risk = rng.random(600) < 0.5, rng.uniform(1, 20, 600)
    table["label_set"] = [["A"] if is_a else ["B"] for is_a in positive]
    features = rng.normal(size=(600, 4))
    features[:, 0] += positive
    features[:, 1] += risk / 8
    return features, table, risk


def judged(cohort, split=SELECTION, unknown=()):
    """unknown: folds in which age and sex do not give the score."""
    features, table, risk = cohort
    control = np.where(table.fold.isin(unknown), np.nan, risk + table.age / 10)
    options = {"n_boot": 20, "split": split}
    return (
        run_task(Diagnosis(), material(features, table, label_sets=SETS, headline="set", **options)),
        zero_shot(features, risk, table, age_sex_risk_N=control, permutations=9, **options).prefixed(
            "zeroshot"
        ),
    )


def values(results):
    return [(r.extras, {n: e.replicates.tolist() for n, e in r.estimates.items()}) for r in results]


def poison(cohort, folds):
    features, table, risk = (part.copy() for part in cohort)
    hit = table.fold.isin(folds).to_numpy()
    features[hit] = 1e6 * np.arange(1, 5)
    risk[hit] = np.linspace(1, 90, hit.sum())
    table["label_set"] = [["A"] if k else names for names, k in zip(table["label_set"], hit, strict=True)]
    table.loc[hit, "age"] = 110.0
    return features, table, risk


def test_selection_never_looks_at_the_test_patients(cohort):
    assert values(judged(poison(cohort, [10]))) == values(judged(cohort))
    broken = (cohort[0], cohort[1], np.where(cohort[1].fold == 10, np.nan, cohort[2]))
    assert values(judged(broken)) == values(judged(cohort))
    assert values(judged(cohort, unknown=[10])) == values(judged(cohort))


@pytest.mark.parametrize("split", SPLITS.values())
def test_every_part_of_a_split_counts(cohort, split):
    for folds in (split.train, split.validation, split.test):
        assert values(judged(poison(cohort, folds), split)) != values(judged(cohort, split))


def test_selection_fits_nothing_on_the_patients_it_judges(cohort):
    """With other labels and risks on fold 9 the strength stays and so does every fitted score: only the judgement moves."""
    features, table, risk = (part.copy() for part in cohort)
    nine = (table.fold == 9).to_numpy()
    flipped = [
        ["B" if names == ["A"] else "A"] if k else names
        for names, k in zip(table.label_set, nine, strict=True)
    ]
    before, forward = judged(cohort)
    assert before.extras["probe/n_test"] == forward.extras["zeroshot/n_test"] == nine.sum()
    after, _ = judged((features, table.assign(label_set=flipped), risk))
    assert after.extras == before.extras
    assert after.estimates["probe/auroc/A"].value == pytest.approx(
        1 - before.estimates["probe/auroc/A"].value
    )
    _, backward = judged((features, table, np.where(nine, -risk, risk)))
    for name in ("readout", "axis"):
        value = forward.estimates[f"zeroshot/{name}"].value
        assert backward.estimates[f"zeroshot/{name}"].value == pytest.approx(-value)


def test_pretraining_may_have_seen_all_but_the_judges():
    assert (SPLITS["official"], SPLITS["selection"]) == (OFFICIAL, SELECTION)
    for split in (OFFICIAL, SELECTION):
        split.refuse_seen((1, 2, 3, 4, 5, 6, 7, 8))
        with pytest.raises(
            ConfigError, match=r"fold 9 would be seen .* folds 1, 2, 3, 4, 5, 6, 7, 8 at most"
        ):
            split.refuse_seen((1, 9))
    with pytest.raises(ConfigError, match="fold 10 would be seen"):
        OFFICIAL.refuse_seen((1, 10))
    with pytest.raises(ConfigError, match="fold 8 would be seen"):
        Split(SELECTION.train, SELECTION.validation, SELECTION.test).refuse_seen((8,))
