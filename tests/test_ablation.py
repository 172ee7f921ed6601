"""Arms x seeds: what becomes a trial, and which trials are one run."""

from dataclasses import replace

import pytest

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.config import EVALUATION_VERSION, evaluation_fingerprint, fingerprint
from clef_ray.errors import ConfigError
from clef_ray.recipes import EMBEDDED_BUDGET

ABLATION = Ablation(
    name="demo",
    question="?",
    expect="",
    arms=(
        Arm("clef-7", {"method": "clef", "loss.negatives": 7}, "CLEF", 7),
        Arm("clef-31", {"method": "clef", "loss.negatives": 31}, "CLEF", 31),
        Arm("simclr-7", {"method": "simclr", "loss.negatives": 7}, "SimCLR", 7),
        Arm("random", {"method": "random"}),
    ),
    base="clef-7",
    seeds=(0, 1, 2),
    tasks=("diagnosis",),
    headline=("probe/auroc",),
    axis="negatives per anchor",
    settings={"optimiser.batch": 32, "optimiser.epochs": 4},
    smoke={"optimiser.epochs": 1},
)


def test_every_arm_meets_every_seed_and_settings_reach_the_run():
    made = plan(ABLATION, "data")
    assert [(t.arm.name, t.seed) for t in made.trials][:4] == [
        ("clef-7", 0),
        ("clef-7", 1),
        ("clef-7", 2),
        ("clef-31", 0),
    ]
    assert len(made.unique()) == 12
    assert {t.run.optimiser.epochs for t in made.trials} == {4}
    assert {t.run.optimiser.epochs for t in plan(ABLATION, "data", smoke=True).trials} == {1}


def test_two_arms_that_are_the_same_run_are_trained_once():
    twin = replace(ABLATION, arms=(*ABLATION.arms, Arm("again", {"loss.negatives": 7, "loss.alpha": 0.2})))
    made = plan(twin, "data")
    assert len(made.trials) == 15
    assert len(made.unique()) == 12


def test_a_users_loss_option_reaches_the_arms_that_have_it():
    made = plan(ABLATION, "data", settings={"loss.alpha": "0.5", "loss.temperature": "0.1"}, seeds=1)
    losses = {t.arm.name: t.run.canonical().loss for t in made.trials}
    assert dict(losses["clef-7"].options)["alpha"] == 0.5
    assert losses["simclr-7"].name == "ntxent"
    assert dict(losses["simclr-7"].options)["temperature"] == 0.1
    assert dict(losses["simclr-7"].options)["negatives"] == 7
    assert losses["random"] is None


GUIDED = replace(
    ABLATION,
    arms=(
        Arm("score2", {"score": "score2"}),
        Arm("permuted", {"score": "permuted"}),
        Arm("permuted-alone", {"score": "permuted", "score.base": "score2:op_from=none"}),
        Arm("pce", {"score": "pce"}),
        Arm("age", {"score": "age"}),
        Arm("simclr", {"method": "simclr"}),
        Arm("random", {"method": "random"}),
    ),
    base="score2",
    seeds=(0,),
)


def scores(**options):
    made = plan(GUIDED, "data", **options)
    return {t.arm.name: dict(t.run.score.options) for t in made.trials if t.run.canonical().score}


def test_a_users_score_option_reaches_the_scores_that_have_it_and_the_bases_of_permuted_ones():
    found = scores(settings={"score.region": "low", "score.out_of_range": "nan"})
    assert (found["score2"]["region"], found["score2"]["out_of_range"]) == ("low", "nan")
    assert found["permuted"]["base"] == "score2:out_of_range=nan,region=low"
    assert found["permuted-alone"]["base"] == "score2:op_from=None,out_of_range=nan,region=low"
    assert found["pce"] == {"race": "white", "out_of_range": "nan"}
    assert set(found) == {"score2", "permuted", "permuted-alone", "pce", "age"}


def test_a_score_option_leaves_the_other_arms_the_runs_they_are():
    before, after = plan(GUIDED, "data"), plan(GUIDED, "data", settings={"score.region": "low"})
    names = [t.arm.name for t in before.trials]
    marks = zip(names, before.trials, after.trials, strict=True)
    same = {name for name, one, other in marks if one.run.fingerprint() == other.run.fingerprint()}
    assert same == {"pce", "age", "simclr", "random"}


def test_a_bases_default_spelled_out_is_no_other_run():
    default = plan(GUIDED, "data", settings={"score.region": "moderate"})
    assert default.fingerprint() == plan(GUIDED, "data").fingerprint()
    both = {"score.region": "low", "score.out_of_range": "nan"}
    turned = dict(reversed(both.items()))
    assert plan(GUIDED, "data", settings=both).trials == plan(GUIDED, "data", settings=turned).trials


def test_options_of_the_permutation_itself_are_its_own():
    found = scores(settings={"score.seed": "7", "score.base": "framingham"}, arms=["permuted", "score2"])
    assert found["permuted"] == {"base": "framingham", "seed": 7}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": {"score.regin": "low"}}, ["'score.regin'", "Did you mean 'score.region'"]),
        ({"settings": {"score.region": "moon"}}, ["moon", "moderate"]),
        ({"settings": {"score.region": "moon"}, "arms": ["permuted"]}, ["moon", "moderate"]),
        ({"settings": {"score.region": "low"}, "arms": ["age", "pce"]}, ["'score.region'", "no arm of demo"]),
        ({"settings": {"score.region": "low"}, "arms": ["simclr", "random"]}, ["'score.region'", "no arm"]),
    ],
)
def test_a_score_option_that_no_arm_takes_or_that_is_wrong_is_refused(options, words):
    with pytest.raises(ConfigError) as error:
        plan(GUIDED, "data", **options)
    for word in words:
        assert word in str(error.value)


def test_settings_that_need_each_other_may_come_in_any_order():
    settings = {"missingness.rate": "0.3", "loss.alpha": "0.5", "missingness.mechanism": "mcar"}
    run = plan(ABLATION, "data", settings=settings, seeds=1).trials[0].run
    assert (run.missingness.mechanism, run.missingness.rate) == ("mcar", 0.3)


def test_what_an_experiment_does_not_say_is_the_embedded_budget():
    short = Ablation("short", "?", "", (Arm("random", {"method": "random"}),), "random", (0,))
    assert short.settings == EMBEDDED_BUDGET
    assert plan(short, "data").trials[0].run.optimiser.epochs == 8
    assert plan(short, "data", smoke=True).trials[0].run.optimiser.epochs == 2
    assert {t.name for t in plan(short, "data").tasks} == {"diagnosis", "score_spearman"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arms": ["clef-8"]}, ["unknown arm 'clef-8'", "clef-7"]),
        ({"seeds": 0}, ["--seeds 0"]),
        ({"settings": {"loss.negatives": "3"}}, ["loss.negatives", "clef-7", "--arms"]),
        ({"settings": {"loss.beta": "3"}}, ["loss.beta"]),
        ({"settings": {"seed": "5"}}, ["--set seed", "--seeds"]),
        ({"settings": {"data": "x"}}, ["--set data", "--data"]),
        ({"settings": {"views.lead": "V9"}}, ["unknown lead 'V9'", "V5"]),
        ({"settings": {"loss.alpha": "9"}}, ["alpha", "0 to 1"]),
        ({"settings": {"loss.temperature": "-1"}}, ["temperature"]),
        ({"settings": {"missingness.rate": "0.3"}}, ["missingness.rate: 0.3", "mcar, mar or mnar"]),
        ({"settings": {"encoder.in_leads": "12"}}, ["encoder.in_leads", "12"]),
        ({"settings": {"train_folds": "1,77"}}, ["train_folds", "1 to 10"]),
        ({"settings": {"train_folds": "1,2,10"}}, ["train_folds", "fold 10", "judged on"]),
        ({"settings": {"optimiser.batch": "8"}}, ["31 negatives", "at most 14", "2B-2"]),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_starts(options, words):
    with pytest.raises(ConfigError) as error:
        plan(ABLATION, "data", **options)
    for word in words:
        assert word in str(error.value)


FURTHER = replace(
    ABLATION,
    more=(
        Arm("clef-127", {"loss.negatives": 127, "loss.queue": 66}, "CLEF", 127),
        Arm("paper", {"method": "clef", "loss.preset": "paper"}),
    ),
)


@pytest.mark.parametrize(
    ("wanted", "arms"),
    [
        ([], ["clef-7", "clef-31", "simclr-7", "random"]),
        (["all"], ["clef-7", "clef-31", "simclr-7", "random", "clef-127", "paper"]),
        (["clef-*"], ["clef-7", "clef-31", "clef-127"]),
        (["clef-?"], ["clef-7"]),
        (["random", "*-7", "clef-7"], ["random", "clef-7", "simclr-7"]),
        (["paper"], ["paper"]),
    ],
)
def test_arms_are_chosen_by_name_and_pattern_each_once(wanted, arms):
    assert [t.arm.name for t in plan(FURTHER, "data", arms=wanted, seeds=1).trials] == arms


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["clef-1*7*7"], ["unknown arm 'clef-1*7*7'", "in demo", "Did you mean 'clef-127'?"]),
        (["clef-7", "Clef-*"], ["unknown arm 'Clef-*'", "Did you mean 'clef-", "paper"]),
    ],
)
def test_a_pattern_that_fits_no_arm_is_an_error_with_the_near_match(wanted, words):
    with pytest.raises(ConfigError) as error:
        plan(FURTHER, "data", arms=wanted)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"more": (Arm("random", {}),)}, ["demo", "two arms", "'random'"]),
        ({"base": "clef-8"}, ["unknown arm 'clef-8'", "base"]),
        ({"more": (Arm("permuted", {}, against="clef-9"),)}, ["unknown arm 'clef-9'", "against"]),
        (
            {"clouds": "othres", "targets": {"others": "/x"}},
            ["unknown target 'othres'", "'others'", "clouds"],
        ),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(changes, words):
    with pytest.raises(ConfigError) as error:
        replace(ABLATION, **changes)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("clouds", [None, "", "others"])
def test_clouds_are_of_pretrainings_corpus_or_a_target(clouds):
    assert replace(ABLATION, clouds=clouds, targets={"others": "/x"}).clouds == clouds


@pytest.mark.parametrize(
    "metric", ["prob/auroc", "other/probe/auroc", "others/prob/auroc", "probe", "probes/auroc"]
)
def test_a_gap_between_metrics_that_nobody_asks_for_is_refused(metric):
    asked = replace(ABLATION, targets={"others": "/x"})
    pair = ("others/probe/NORM/auroc", "probe/auroc")
    assert plan(replace(asked, gaps={"g": pair}), "data").trials
    for wrong in ((metric, pair[0]), (pair[0], metric)):
        with pytest.raises(
            ConfigError, match=r"unknown task .*in demo, gap g.*Available: others/probe, probe"
        ):
            plan(replace(asked, gaps={"g": wrong}), "data")


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two tasks are called 'probe'"):
        plan(replace(ABLATION, tasks=("diagnosis", "diagnosis:min_positives=9")), "data")


def test_negatives_may_come_from_the_queue_as_well():
    """2 * 32 - 2 of the batch and 66 queued hold 128; 2 * 31 - 2 and 66 hold 126."""
    arms = ["clef-127"]
    assert plan(FURTHER, "data", arms=arms, settings={"optimiser.batch": "32"}).trials
    with pytest.raises(ConfigError, match=r"at most 126 \(2B-2 \+ 66 queued\)"):
        plan(FURTHER, "data", arms=arms, settings={"optimiser.batch": "31"})


def test_a_users_preset_is_for_the_losses_that_have_it_and_its_own_settings_come_on_top():
    settings = {"loss.alpha": "0.5", "loss.preset": "published"}
    losses = {
        t.arm.name: dict(t.run.canonical().loss.options)
        for t in plan(ABLATION, "data", settings=settings, seeds=1).trials
        if t.run.epochs
    }
    assert losses["clef-7"]["weight_norm"] == "softmax"
    assert (losses["clef-7"]["alpha"], losses["clef-7"]["negatives"]) == (0.5, 7)
    assert "alpha" not in losses["simclr-7"]


def test_the_plans_identity_follows_runs_and_tasks_not_names():
    one = plan(ABLATION, "data")
    assert one.fingerprint() == plan(ABLATION, "data").fingerprint()
    assert one.fingerprint() != plan(ABLATION, "other").fingerprint()
    assert one.on("other").fingerprint() == plan(ABLATION, "other").fingerprint()
    assert one.fingerprint() != plan(replace(ABLATION, tasks=("score_spearman",)), "data").fingerprint()


def test_differing_settings_are_the_ones_a_comparison_should_show():
    assert {"loss.negatives", "loss", "method", "seed"} <= set(plan(ABLATION, "data").differing_settings())
    assert "optimiser.batch" not in plan(ABLATION, "data", arms=["clef-7", "clef-31"]).differing_settings()


def test_a_plan_that_grows_keeps_its_identity_and_a_split_for_choosing_has_its_own():
    made = plan(ABLATION, "data")
    runs = sorted({t.run.fingerprint() for t in made.trials})
    content = {"ablation": "demo", "runs": runs, "tasks": [t.to_dict() for t in made.tasks]}
    before = fingerprint({**content, "evaluation": EVALUATION_VERSION})
    assert made.fingerprint() == before, "what was tracked before there were splits is still found"
    growing = replace(made, identity="sweep-of-its-own")
    assert (
        growing.fingerprint()
        == replace(growing, trials=(), split="selection").fingerprint()
        == "sweep-of-its-own"
    )
    assert replace(made, split="selection").fingerprint() != made.fingerprint()


def test_results_from_before_there_were_splits_stay_valid_and_are_the_official_ones():
    made = plan(ABLATION, "data")
    run, task = made.trials[0].run, made.tasks[0]
    content = {"run": run.fingerprint(), "task": task.to_dict(), "data": "d"}
    before = fingerprint({"evaluation": EVALUATION_VERSION, **content})
    assert (
        evaluation_fingerprint(run, task, "d") == evaluation_fingerprint(run, task, "d", "official") == before
    )
    assert evaluation_fingerprint(run, task, "d", "selection") != before
