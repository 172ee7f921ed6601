"""An equal budget: what is compared, what is refused, and what is only said."""

from dataclasses import replace

import pytest

from clef_ray.ablation import Ablation, Arm, Outcome, plan
from clef_ray.budget import Budget, differences
from clef_ray.config import Run, override
from clef_ray.errors import ConfigError
from clef_ray.report.doubts import doubts

SIMCLR, CLEF, RANDOM = {"method": "simclr"}, {"method": "clef"}, {"method": "random"}


def toy(*more, **changes):
    fields = {
        "name": "toy",
        "question": "Which?",
        "expect": "This.",
        "arms": (
            Arm("simclr", SIMCLR, family="f"),
            Arm("clef", CLEF, family="f"),
            Arm("random", RANDOM),
            *more,
        ),
        "base": "simclr",
        "seeds": (0, 1),
        "equal_budget": True,
    }
    return Ablation(**{**fields, **changes})


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser.epochs": 9},
        {"optimiser.batch": 64},
        {"train_folds": (1, 2)},
        {"signals.seconds": 4.0},
        {"signals.fs": 250.0},
        {"views.noise_mv": 0.0},
        {"views.lead": "random"},
        {"views.mask_probability": 0.5},
    ],
)
def test_an_arm_with_another_budget_is_refused_and_both_are_named(settings):
    odd = Arm("odd", {**SIMCLR, **settings}, family="f")
    with pytest.raises(ConfigError) as told:
        plan(toy(odd), "")
    (key,) = settings
    for word in (key, "'odd'", "'simclr'", "toy", "Arm.unequal"):
        assert word in str(told.value)
    assert plan(toy(odd, equal_budget=False), "").trials
    assert plan(toy(odd), "", arms=["odd", "random"]).trials, "alone with a control it differs from nobody"


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser.lr": 3e-3},
        {"optimiser.weight_decay": 0.1},
        {"method.head": "mlp2"},
        {"loss.temperature": 0.5},
        {"encoder.size": "M"},
    ],
)
def test_the_methods_own_choices_are_no_budget(settings):
    assert plan(toy(Arm("own", {**SIMCLR, **settings}, family="f")), "").trials


def test_equal_tuning_is_asked_of_trained_arms_only():
    tuned = Arm("tuned", {**SIMCLR, "optimiser.lr": 3e-3}, family="f", tuning=50)
    with pytest.raises(ConfigError, match=r"tuning is 50 in arm 'tuned' and 0 in 'simclr'"):
        plan(toy(tuned), "")
    every = tuple(replace(arm, tuning=50 if arm.settings != RANDOM else 0) for arm in toy().arms)
    assert plan(toy(arms=(*every, tuned)), "").trials


def test_a_users_setting_is_all_arms_and_so_keeps_the_budget_equal():
    made = plan(toy(), "", settings={"optimiser.epochs": "3", "views.noise_mv": "0"})
    assert {t.run.epochs for t in made.trials} == {3, 0}


def test_what_cannot_matter_is_no_difference():
    """With one lead its probability of being the same one is idle."""
    arms = (Arm("same", {**SIMCLR, "views.same_lead": 0.1}, family="f"),)
    assert plan(toy(*arms, settings={"views.lead": "I"}), "").trials


def test_an_arm_that_says_why_is_let_through_and_repeated_in_the_report():
    odd = Arm("odd", {**SIMCLR, "views.lead": "random"}, family="f", unequal="it needs two leads")
    made = plan(toy(odd, settings={"views.lead": "I"}), "")
    (note,) = doubts(made, [])
    assert note == ("All trained arms have an equal budget but for odd in views.lead (it needs two leads).")
    other = replace(odd, name="other", unequal="")
    with pytest.raises(ConfigError, match="'other'"):
        plan(toy(odd, other, settings={"views.lead": "I"}), "")
    assert doubts(plan(toy(), ""), []) == ()


def test_the_reference_is_the_first_trained_arm_that_claims_an_equal_budget():
    short, long = (override(Run(), {"method": "simclr", "optimiser.epochs": n}) for n in (2, 3))
    excused = Budget.of(short, "excused", unequal="why")
    claims, claims_too = Budget.of(long, "claims"), Budget.of(long, "too")
    nothing = Budget.of(override(Run(), {"method": "random"}), "random")
    found = list(differences([nothing, excused, claims, claims_too]))
    assert [(a.arm, b.arm, key) for a, b, key in found] == [("excused", "claims", "optimiser.epochs")]
    assert list(differences([nothing, excused])) == []


def finished(trial, records=None, history=()):
    cost = {} if records is None else {"records": records, "flops": 1.0}
    return Outcome(trial, "COMPLETE", history=history, cost=cost)


def test_the_report_says_where_runs_saw_other_numbers_of_records_after_all():
    made = plan(toy(), "")
    seen = {"simclr": 8192.0, "clef": 3072.0, "random": 0.0}
    (note,) = doubts(made, [finished(t, seen[t.arm.name]) for t in made.trials])
    assert note.endswith("3072 by clef; 8192 by simclr.")
    assert doubts(made, [finished(t, 8192.0) for t in made.trials]) == ()
    assert doubts(made, [finished(t) for t in made.trials]) == (), "runs from before it was counted"
    other = replace(made, ablation=toy(equal_budget=False))
    assert doubts(other, [finished(t, seen[t.arm.name]) for t in made.trials]) == ()


def test_the_report_names_the_runs_that_ended_collapsed():
    made = plan(toy(), "")
    flat = [{"epoch": 1, "embedding/effective_rank": 9.0}, {"epoch": 2, "embedding/effective_rank": 1.2}]
    fine = flat[::-1]
    told = doubts(made, [finished(t, history=flat if t.arm.name == "clef" else fine) for t in made.trials])
    why = "effective rank of the embedding 1.20, below 2"
    each = f"clef seed 0 ({why}); clef seed 1 ({why})"
    assert told == (f"The embedding of 2 runs looks collapsed after the last epoch: {each}.",)
