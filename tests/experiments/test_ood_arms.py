"""Losses x out-of-distribution targets x label fraction: which losses, at what budget."""

from experiment_files import load

from clef_ray.ablation import plan
from clef_ray.config import flatten, to_dict

#: method.md section 8: the losses of the question, as method and pairs.
LOSSES = {
    "simclr", "clef", "moco", "byol", "clocs-cmsc", "clocs-cmlc", "clocs-cmsmlc", "leaves", "cpc", "pclr", "supervised", "random",
}  # fmt: skip


def test_every_loss_of_the_question_has_an_arm():
    ablation = load("ood_low_resource")[0]
    names = {arm.settings["method"] for arm in ablation.every if arm.settings["method"] != "clocs"}
    names |= {
        f"clocs-{a.settings.get('method.pairs', 'cmsc')}"
        for a in ablation.every
        if a.settings["method"] == "clocs"
    }
    assert names == LOSSES
    parts = [arm for arm in ablation.arms if arm.settings["method"] == "clef" and not arm.against]
    assert [{k: v for k, v in a.settings.items() if k != "method"} for a in parts] == [
        {}, {"loss.lambda_d": 0}, {"loss.lambda_w": 0},
    ]  # fmt: skip


def test_the_rivals_have_the_bases_encoder_records_and_rate():
    """What differs is the method with its loss; leads of the views only of those whose positives are two leads."""
    trials = plan(load("ood_low_resource")[0], "", seeds=1, arms=["all"]).trials
    flat = {t.arm.name: flatten(to_dict(t.run.canonical())) for t in trials}
    for name, own in flat.items():
        base = flat["simclr"]
        keys = {key for key in own.keys() | base.keys() if own.get(key) != base.get(key)}
        allowed = {
            "method",
            "loss",
            "score",
            "imputation",
            *(["views"] if name in ("clocs-cmlc", "clocs-cmsmlc") else []),
        }
        if name != "random":  # which has no epochs
            assert {key.partition(".")[0] for key in keys} <= allowed, name
