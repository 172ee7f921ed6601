"""Zero-shot Spearman on embeddings whose geometry is known."""

import numpy as np
import pytest
from made import material
from scipy.stats import kstest, spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clef_ray.datasets import covariates_of
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import DataError
from clef_ray.evaluate import agreement, zeroshot
from clef_ray.evaluate.inputs import SELECTION
from clef_ray.evaluate.risks import risks
from clef_ray.evaluate.run import run_task
from clef_ray.evaluate.zeroshot import zero_shot
from clef_ray.scores.score2 import Score2
from clef_ray.tasks.score_spearman import ScoreSpearman


@pytest.fixture
def table(corpus):
    return corpus(400)


def on_half_circle(risk):
    angle = np.pi * (risk - risk.min()) / np.ptp(risk)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def risk_of(table, seed=0):
    return np.random.default_rng(seed).uniform(1, 20, len(table))


def test_rsa_is_1_on_a_half_circle_by_risk(table):
    """Cosine distance grows with the angle up to a half turn, so distances order exactly as risk differences (method.md §10.14)."""
    risk = risk_of(table)
    result = zero_shot(on_half_circle(risk), risk, table, permutations=99, n_boot=50)
    estimate = result.estimates["rsa"]
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, 1, 1), abs=1e-9)
    assert result.extras == {"coverage": 1, "n_test": 40, "n_patients": 40, "rsa_p": 0.01}
    assert result.estimates["rsa_permuted"].value < 0.3
    assert result.skipped is None


def test_rsa_is_scipys_spearman_over_pairs(table):
    rng = np.random.default_rng(1)
    z, risk = rng.normal(size=(400, 5)), risk_of(table)
    result = zero_shot(z, risk, table, permutations=9, n_boot=10)
    test = (table.fold == 10).to_numpy()
    unit = z[test] / np.linalg.norm(z[test], axis=1, keepdims=True)
    upper = np.triu_indices(40, 1)
    risk_distance = np.abs(np.subtract.outer(risk[test], risk[test]))[upper]
    age_distance = np.abs(np.subtract.outer(table.age[test].to_numpy(), table.age[test].to_numpy()))[upper]
    want = spearmanr((1 - unit @ unit.T)[upper], risk_distance).statistic
    assert result.estimates["rsa"].value == pytest.approx(want, abs=1e-9)
    want = spearmanr(age_distance, risk_distance).statistic
    assert result.estimates["rsa_age"].value == pytest.approx(want, abs=1e-9)


def test_readout_and_axis_find_a_linear_direction(table):
    rng = np.random.default_rng(2)
    risk = risk_of(table)
    z = 0.1 * rng.normal(size=(400, 6)) + 5
    z[:, 3] += risk
    result = zero_shot(z, risk, table, permutations=9, n_boot=200)
    assert result.estimates["readout"].value > 0.99
    assert result.estimates["axis"].value > 0.99
    for name in ("readout_permuted", "axis_permuted"):
        ignorant = result.estimates[name]
        assert ignorant.low < -0.3
        assert ignorant.high > 0.3


def test_readout_and_axis_stand_beside_age_alone(table):
    """Age's own Spearman with the risk of the test patients, whatever the embedding; resampled with the embedding's patients."""
    rng = np.random.default_rng(4)
    age = table.age.to_numpy()
    risk = age + 10 * rng.normal(size=400)
    result = zero_shot(age[:, None] * [1.0, -2.0], risk, table, permutations=9, n_boot=50)
    test = (table.fold == 10).to_numpy()
    want = spearmanr(age[test], risk[test]).statistic
    for name in ("readout", "axis"):
        alone = result.estimates[f"{name}_age"]
        assert alone.value == pytest.approx(want, abs=1e-9)
        assert alone.replicates == pytest.approx(result.estimates[name].replicates, abs=1e-9)
        assert alone.low < alone.value < alone.high


def test_axis_is_the_difference_of_the_deciles_of_training_records(table):
    rng = np.random.default_rng(3)
    risk, z = risk_of(table), rng.normal(size=(400, 4))
    train, test = (table.fold <= 8).to_numpy(), (table.fold == 10).to_numpy()
    order = np.argsort(risk[train])
    axis = z[train][order[-32:]].mean(axis=0) - z[train][order[:32]].mean(axis=0)
    result = zero_shot(z, risk, table, permutations=9, n_boot=10)
    assert result.estimates["axis"].value == pytest.approx(
        spearmanr(z[test] @ axis, risk[test]).statistic, abs=1e-9
    )


def test_a_null_embedding_has_no_bias_in_its_bootstrap(corpus):
    """Bootstrap mean minus value: 0.000 (standard error 0.002); pairing a twice-drawn patient with itself would make it 0.10."""
    shifts = []
    for seed in range(40):
        table = corpus(300, seed=seed)
        z = np.random.default_rng(seed).normal(size=(300, 8))
        rsa = zero_shot(
            z, risk_of(table, seed + 1000), table, permutations=1, n_boot=60, seed=seed
        ).estimates["rsa"]
        shifts.append(rsa.replicates.mean() - rsa.value)
    assert abs(np.mean(shifts)) < 0.01


def test_mantel_p_is_uniform_under_the_null(corpus):
    table = corpus(300)
    p = [
        zero_shot(
            np.random.default_rng(s).normal(size=(300, 4)),
            risk_of(table, s + 500),
            table,
            permutations=99,
            n_boot=1,
            seed=s,
        ).extras["rsa_p"]
        for s in range(60)
    ]
    assert kstest(p, "uniform").pvalue > 0.01


def test_partial_correlation_is_undefined_where_age_determines_the_risk(table):
    rng = np.random.default_rng(5)
    result = zero_shot(rng.normal(size=(400, 4)), table.age.to_numpy(), table, permutations=9, n_boot=10)
    assert np.isnan(result.estimates["rsa_partial"].value)
    assert result.estimates["rsa_age"].value == pytest.approx(1)
    assert "age and sex determine" in result.notes[0]


def test_partial_correlation_takes_age_out(table):
    """Embedding and risk share age and nothing else: rsa is high, the partial correlation near 0."""
    rng = np.random.default_rng(6)
    age = table.age.to_numpy()
    result = zero_shot(
        on_half_circle(age + 3 * rng.normal(size=400)), age + 10 * rng.normal(size=400), table, n_boot=200
    )
    assert result.estimates["rsa"].low > 0.1
    assert abs(result.estimates["rsa_partial"].value) < 0.1


@pytest.fixture(scope="module")
def scored():
    """Synthetic patients, their SCORE2, and that of a person of their age and sex with the other fields at SCORE2's centre."""
    table = Synthetic(patients=2500, seed=1, records_per_patient=1).table()
    covariates, names = covariates_of(table), table.patient.to_numpy(str)
    centre = {"smoker": 0.0, "sbp": 120.0, "total_cholesterol": 6.0, "hdl": 1.3}
    alike = covariates | {field: np.full(len(table), value) for field, value in centre.items()}
    return table, Score2()(covariates, names).value_N, Score2()(alike, names).value_N


def rsa_beyond(z, risk, table, control=None, **options):
    result = zero_shot(z, risk, table, age_sex_risk_N=control, permutations=1, n_boot=20, **options)
    return result.estimates["rsa_beyond"].value


@pytest.mark.parametrize("years", [8, 15, 30])
def test_an_embedding_of_age_is_nothing_beyond_age_however_it_bends(scored, years):
    """It follows the curvature of the score, which |age difference| leaves in: the score of age and sex takes it out."""
    table, risk, control = scored
    z = on_half_circle(np.exp(table.age.to_numpy() / years))
    assert rsa_beyond(z, risk, table) > 0.4
    assert abs(rsa_beyond(z, risk, table, control)) < 0.1


def test_what_the_other_fields_give_stays_in_the_partial_correlation(scored):
    table, risk, control = scored
    noisy = risk + 5 * np.random.default_rng(0).normal(size=len(risk))
    assert rsa_beyond(on_half_circle(risk), risk, table, control) > 0.99
    assert rsa_beyond(on_half_circle(noisy), risk, table, control) > 0.2
    assert rsa_beyond(on_half_circle(risk - control), risk, table, control) > 0.2


def test_partial_correlation_is_undefined_where_nothing_but_age_and_sex_is_known(scored):
    """As on a dataset without blood pressure or lipids: the risk is the control."""
    table, _, control = scored
    z = np.random.default_rng(0).normal(size=(len(table), 4))
    assert np.isfinite(rsa_beyond(z, control, table))
    result = zero_shot(z, control, table, age_sex_risk_N=control, permutations=1, n_boot=20)
    assert np.isnan(result.estimates["rsa_beyond"].value)
    assert np.isfinite(result.estimates["rsa"].value)
    assert any(note.startswith("rsa_beyond: undefined, age and sex determine") for note in result.notes)


@pytest.mark.parametrize("kind", ["unknown", "partly unknown"])
def test_without_its_control_nothing_is_said_to_be_beyond(scored, kind):
    table, risk, control = scored
    first_test_record = int(np.argmax(table.fold == 10))
    unknown = np.arange(len(table)) == first_test_record if kind == "partly unknown" else True
    z = on_half_circle(risk + np.random.default_rng(0).normal(size=len(risk)))
    column = np.where(unknown, np.nan, control)
    result = zero_shot(z, risk, table, age_sex_risk_N=column, permutations=1, n_boot=20)
    assert np.isnan(result.estimates["rsa_beyond"].value)
    assert np.isfinite(result.estimates["rsa_partial"].value)
    assert any("do not give the score of all records" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["constant", "age", "age in months"])
def test_a_control_that_says_nothing_new_changes_nothing(scored, kind):
    table, risk, _ = scored
    age = table.age.to_numpy()
    column = {
        "constant": np.full(len(table), 0.1),
        "age": age,
        "age in months": 12 * age + 0.1,
    }[kind]
    z = on_half_circle(risk + np.random.default_rng(0).normal(size=len(risk)))
    assert rsa_beyond(z, risk, table, column) == pytest.approx(rsa_beyond(z, risk, table), abs=1e-9)


def test_a_control_is_unknown_only_where_its_record_is_used(scored):
    table, risk, control = scored
    out = np.arange(len(table)) % 7 == 0
    some, without = np.where(out, np.nan, risk), np.where(out, np.nan, control)
    z = on_half_circle(np.exp(table.age.to_numpy() / 15))
    assert rsa_beyond(z, some, table, without) == rsa_beyond(z, some, table, control)
    assert rsa_beyond(z, some, table, without) < 0.2


def test_unknown_risks_are_left_out_and_coverage_says_so(table):
    risk = risk_of(table)
    z = on_half_circle(risk)
    risk[np.arange(400) % 40 == 9] = np.nan
    table.loc[19, "age"] = np.nan
    result = zero_shot(z, risk, table, permutations=9, n_boot=10)
    assert result.extras["n_test"] == 29
    assert result.extras["coverage"] == pytest.approx(29 / 40)
    assert result.estimates["rsa"].value == pytest.approx(1)


def test_records_of_one_patient_are_resampled_and_never_paired(corpus):
    """Three records a patient, alike in risk but not in embedding: pairs within a patient would spoil the perfect agreement."""
    table = corpus(300, records=3)
    risk = np.repeat(np.random.default_rng(7).uniform(1, 20, 300), 3)
    z = on_half_circle(np.round(risk)) * np.tile([1.0, 2.0, 3.0], 300)[:, None]
    assert zero_shot(z, np.round(risk), table, permutations=9, n_boot=20).estimates[
        "rsa"
    ].low == pytest.approx(1)


def test_too_few_patients_and_constant_risk_are_skipped_with_the_reason(table):
    z, risk = np.random.default_rng(8).normal(size=(400, 3)), risk_of(table)
    few = risk.copy()
    few[(table.fold == 10) & (np.arange(400) > 100)] = np.nan
    result = zero_shot(z, few, table)
    assert not result.estimates
    assert result.skipped == "10 test patients have a known risk, age and sex; 20 are needed"
    assert "same risk" in zero_shot(z, np.full(400, 7.0), table).skipped
    untaught = zero_shot(z, np.where(table.fold == 10, risk, np.nan), table)
    assert untaught.notes[0].startswith("no readout and no axis: 0 training patients have")
    whole = zero_shot(z, risk, table)
    assert set(whole.estimates) - set(untaught.estimates) == {
        f"{name}{control}" for name in ("readout", "axis") for control in ("", "_age", "_permuted")
    }
    assert untaught.estimates["rsa"].value == whole.estimates["rsa"].value


def test_a_collapsed_embedding_is_undefined_not_noise(table):
    result = zero_shot(
        np.full((400, 3), 0.1, dtype=np.float32), risk_of(table), table, permutations=9, n_boot=10
    )
    assert np.isnan(result.estimates["rsa"].value)
    assert result.extras["rsa_p"] == 1
    assert "constant" in result.notes[-1]


def test_many_records_are_sampled_and_say_so(table, monkeypatch):
    risk = risk_of(table)
    for module in (agreement, zeroshot):
        monkeypatch.setattr(module, "MOST_PAIRS", 300)
        monkeypatch.setattr(module, "MOST_MANTEL", 25)
    result = zero_shot(on_half_circle(risk), risk, table, permutations=99, n_boot=10)
    assert result.estimates["rsa"].value == pytest.approx(1)
    assert result.extras["rsa_p"] == 0.01
    assert "300 of 780 pairs" in result.notes[0]


def test_bad_input_is_named(table):
    risk = risk_of(table)
    with pytest.raises(DataError, match="400 of 400 feature rows"):
        zero_shot(np.full((400, 2), np.inf), risk, table)
    with pytest.raises(DataError, match="one per record"):
        zero_shot(np.ones((400, 2)), risk[:5], table)
    with pytest.raises(DataError, match=r"risks from age and sex have shape \(5,\)"):
        zero_shot(np.ones((400, 2)), risk, table, age_sex_risk_N=risk[:5])


def people(count, seed, unknown=(), records_per_patient=1):
    table = Synthetic(patients=count, seed=seed, records_per_patient=records_per_patient).table()
    return table.reset_index(drop=True).assign(**dict.fromkeys(unknown, np.nan))


def directed(table, seed, along=1):
    """Embeddings in which one direction is the risk, and the rest noise."""
    z = 3 * np.random.default_rng(seed).normal(size=(len(table), 4))
    z[:, along] += risks("score2", table)[0]
    return z


@pytest.fixture(scope="module")
def two():
    """The corpus of pretraining, and another one that knows less."""
    home, target = people(300, 1), people(200, 2, unknown=("sbp", "hdl"), records_per_patient=1.3)
    return home, directed(home, 1), target, directed(target, 2) - directed(target, 3, along=2)


QUICK = ScoreSpearman(permutations=9)


def test_another_corpus_is_judged_by_what_home_taught(two):
    """Nothing of the target is fitted: ridge, scaling and axis are the home's training patients', against scikit-learn and scipy."""
    home, home_z, target, z = two
    result = run_task(QUICK, material(z, target, home=material(home_z, home, dataset="far")))
    train, judged = (home.fold <= 8).to_numpy(), (target.fold != 9).to_numpy()
    taught, asked = risks("score2", home)[0][train], risks("score2", target)[0][judged]
    learnt = make_pipeline(StandardScaler(), RidgeCV(agreement.ALPHAS)).fit(home_z[train], taught)
    low, high = np.quantile(taught, [0.1, 0.9])
    axis = home_z[train][taught >= high].mean(axis=0) - home_z[train][taught <= low].mean(axis=0)
    want = {
        "readout": spearmanr(learnt.predict(z[judged]), asked).statistic,
        "axis": spearmanr(z[judged] @ axis, asked).statistic,
    }
    for name, value in want.items():
        assert result.estimates[f"zeroshot/{name}"].value == pytest.approx(value, abs=1e-9)
    assert result.extras["zeroshot/n_test"] == judged.sum()
    assert result.extras["zeroshot/coverage"] == 1
    assert result.extras["zeroshot/n_source"] == train.sum()
    assert result.notes[1] == f"readout and axis: from {train.sum()} training records of far"
    centred = "where a field is unknown it stands at its centre: sbp known in 0%, hdl known in 0%"
    assert result.notes[0] == f"score2: {centred}"
    assert result.extras["zeroshot/observed"] == pytest.approx(4 / 6)


def test_rsa_of_another_corpus_is_its_own(two):
    _, home_z, target, z = two
    result = run_task(QUICK, material(z, target, home=material(home_z, two[0])))
    judged = np.flatnonzero(target.fold != 9)
    i, j = np.triu_indices(len(judged), 1)
    names = target.patient.to_numpy()[judged]
    apart = names[i] != names[j]
    unit = z[judged] / np.linalg.norm(z[judged], axis=1, keepdims=True)
    risk = risks("score2", target)[0][judged]
    want = spearmanr((1 - unit @ unit.T)[i, j][apart], np.abs(risk[i] - risk[j])[apart]).statistic
    assert result.estimates["zeroshot/rsa"].value == pytest.approx(want, abs=1e-6)


def test_what_the_target_says_of_itself_teaches_nothing(two):
    """Whichever folds its records are in, none of them is fitted on."""
    home, home_z, target, z = two
    first = run_task(QUICK, material(z, target, home=material(home_z, home)))
    moved = material(z, target.assign(fold=10), home=material(home_z, home))
    again = run_task(QUICK, moved)
    kept = (target.fold != 9).to_numpy()
    table = target[kept].reset_index(drop=True).assign(fold=1)
    third = run_task(QUICK, material(z[kept], table, home=material(home_z, home)))
    assert again.extras["zeroshot/n_test"] == len(target)
    for name in ("rsa", "readout", "axis"):
        assert third.estimates[f"zeroshot/{name}"].value == first.estimates[f"zeroshot/{name}"].value


def test_while_configurations_are_chosen_only_the_patients_for_choosing_are_judged():
    home, target = people(100, 1), people(500, 2)
    z = directed(target, 2)
    corpus = material(z, target, split=SELECTION, home=material(directed(home, 1), home, split=SELECTION))
    result = run_task(QUICK, corpus)
    assert result.extras["zeroshot/n_test"] == (target.fold == 9).sum()
    assert result.extras["zeroshot/n_source"] == (home.fold <= 7).sum()


def test_at_home_the_task_is_the_function(two):
    home, z, _, _ = two
    risk, control = risks("score2", home)
    want = zero_shot(z, risk, home, age_sex_risk_N=control, permutations=9, n_boot=20)
    result = run_task(QUICK, material(z, home))
    told = {**want.extras, "observed": 1.0}
    assert result.extras == {f"zeroshot/{name}": value for name, value in told.items()}
    assert result.notes == want.notes
    for name, estimate in want.estimates.items():
        np.testing.assert_array_equal(result.estimates[f"zeroshot/{name}"].replicates, estimate.replicates)


@pytest.mark.parametrize(
    ("unknown", "score", "lacks", "others"),
    [
        (("age", "sex"), "score2", "all of them lack age, sex;", "here: none"),
        (("sex",), "age", "all of them lack sex;", "here: none"),
        (("findings",), "acute", "all of them lack findings;", "here: age, "),
    ],
)
def test_a_score_out_of_reach_is_skipped_with_what_is_missing_and_what_is_not(unknown, score, lacks, others):
    home, target = people(60, 1), people(60, 2, unknown)
    z = np.ones((60, 2))
    result = run_task(ScoreSpearman(score=score), material(z, target, home=material(z, home)))
    assert not result.estimates
    assert lacks in result.skipped
    assert others in result.skipped
    named = result.skipped.split("here: ")[1].split(", ")
    assert ("score2" in named) == (unknown == ("findings",))
    assert not {"acute", "constant", "permuted", "age_sex"} & set(named)


def test_what_only_a_few_patients_have_is_not_offered():
    target = people(60, 2, ("findings",)).assign(age=lambda t: t.age.where(t.index < 15))
    home = material(np.ones((60, 2)), people(60, 1))
    result = run_task(ScoreSpearman(score="acute"), material(np.ones((60, 2)), target, home=home))
    assert result.skipped.endswith("all of them lack findings; scores that could be asked about here: none")
