"""`score_spearman:score=all`: every score that can be asked, as each would answer by itself."""

import numpy as np
import pytest
from made import material

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError
from clef_ray.evaluate.every_score import combined
from clef_ray.evaluate.result import TaskResult
from clef_ray.evaluate.run import run_task
from clef_ray.scores.framingham import Framingham
from clef_ray.scores.prevent import Prevent
from clef_ray.tasks.score_spearman import VARIANTS, ScoreSpearman, score_of

QUICK = {"permutations": 5}
#: What the synthetic cohort's covariates give: all but `acute` (its findings are counted by shards), points, and what has no order.
ASKED = (
    "age",
    "cha2ds2_va",
    "cha2ds2_vasc",
    "framingham",
    "framingham-bmi",
    "pce",
    "prevent",
    "prevent-ascvd",
    "prevent-hf",
    "score2",
    "score2_diabetes",
    "score2_op",
    "sex",
)


def people(count, seed, unknown=()):
    table = Synthetic(patients=count, seed=seed, records_per_patient=1).table().reset_index(drop=True)
    return table.assign(**dict.fromkeys(unknown, np.nan))


@pytest.fixture(scope="module")
def corpora():
    """The corpus of pretraining; another one without cholesterol, half of whose people have findings; an embedding for either."""
    home, target = people(260, 1), people(60, 2, ("total_cholesterol", "hdl"))
    home["findings"] = 1.0 * (home.age > 60)
    target["findings"] = np.where(np.arange(60) % 2, 1.0 * (target.age > 65), np.nan)
    rng = np.random.default_rng(0)
    return material(rng.normal(size=(260, 3)), home), rng.normal(size=(60, 3)), target


@pytest.fixture(scope="module")
def found(corpora):
    home, z, target = corpora
    away = material(z, target, home=home)
    return run_task(ScoreSpearman(score="all", **QUICK), away), away


def scores_in(result):
    return {name.split("/")[2] for name in result.estimates}


def test_every_score_answers_as_it_would_alone(found):
    result, away = found
    assert scores_in(result) == {*ASKED, "acute"}
    assert result.extras["zeroshot/all/scores"] == len(ASKED) + 1
    for name in ("acute", "score2", "prevent-hf", "sex"):  # of half of the people, and of all of them
        alone = run_task(ScoreSpearman(score=name, **QUICK), away)
        head = "zeroshot/" if name == "score2" else f"zeroshot/{name}/"
        assert len(alone.estimates) == 11
        for metric, estimate in alone.estimates.items():
            same = result.estimates[f"zeroshot/all/{name}/{metric.removeprefix(head)}"]
            np.testing.assert_allclose(same.value, estimate.value, atol=1e-9)
            np.testing.assert_allclose(same.replicates, estimate.replicates, atol=1e-9)
        for extra, value in alone.extras.items():
            assert result.extras[f"zeroshot/all/{name}/{extra.removeprefix(head)}"] == pytest.approx(value)


def test_coverage_stands_with_every_score_and_the_rest_are_named_with_what_they_lack(found):
    result, _ = found
    judged = int(result.extras["zeroshot/all/score2/n_test"])
    assert result.extras["zeroshot/all/acute/coverage"] == result.extras["zeroshot/all/acute/n_test"] / judged
    assert 0.3 < result.extras["zeroshot/all/acute/coverage"] < 0.7
    assert result.extras["zeroshot/all/score2/observed"] == pytest.approx(4 / 6)
    assert result.extras["zeroshot/all/age/observed"] == 1
    assert result.notes[0] == (
        "not asked: age_sex (a point per record, which has no rank), constant (the same for everybody), "
        "permuted (it stands beside every score as a control)"
    )
    assert (
        "framingham, pce, prevent, prevent-ascvd, score2, score2_op: where a field is unknown it stands at its centre: "
        "total_cholesterol known in 0%, hdl known in 0%"
    ) in result.notes


def test_at_home_too_every_score_answers_as_it_would_alone(corpora):
    home = corpora[0]
    result = run_task(ScoreSpearman(score="all", **QUICK), home)
    alone = run_task(ScoreSpearman(score="framingham-bmi", **QUICK), home)
    for metric in ("rsa", "rsa_beyond", "readout", "axis_permuted"):
        own = alone.estimates[f"zeroshot/framingham-bmi/{metric}"]
        same = result.estimates[f"zeroshot/all/framingham-bmi/{metric}"]
        np.testing.assert_allclose(same.replicates, own.replicates, atol=1e-9)


def test_what_nobody_has_is_said_of_each_score(corpora):
    home, z, target = corpora
    few = target.assign(age=target.age.where(target.index < 9), findings=np.nan)
    result = run_task(ScoreSpearman(score="all", **QUICK), material(z, few, home=home))
    assert not result.estimates
    assert result.skipped.startswith("no score ranks the ")
    assert "acute (0 patients have it with age and sex, 20 are needed; nobody has findings)" in result.skipped
    assert "score2 (9 patients have it with age and sex, 20 are needed)" in result.skipped
    absent = run_task(
        ScoreSpearman(score="all", **QUICK), material(z, target.drop(columns="findings"), home=home)
    )
    assert absent.notes[0].startswith("not asked: acute (the corpus has no findings), age_sex (")
    assert scores_in(absent) == {*ASKED}


def test_what_only_those_have_who_are_not_judged_is_not_asked(corpora):
    """At home the tenth fold is judged, 26 people; everybody else has findings."""
    home, z = corpora[0].table, corpora[0].features(ScoreSpearman())
    known = home.assign(findings=home.findings.where(home.fold != 10))
    result = run_task(ScoreSpearman(score="all", **QUICK), material(z, known))
    assert scores_in(result) == {*ASKED}
    assert (
        "acute (0 patients have it with age and sex, 20 are needed; nobody has findings)" in result.notes[0]
    )


def test_variants_are_the_equations_they_are_called_after():
    """method.md 9.6, a woman of 50, SBP 160 treated, TC 200 mg/dL, HDL 45, diabetic, eGFR 90, BMI 35: cvd 14.7, ascvd 9.2, hf 8.1 %."""
    woman = {
        "age": 50, "sex": 1, "smoker": 0, "sbp": 160, "treated": 1, "diabetes": 1, "egfr": 90, "bmi": 35, "statin": 0,
        "total_cholesterol": 200 * 0.02586, "hdl": 45 * 0.02586,
    }  # fmt: skip
    columns, nobody = {name: np.array([float(v)]) for name, v in woman.items()}, np.array(["p"])
    wanted = {"prevent": 14.7, "prevent-ascvd": 9.2, "prevent-hf": 8.1}
    for name, percent in wanted.items():
        assert score_of(name)(columns, nobody).value_N[0] == pytest.approx(percent, abs=0.05)
    assert "bmi" in score_of("framingham-bmi").fields
    assert set(VARIANTS) == {"framingham-bmi", "prevent-ascvd", "prevent-hf"}
    assert isinstance(score_of("prevent-hf"), Prevent)
    assert isinstance(score_of("framingham"), Framingham)


def test_names():
    assert ScoreSpearman(score="all").prefix == "zeroshot/all"
    assert ScoreSpearman(score="prevent-hf", lead="II").prefix == "zeroshot/prevent-hf/lead_II"
    with pytest.raises(ConfigError, match="Did you mean 'prevent-hf'"):
        ScoreSpearman(score="prevent_hf")


def test_a_note_of_several_scores_is_there_once_with_their_names():
    found = {
        "a": TaskResult({}, {"n_test": 3.0}, "too few", ("a: half is known", "shared")),
        "b": TaskResult({}, {"n_test": 4.0}, None, ("shared",)),
        "c": TaskResult({}, {}, None, ("shared", "of c")),
    }
    result = combined(found, {"a": "", "d": "nobody has x"})
    assert result.notes == (
        "not asked: d (nobody has x)",
        "a: skipped, too few",
        "a: half is known",
        "shared",
        "c: of c",
    )
    assert result.extras == {"scores": 3.0, "a/n_test": 3.0, "b/n_test": 4.0}
    assert combined({"a": TaskResult()}, {"a": ""}).notes == ()
