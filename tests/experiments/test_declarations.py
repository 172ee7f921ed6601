"""Every file in experiments/ declares a question that can be planned, in full."""

import re
import shlex
from collections import Counter

import pytest
from experiment_files import NAMES, load

from clef_ray.ablation import EMBEDDED_BUDGET, plan
from clef_ray.cli import Parser
from clef_ray.cli.dryrun import unasked
from clef_ray.cli.experiment import add_options, main, smoke_data
from clef_ray.config import flatten, to_dict


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
    assert ablation.settings == EMBEDDED_BUDGET


def test_every_comparison_has_an_untrained_control_and_a_base_of_a_family(declared):
    ablation, _ = declared
    controls = [a for a in ablation.arms if not a.family]
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


def test_along_the_axis_one_setting_varies_and_its_value_is_the_place(declared):
    ablation, _ = declared
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


def test_a_smoke_run_has_a_step_for_the_largest_batch_that_is_asked_for():
    """Eight of ten folds train, so 250 patients hold a batch of 128, and 256 records need more of them."""
    ablation, _ = load("ablate_batch_composition")
    assert smoke_data(plan(ablation, "", arms=["clef-128"])) == "synthetic:patients=250,records_per_patient=1"
    assert smoke_data(plan(ablation, "", arms=["clef-256"])) == "synthetic:patients=384,records_per_patient=1"


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
