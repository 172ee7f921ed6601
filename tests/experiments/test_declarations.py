"""Every file in experiments/ declares a question that can be planned, in full."""

import re
import shlex
from collections import Counter
from dataclasses import fields, replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from experiment_files import FOLDER, NAMES, SCRIPTS, SEARCHES, load, module

from clef_ray.ablation import plan
from clef_ray.cli import Parser
from clef_ray.cli.data import find
from clef_ray.cli.dryrun import unasked
from clef_ray.cli.experiment import main
from clef_ray.cli.launch import smoke_data, smoke_targets
from clef_ray.cli.options import add_options, settings_of, targets_of
from clef_ray.config import flatten, spec, to_dict
from clef_ray.datasets import COVARIATES
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError, DataError
from clef_ray.losses._reference import Normaliser
from clef_ray.recipes import EMBEDDED_BUDGET, RECIPE
from clef_ray.registry import LOSSES, SCORES
from clef_ray.train.subjects import subjects


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def declared(name):
    return load(name)


def flat(run):
    return flatten(to_dict(run.canonical()))


def test_the_file_carries_the_experiments_name_and_begins_with_its_question(name, declared):
    ablation, text = declared
    assert ablation.name == name
    assert text.splitlines()[0] == ablation.question
    assert ablation.question.endswith("?")
    assert ablation.expect.endswith(".")


def test_the_docstrings_commands_are_valid_and_choose_arms_that_exist(name, declared):
    ablation, text = declared
    commands = [
        line.strip() for line in text.splitlines() if line.startswith(f"    python experiments/{name}.py")
    ]
    assert len(commands) >= 2
    for command in commands:
        options = shlex.split(re.split(r"\s{2,}", command)[0])[2:]
        parser = Parser()
        add_options(parser)
        assert plan(ablation, "", arms=parser.parse_args(options).arms).trials


def test_the_larger_budget_that_the_report_recommends_can_be_planned(declared):
    ablation, _ = declared
    parser = Parser()
    add_options(parser)
    options = parser.parse_args(shlex.split(ablation.larger))
    settings, targets = settings_of(options.set), targets_of(ablation.targets, options.target)
    assert plan(ablation, "", seeds=options.seeds, settings=settings).trials
    assert {*targets} == {*ablation.targets}


@pytest.mark.parametrize("smoke", [False, True])
def test_every_arm_can_be_planned_also_those_that_run_only_when_asked_for(declared, smoke):
    ablation, _ = declared
    made = plan(ablation, "", arms=["all"], smoke=smoke)
    assert {t.arm.name for t in made.trials} == {a.name for a in (*ablation.arms, *ablation.more)}
    assert len(made.trials) == len(ablation.seeds) * (len(ablation.arms) + len(ablation.more))


def test_by_default_the_more_arms_do_not_run(declared):
    ablation, _ = declared
    assert {t.arm.name for t in plan(ablation, "").trials} == {a.name for a in ablation.arms}


def test_the_default_comparison_takes_minutes_on_two_cores(declared):
    """At about 8 s per trained trial of the embedded budget: not above seven minutes, with at least three seeds."""
    ablation, _ = declared
    trained = [t for t in plan(ablation, "").unique() if t.run.epochs]
    assert len(ablation.seeds) >= 3
    assert len(trained) <= 45
    assert ablation.settings in (EMBEDDED_BUDGET, RECIPE)


def test_every_comparison_has_an_untrained_control_and_a_base_of_a_family(declared):
    ablation, _ = declared
    controls = [a for a in ablation.arms if not a.family or a.name == ablation.base]
    assert any(a.settings["method"] == "random" for a in controls)
    base = next(a for a in ablation.arms if a.name == ablation.base)
    assert sum(a.family == base.family for a in ablation.arms) > 1


def test_arms_of_one_family_differ_and_lie_on_an_axis_that_has_a_name(declared):
    """A typo in an arm's settings can make it the run of another arm: in a family that would be a comparison with itself."""
    ablation, _ = declared
    made = plan(ablation, "", seeds=1, arms=["all"])
    runs = Counter((t.arm.family, t.run.fingerprint()) for t in made.trials if t.arm.family)
    assert max(runs.values()) == 1
    assert any(a.x is not None for a in ablation.arms) == bool(ablation.axis)


def differing(runs):
    flats = [flat(run) for run in runs]
    return {key for f in flats for key in f if len({repr(g.get(key)) for g in flats}) > 1}


@pytest.mark.parametrize("name", sorted({*NAMES} - {"scale_data"}))
def test_along_the_axis_one_setting_varies_and_its_value_is_the_place(name):
    ablation, _ = load(name)
    trials = plan(ablation, "", seeds=1).trials
    for family in {t.arm.family for t in trials if t.arm.x is not None}:
        own = [t for t in trials if t.arm.family == family]
        (key,) = differing(t.run for t in own)
        assert [t.arm.x for t in own] == [flat(t.run)[key] for t in own]


def test_a_control_of_one_arm_differs_from_it_in_the_score_alone(declared):
    ablation, _ = declared
    runs = {t.arm.name: t.run for t in plan(ablation, "", seeds=1, arms=["all"]).trials}
    for arm in (a for a in ablation.arms if a.against):
        keys = differing((runs[arm.name], runs[arm.against]))
        assert {key.partition(".")[0] for key in keys} == {"score"}


def test_the_missingness_factorial_is_whole():
    """3 mechanisms x 4 rates x 6 handlings; with nothing deleted the mechanisms are one run."""
    made = plan(load("ablate_missingness")[0], "", seeds=1, arms=["*-*-*"])
    assert len(made.trials) == 72
    assert len(made.unique()) == 60
    for family in {t.arm.family for t in made.trials}:
        keys = differing(t.run for t in made.trials if t.arm.family == family)
        assert keys == {"loss.mask", "loss.unknown", "imputation"}
    rates = {(t.run.missingness.mechanism, t.run.missingness.rate) for t in made.trials}
    assert len(rates) == 12
    assert max(rate for _, rate in rates) == 0.9


def test_batches_of_every_size_have_the_same_negatives_and_see_the_same_records():
    runs = [t.run for t in plan(load("ablate_batch_composition")[0], "").trials if t.run.epochs]
    assert {dict(run.canonical().loss.options)["negatives"] for run in runs} == {2 * 32 - 2}
    assert len({run.epochs for run in runs}) == 1


def test_batches_at_equal_steps_take_equal_steps():
    runs = [t.run for t in plan(load("ablate_batch_composition")[0], "", arms=["steps-*"]).trials]
    assert {run.epochs * (1024 // run.optimiser.batch) for run in runs} == {64}


def test_batches_at_equal_steps_have_equal_warm_ups():
    runs = [t.run for t in plan(load("ablate_batch_composition")[0], "", arms=["steps-*"]).trials]
    assert {run.optimiser.warmup_epochs * (1024 // run.optimiser.batch) for run in runs} == {8}


def test_more_patients_train_for_equally_many_steps_and_each_arm_sees_those_of_the_smaller_ones():
    """Records per fold of the embedded cohort: an epoch of one fold is one step of 128, of all eight it is eight."""
    count = Synthetic().table()["fold"].value_counts()
    runs = [(t.arm, t.run) for t in plan(load("scale_data")[0], "", seeds=1).trials if t.run.epochs]
    steps, warm_up = set(), set()
    for arm, run in runs:
        per_epoch = count[list(run.train_folds)].sum() // run.optimiser.batch
        steps.add(run.epochs * per_epoch)
        warm_up.add(run.optimiser.warmup_epochs * per_epoch)
        assert arm.x == 10 * len(run.train_folds)
    assert (steps, warm_up) == ({64}, {8})
    for family in {arm.family for arm, _ in runs}:
        own = sorted((run.train_folds for arm, run in runs if arm.family == family), key=len)
        assert all({*small} < {*large} for small, large in pairwise(own))
        keys = differing(run for arm, run in runs if arm.family == family)
        assert keys == {"train_folds", "optimiser.epochs", "optimiser.warmup_epochs"}


def test_equal_epochs_are_the_same_patients_without_the_further_epochs():
    runs = {t.arm.name: t.run for t in plan(load("scale_data")[0], "", seeds=1, arms=["all"]).trials}
    for share in (10, 20, 40):
        pair = runs[f"clef-{share}"], runs[f"epochs-clef-{share}"]
        assert differing(pair) == {"optimiser.epochs", "optimiser.warmup_epochs"}
    assert runs["epochs-simclr-80"] == runs["simclr-80"]


def test_the_first_trial_is_one_that_sees_all_patients_that_any_sees():
    """The run's check for leakage asks one trial which folds pretraining sees (cli/lineage.py): it has to be the one that sees all."""
    trials = plan(load("scale_data")[0], "").trials
    assert {*trials[0].run.train_folds} == {f for t in trials for f in t.run.train_folds}


def test_zero_shot_elsewhere_judges_the_encoders_of_the_negatives_ablation():
    here, there = (
        {t.arm.name: t.run.fingerprint() for t in plan(load(name)[0], "", seeds=1).trials}
        for name in ("zero_shot_negatives", "ablate_negatives")
    )
    assert here == there


def test_the_targets_of_zero_shot_are_other_people_shifted_in_one_thing_each():
    ablation, _ = load("zero_shot_negatives")
    built = {name: find(data, 100).build() for name, data in ablation.targets.items()}
    plain = built.pop("plain")
    home = find("synthetic", 100).build()
    assert plain.seed != home.seed
    same = {"seed": home.seed, "patients": home.patients, "records_per_patient": home.records_per_patient}
    assert replace(plain, **same) == home
    for target in built.values():
        apart = {f.name for f in fields(target) if getattr(target, f.name) != getattr(plain, f.name)}
        assert len(apart) == 1


def test_the_windows_of_beats_are_as_long_as_what_the_encoder_is_given():
    """Else the beat in question is not in the middle of what it sees, and the task refuses."""
    ablation, _ = load("ood_low_resource")
    assert find(ablation.targets["holter"], 100).build().seconds == EMBEDDED_BUDGET["signals.seconds"]
    larger = shlex.split(ablation.larger)
    (holter,) = (text.partition("=")[2] for text in larger if text.startswith("holter="))
    assert f"signals.seconds={find(holter, 100).build().seconds:g}" in larger


def test_every_headline_metric_of_few_labels_is_asked_for():
    ablation, _ = load("ood_low_resource")
    trial = plan(ablation, "", seeds=1, arms=["random"]).on("", targets=dict.fromkeys(ablation.targets, ""))
    keys = {asked.key for asked in trial.judging.asked(trial.trials[0].run)}
    assert {metric.rpartition("/")[0] for metric in ablation.headline} <= keys


def test_alphas_further_arms_sweep_the_normaliser_and_the_power_against_the_base():
    ablation, _ = load("ablate_alpha")
    made = plan(ablation, "", arms=["alpha-0.2", "norm-*", "power-1"], seeds=1)
    base, first, *others = [t.run for t in made.trials]
    assert first.fingerprint() == base.fingerprint()
    assert {dict(run.loss.options)["normaliser"] for run in (first, *others)} == set(get_args(Normaliser))
    for run in others:
        (key,) = differing((base, run))
        assert key in ("loss.normaliser", "loss.power")
    assert len({t.arm.family for t in made.trials[1:]}) == 1


def test_a_users_region_is_that_of_the_permuted_control_as_well():
    runs = {
        t.arm.name: t.run
        for t in plan(load("ablate_alpha")[0], "", seeds=1, settings={"score.region": "low"}).trials
    }
    assert dict(runs["alpha-0.2"].score.options)["region"] == "low"
    assert dict(runs["permuted"].score.options)["base"] == "score2:region=low"
    risks = load("ablate_risk_scores")[0]
    found = {t.arm.name: t.run for t in plan(risks, "", seeds=1, settings={"score.region": "low"}).trials}
    assert dict(found["score2_diabetes"].score.options)["region"] == "low"
    assert found["age"].score == spec(SCORES, "age")
    with pytest.raises(ConfigError, match=r"score.region.*no arm of ablate_risk_scores"):
        plan(risks, "", arms=["age", "framingham", "random"], settings={"score.region": "low"})


def ages_and_sexes(records=40):
    """A cohort such as PTB-XL: of every covariate but age and sex (and the findings of its own diagnoses) nobody's value is known."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: np.full(records, np.nan) for name in COVARIATES})
    table["patient"], table["fold"] = [f"p{i}" for i in range(records)], 1
    table["age"], table["sex"] = rng.uniform(40, 69, records), rng.integers(0, 2, records).astype(float)
    table["findings"] = rng.integers(0, 3, records).astype(float)
    return table


def risks_of(trial, table):
    run = trial.run.canonical()
    risk_NK = subjects(run, table).risk_NK
    if run.loss is not None and run.uses_risk:
        run.loss.build(LOSSES).reference(risk_NK)
    return risk_NK


@pytest.mark.parametrize("name", sorted({*NAMES} - {"ablate_missingness"}))
def test_the_default_arms_have_risks_where_only_age_and_sex_are_known(name):
    """As their docstrings' PTB-XL command needs."""
    table = ages_and_sexes()
    assert "/data/ptbxl" in load(name)[1]
    for trial in plan(load(name)[0], "", seeds=1).unique():
        risk_NK = risks_of(trial, table)
        published = trial.arm.name == "published"  # takes unknown risks for 0
        assert np.isfinite(risk_NK).all() or published or not trial.run.canonical().score


def test_missingness_needs_covariates_and_says_so():
    ablation, text = load("ablate_missingness")
    assert "/data/ptbxl" not in text
    for arm in ("mcar-0-impute", "mcar-0-drop"):
        (trial,) = plan(ablation, "", seeds=1, arms=[arm]).trials
        with pytest.raises(DataError):
            risks_of(trial, ages_and_sexes())


def test_a_smoke_run_has_a_step_for_the_largest_batch_that_is_asked_for():
    """Eight of ten folds train, so 250 patients hold a batch of 128, and 256 records need more of them."""
    ablation, _ = load("ablate_batch_composition")

    def cohort(arm):
        return smoke_data([t.run for t in plan(ablation, "", arms=[arm]).trials])

    assert cohort("clef-128") == "synthetic:patients=250,records_per_patient=1"
    assert cohort("clef-256") == "synthetic:patients=384,records_per_patient=1"


@pytest.mark.parametrize(("batch", "patients"), [(128, 250), (256, 384)])
def test_a_smoke_runs_targets_have_no_more_people_than_its_cohort(batch, patients):
    ablation, _ = load("leakage")
    runs = [
        t.run for t in plan(ablation, "", arms=["random"], settings={"optimiser.batch": str(batch)}).trials
    ]
    own = "synthetic:patients=9000,seed=2"
    targets = {
        **ablation.targets,
        "copy": own,
        "few": "synthetic:patients=40",
        "holter": "synthetic_holter:seconds=5",
    }
    declared = {**targets, "copy": ablation.targets["copy"]}
    assert smoke_targets(targets, declared, runs) == {
        **targets,
        "others": f"synthetic:patients={patients},seed=9,records_per_patient=3",
    }


def test_the_dry_run_lists_what_does_not_run_and_how_to_run_it(declared):
    ablation, _ = declared
    lines = unasked(ablation, {arm.name for arm in ablation.arms})
    assert bool(lines) == bool(ablation.more)
    for arm in ablation.more:
        assert arm.name in re.split("[ ,]+", lines[0])
    for line in lines[1:]:
        arms = shlex.split(line.partition("--arms")[2])
        assert {t.arm.name for t in plan(ablation, "", arms=arms).trials} & {a.name for a in ablation.more}


def test_the_help_says_which_arms_run_and_that_there_are_more(declared, capsys):
    ablation, _ = declared
    with pytest.raises(SystemExit) as exit_:
        main(ablation, ["--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    for text in (ablation.question, ablation.expect, "--dry-run", *(arm.name for arm in ablation.arms)):
        assert text in shown
    assert (f"{len(ablation.more)} more" in shown) == bool(ablation.more)


def test_every_file_is_an_ablation_a_sweep_or_a_script():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*NAMES, *SEARCHES, *SCRIPTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_begins_with_its_question_and_its_commands_are_valid(name):
    script = module(name)
    assert name == script.NAME
    assert script.__doc__.splitlines()[0] == script.QUESTION
    assert script.QUESTION.endswith("?")
    commands = [
        line for line in script.__doc__.splitlines() if line.startswith(f"    python experiments/{name}.py")
    ]
    assert len(commands) >= 2
    for command in commands:
        script.options().parse_args(shlex.split(re.split(r"\s{2,}", command.strip())[0])[2:])


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("smoke", [False, True])
def test_every_sweep_can_be_run_at_every_end_of_its_space(name, smoke):
    search, text = load(name)
    assert search.name == name
    assert text.splitlines()[0] == search.question
    search.check(smoke=smoke)
    assert len({search.trial(0, search.start[0], seed, "").run.fingerprint() for seed in search.seeds}) > 1
