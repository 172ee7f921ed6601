"""Configuration: strict, typed, and one fingerprint per piece of science."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray import config
from clef_ray.cli import main
from clef_ray.config import (
    Run,
    Signals,
    Spec,
    evaluation_fingerprint,
    fingerprint,
    flatten,
    from_dict,
    override,
    spec,
    task_spec,
    to_dict,
)
from clef_ray.errors import ConfigError
from clef_ray.registry import LOSSES, METHODS


def test_a_run_survives_the_way_to_json_and_back():
    run = override(
        Run(data="abc", seed=3), {"loss": "guided", "loss.alpha": 0.1, "optimiser.epochs": 7}
    ).canonical()
    assert from_dict(Run, to_dict(run)) == run


def test_strings_from_the_command_line_become_the_types_of_the_switches():
    run = override(
        Run(), {"optimiser.epochs": "7", "signals.band": "0.5, 30", "loss.negatives": "31", "loss.alpha": "0"}
    )
    assert run.optimiser.epochs == 7
    assert run.signals.band == (0.5, 30.0)
    assert dict(run.loss.options)["negatives"] == 31
    assert dict(run.loss.options)["alpha"] == 0.0
    assert dict(override(run, {"loss.negatives": "none"}).loss.options)["negatives"] is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer.epochs": 3}, ["optimizer.epochs", "optimiser.epochs"]),
        ({"optimiser.epoch": 3}, ["optimiser.epoch", "Did you mean 'optimiser.epochs'"]),
        ({"optimiser.epochs": "many"}, ["optimiser.epochs", "'many'", "int"]),
        ({"optimiser.epochs": 1.5}, ["1.5", "int"]),
        ({"optimiser.epochs": True}, ["True", "int"]),
        ({"loss": "guide"}, ["unknown loss 'guide'", "Did you mean 'guided'"]),
        ({"loss.alpa": 1}, ["alpa", "Did you mean 'alpha'"]),
        ({"score": "score3"}, ["unknown risk score", "Did you mean 'score2'"]),
        ({"score.region": "moon"}, ["moon", "moderate"]),
        ({"imputation": "mean"}, ["mean", "centre"]),
        ({"missingness.rate": 1.5}, ["missingness.rate: 1.5", "0 to 1"]),
        ({"missingness.rate": "nan"}, ["missingness.rate: nan", "0 to 1"]),
        ({"missingness.mechanism": "mcr"}, ["mcr", "Did you mean 'mcar'"]),
        ({"missingness.rates": 0.1}, ["missingness.rates", "Did you mean 'missingness.rate'"]),
        ({"batches": "stratified"}, ["stratified", "Did you mean 'risk_stratified'"]),
        ({"batches": "risk_stratified", "score": "none"}, ["risk_stratified", "set score=NAME"]),
        ({"loss.preset": "publised"}, ["preset of loss 'guided'", "Did you mean 'published'"]),
        ({"loss.preset": 3}, ["preset of loss 'guided' '3'", "default, paper, published"]),
        ({"loss": "ntxent", "loss.preset": "paper"}, ["loss.preset", "loss 'ntxent' has no presets"]),
        ({"method": "simclr", "loss.preset": "paper"}, ["loss 'ntxent' has no presets"]),
        ({"score.preset": "paper"}, ["score.preset", "risk score 'score2' has no presets"]),
        ({"loss.presets": "paper"}, ["Did you mean 'preset'"]),
        ({"method": "random", "loss.preset": "paper"}, ["loss.preset: no loss is chosen"]),
        ({"encoder.size": "XL"}, ["XL", "S"]),
        ({"encoder": "none"}, ["encoder 'none'", "clef"]),
        ({"method": "none"}, ["method 'none'", "simclr"]),
        ({"optimiser.epochs": 0}, ["optimiser.epochs: 0", "1 to"]),
        ({"optimiser.lr": "nan"}, ["optimiser.lr: nan"]),
        ({"optimiser.betas": "2,3"}, ["optimiser.betas", "0 to 1"]),
        ({"signals.seconds": 0}, ["signals.seconds", "1 to"]),
        ({"signals.fs": 60}, ["signals.band", "fs/2 = 30"]),
        ({"views.same_lead": 7}, ["views.same_lead", "0 to 1"]),
        ({"views.mask_share": "0.9,0.1"}, ["views.mask_share", "low <= high"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(settings, words):
    with pytest.raises(ConfigError) as error:
        override(Run(), settings)
    for word in words:
        assert word in str(error.value)


def test_the_fingerprint_covers_the_science_and_nothing_else():
    base = Run(data="abc")
    different = [
        {"optimiser.lr": 2e-4},
        {"loss.alpha": 0.3},
        {"score.region": "low"},
        {"method": "simclr"},
        {"signals.fs": 100},
        {"seed": 1},
        {"optimiser.precision": "bf16"},
    ]
    marks = [override(base, d).fingerprint() for d in different]
    assert len({base.fingerprint(), *marks}) == len(different) + 1
    assert replace(base, data="other").fingerprint() != base.fingerprint()
    assert override(base, {"loss": "guided"}).fingerprint() == base.fingerprint(), (
        "the method's default, spelled out"
    )
    assert override(base, {"optimiser.lr": "1e-4"}).fingerprint() == base.fingerprint(), (
        "the default, as text"
    )


def test_a_new_evaluation_version_evaluates_again_and_trains_nothing_again(monkeypatch):
    run, task = Run(data="abc"), task_spec("score_spearman")
    first = fingerprint({"run": run.fingerprint(), "task": task.to_dict(), "data": "abc"})
    before = (run.fingerprint(), evaluation_fingerprint(run, task, "abc"))
    assert before[1] != first, "results from before there was a version are not taken"
    monkeypatch.setattr(config, "EVALUATION_VERSION", config.EVALUATION_VERSION + 1)
    assert run.fingerprint() == before[0]
    assert evaluation_fingerprint(run, task, "abc") != before[1]


def test_the_order_of_settings_and_the_spelling_of_numbers_do_not_matter():
    one = override(Run(), {"loss.alpha": "0.5", "loss": "guided", "signals.fs": 100})
    other = override(Run(), {"signals.fs": "100.0", "loss": "guided", "loss.alpha": 0.5})
    assert one.fingerprint() == other.fingerprint()
    assert dict(one.loss.options)["alpha"] == 0.5
    assert Run(signals=Signals(fs=100)).fingerprint() == Run(signals=Signals(fs=100.0)).fingerprint()


def test_switches_that_a_method_never_reads_do_not_make_another_run():
    simclr = override(Run(), {"method": "simclr"})
    assert override(simclr, {"score.region": "low"}).fingerprint() == simclr.fingerprint()
    random = override(Run(), {"method": "random"})
    assert override(random, {"optimiser.lr": 1.0, "views.noise_mv": 0}).fingerprint() == random.fingerprint()
    assert override(random, {"seed": 1}).fingerprint() != random.fingerprint()


@pytest.mark.parametrize("loss", ["guided", "ntxent"])
def test_how_negatives_are_chosen_matters_only_where_they_are_chosen(loss):
    base = override(Run(), {"loss": loss})
    assert override(base, {"loss.choose": "hardest"}).fingerprint() == base.fingerprint()
    some = override(base, {"loss.negatives": 7})
    assert override(some, {"loss.choose": "hardest"}).fingerprint() != some.fingerprint()
    assert override(some, {"loss.choose": "hardest"}).canonical().loss == spec(
        LOSSES, loss, {"negatives": 7, "choose": "hardest"}
    )


def test_the_share_of_equal_leads_matters_only_where_leads_are_drawn():
    base, fixed = Run(), override(Run(), {"views.lead": "II"})
    assert override(fixed, {"views.same_lead": 0.3}).fingerprint() == fixed.fingerprint()
    assert override(fixed, {"views.same_lead": 0.3}).canonical().views.lead == "II"
    assert override(base, {"views.same_lead": 0.3}).fingerprint() != base.fingerprint()


@given(
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["clef", "simclr", "random"]),
            "loss.choose": st.sampled_from(["random", "hardest"]),
            "loss.negatives": st.sampled_from([None, 7]),
            "views.lead": st.sampled_from(["random", "I"]),
            "views.same_lead": st.sampled_from([0.0, 0.8]),
            "missingness.mechanism": st.sampled_from(["none", "mar"]),
            "batches": st.sampled_from(["shuffled", "risk_stratified"]),
        }
    )
)
def test_the_canonical_run_is_its_own_canonical_run(settings):
    if settings["method"] == "random":
        settings["loss"] = "guided"
    run = override(Run(), settings).canonical()
    assert run.canonical() == run
    assert run.fingerprint() == override(Run(), settings).fingerprint()


@pytest.mark.parametrize("method", ["clef", "simclr", "random"])
def test_a_rate_of_missingness_needs_a_mechanism(method):
    """Whatever the method, and however late the mechanism is named."""
    rate = override(Run(), {"method": method, "missingness.rate": 0.3})
    for refused in (rate.canonical, rate.fingerprint):
        with pytest.raises(ConfigError, match=r"missingness.rate: 0.3 given .* mcar, mar or mnar"):
            refused()
    assert override(rate, {"missingness.mechanism": "mar"}).fingerprint()
    assert override(rate, {"missingness.rate": 0}).fingerprint()


def test_pretraining_refuses_a_rate_without_a_mechanism_before_the_data_are_made(tmp_path, capsys):
    storage = ["--storage", str(tmp_path / "new"), "--data", "synthetic:patients=20"]
    assert main(["pretrain", *storage, "--set", "missingness.rate=0.3"]) == 2
    assert "missingness.rate: 0.3" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_decides_the_batches_or_the_missing_covariates_is_science():
    base = Run(data="abc")
    gone = {"missingness.mechanism": "mcar", "missingness.rate": 0.3}
    different = [
        gone,
        {**gone, "missingness.mechanism": "mnar"},
        {**gone, "missingness.rate": 0.6},
        {"batches": "risk_stratified"},
        {"method": "simclr", "batches": "risk_stratified"},
        {"method": "simclr", "batches": "risk_stratified", **gone},
        {"method": "simclr", "batches": "risk_stratified", "imputation": "none"},
        {"method": "simclr", "batches": "risk_stratified", "score": "age"},
        {"method": "simclr"},
    ]
    assert (
        len({base.fingerprint(), *(override(base, d).fingerprint() for d in different)}) == len(different) + 1
    )
    simclr, random = ({"method": method} for method in ("simclr", "random"))
    for one, other in [
        (simclr, {**simclr, **gone}),
        (random, {**random, **gone, "batches": "risk_stratified"}),
        ({}, {"missingness.mechanism": "mar"}),
    ]:
        assert override(base, one).fingerprint() == override(base, other).fingerprint()


@pytest.mark.parametrize("name", ["published", "paper", "default"])
def test_a_preset_is_its_options_spelled_out(name):
    presets = LOSSES.get("guided").PRESETS
    spelled = {f"loss.{option}": value for option, value in presets[name].items()}
    by_name = override(Run(), {"loss.preset": name})
    assert by_name.fingerprint() == override(Run(), spelled).fingerprint()
    assert "preset" not in dict(by_name.loss.options)
    assert from_dict(Run, to_dict(by_name)) == by_name
    assert len({override(Run(), {"loss.preset": p}).fingerprint() for p in presets}) == len(presets)
    assert by_name.fingerprint() == from_dict(Run, {"loss": {"name": "guided", "preset": name}}).fingerprint()


def test_the_default_preset_is_the_default_and_undoes_another():
    assert override(Run(), {"loss.preset": "default"}).fingerprint() == Run().fingerprint()
    published = override(Run(), {"loss.preset": "published", "loss.alpha": 0.4})
    back = override(published, {"loss.preset": "default"})
    assert back.fingerprint() == override(Run(), {"loss.alpha": 0.4}).fingerprint(), (
        "what presets leave open stays"
    )


def test_options_override_a_preset_wherever_it_stands():
    settings = {"loss.mask": "mirrored", "loss.preset": "published", "loss": "guided", "loss.alpha": "0.4"}
    run = override(Run(), settings)
    options = dict(run.loss.options)
    assert (options["mask"], options["alpha"], options["weight_norm"]) == ("mirrored", 0.4, "softmax")
    assert run == override(Run(), dict(reversed(settings.items())))
    mapping = {"name": "guided", "mask": "mirrored", "preset": "published", "alpha": 0.4}
    assert from_dict(Run, {"loss": mapping}).loss == run.loss


def test_every_preset_holds_options_that_exist_with_values_that_are_allowed():
    for name in LOSSES.names():
        for preset in getattr(LOSSES.get(name), "PRESETS", {}):
            spec(LOSSES, name, {"preset": preset}).build(LOSSES)
    assert LOSSES.accepts("guided", "preset")
    assert LOSSES.accepts("guided", "alpha")
    assert not LOSSES.accepts("ntxent", "preset")
    assert not LOSSES.accepts("ntxent", "alpha")


@given(
    st.dictionaries(
        st.text(max_size=5), st.floats(allow_nan=False) | st.integers() | st.text(max_size=5), max_size=5
    )
)
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(content):
    assert fingerprint(content) == fingerprint(dict(reversed(list(content.items()))))


def test_flatten_names_components_by_their_own_key():
    flat = flatten(to_dict(Run().canonical()))
    assert flat["loss"] == "guided"
    assert flat["loss.temperature"] == 0.07
    assert flat["optimiser.epochs"] == 100


def test_a_task_is_written_as_name_and_options():
    task = task_spec("score_spearman:permutations=9,lead=II")
    assert task.name == "score_spearman"
    assert dict(task.options)["permutations"] == 9
    with pytest.raises(ConfigError, match="diagnosis"):
        task_spec("diagnosi")


def test_a_spec_holds_every_option_so_that_a_new_default_is_a_new_run():
    assert {k for k, _ in spec(LOSSES, "guided").options} == set(LOSSES.schema("guided"))
    assert spec(METHODS, "clef") == Spec("clef", (("head", "none"),))
