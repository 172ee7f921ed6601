"""The picture of all risk scores at once."""

from dataclasses import replace

import numpy as np
import pytest
from ablation_outcomes import complete, toy_plan

from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.result import TaskResult
from clef_ray.report import by_corpus, compare
from clef_ray.report._scene import Scene
from clef_ray.report.overall import _aside

ONE = {"rsa": 0.2, "rsa_age": 0.3, "rsa_permuted": 0.01, "readout": 0.5, "readout_age": 0.6}


def agreement(prefixed, counts):
    """The pictures of one arm and seed. prefixed: what a score's metrics begin with -> what is added to ONE."""
    made = toy_plan(seeds=(0,)).on("d" * 16, targets={"all": "f" * 16})
    trial = next(t for t in made.trials if t.arm.name == "clef-31")
    estimates = {
        f"{prefix}/{name}": Estimate(
            v + more, v + more - 0.1, v + more + 0.1, v + more + np.linspace(-0.1, 0.1, 50)
        )
        for prefix, more in prefixed.items()
        for name, v in ONE.items()
    }
    found = [replace(complete(trial, 0.8), results={"task": TaskResult(estimates, counts)})]
    return by_corpus.agreement(Scene.of(made, found, compare(made, found)))


def test_all_scores_are_one_picture_with_a_panel_per_statistic_and_their_controls():
    counts = {"zeroshot/all/age/n_patients": 90.0, "zeroshot/all/prevent-hf/n_patients": 40.0}
    (drawing,) = agreement({"zeroshot/all/age": 0.0, "zeroshot/all/prevent-hf": 0.1}, counts)
    assert drawing.title == "agreement with every risk score: zeroshot/all"
    rsa, readout = drawing.figure.axes
    assert [tick.get_text() for tick in rsa.get_yticklabels()] == ["age", "prevent-hf"]
    assert rsa.get_xlabel() == "rsa"
    assert readout.get_xlabel().startswith("readout\nSpearman")
    dots = {k: [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_label() == "clef-31"]
            for k, axes in (("rsa", rsa), ("readout", readout))}  # fmt: skip
    assert dots["rsa"] == [(pytest.approx(0.2), 0), (pytest.approx(0.3), 1)]
    assert dots["readout"] == [(pytest.approx(0.5), 0), (pytest.approx(0.6), 1)]
    (age,) = [line for line in readout.lines if line.get_label() == "age only"]
    np.testing.assert_allclose(age.get_xdata(), [0.6, 0.7])
    assert "n = 90 of the test patients (age), 40 of the test patients (prevent-hf)." in drawing.caption
    assert "rsa: age clef-31 0.200; prevent-hf clef-31 0.300" in drawing.alt


def test_scores_that_are_known_of_the_same_people_are_counted_once():
    counts = {f"zeroshot/all/lead_II/{name}/n_patients": 90.0 for name in ("age", "sex")}
    (drawing,) = agreement({"zeroshot/all/lead_II/age": 0, "zeroshot/all/lead_II/sex": 0}, counts)
    assert "n = 90 of the test patients." in drawing.caption


def test_a_corpus_that_is_called_all_is_not_taken_for_all_scores():
    drawn = agreement({"all/zeroshot": 0.0, "all/zeroshot/age": 0.0, "all/zeroshot/all/age": 0.0}, {})
    assert {drawing.title for drawing in drawn} == {
        "agreement with the risk score: all/zeroshot",
        "agreement with the risk score: all/zeroshot/age",
        "agreement with every risk score: all/zeroshot/all",
    }


def test_scores_of_the_same_people_are_no_tasks_to_be_averaged_over():
    apart = ("zeroshot/all/age/rsa", "far/zeroshot/all/lead_II/sex/rsa", "identification_finetuned/4s/auroc")
    assert all(_aside(metric) for metric in apart)
    assert not any(_aside(metric) for metric in ("zeroshot/rsa", "all/zeroshot/age/rsa", "probe/all/auroc"))
