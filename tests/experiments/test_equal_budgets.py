"""The comparisons of objectives, encoders and sizes: every method and encoder that there is, at one budget."""

import pytest
from experiment_files import load

from clef_ray.ablation import plan
from clef_ray.budget import Budget
from clef_ray.registry import ENCODERS, METHODS

NAMES = ("compare_objectives", "compare_encoders", "scale_model")


@pytest.mark.parametrize("name", NAMES)
def test_the_default_arms_have_one_budget_and_the_others_say_why_not(name):
    ablation = load(name)[0]
    assert ablation.equal_budget
    runs = [(t.arm, t.run) for t in plan(ablation, "", seeds=1, arms=["all"]).trials]
    base = Budget.of(next(run for arm, run in runs if arm.name == ablation.base), "base")
    for arm, run in runs:
        differs = bool(Budget.of(run, arm.name).differing(base))
        assert differs == bool(arm.unequal), arm.name
        assert not (differs and arm in ablation.arms), arm.name


@pytest.mark.parametrize("name", NAMES)
def test_every_trained_encoder_has_an_untrained_one_beside_it(name):
    for arms in (load(name)[0].arms, load(name)[0].every):
        runs = [t.run for t in plan(load(name)[0], "", seeds=1, arms=[arm.name for arm in arms]).trials]
        untrained = {run.encoder for run in runs if not run.epochs}
        assert {run.encoder for run in runs if run.epochs} <= untrained


def test_every_method_and_every_encoder_is_compared():
    trials = {name: plan(load(name)[0], "", seeds=1, arms=["all"]).trials for name in NAMES}
    assert {t.run.method.name for t in trials["compare_objectives"]} == {*METHODS.names()}
    assert {t.run.encoder.name for t in trials["compare_encoders"]} == {*ENCODERS.names()}
    assert {dict(t.run.encoder.options)["size"] for t in trials["scale_model"]} == {"S", "M", "L"}


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_of_the_headline_is_asked_for(name):
    made = plan(load(name)[0], "", seeds=1, arms=[load(name)[0].base])
    keys = {asked.key for asked in made.judging.asked(made.trials[0].run)}
    assert {metric.rpartition("/")[0] for metric in made.ablation.headline} <= keys
