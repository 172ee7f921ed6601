"""The picture of few labels: what other draws of training patients would have given."""

from dataclasses import replace

import numpy as np
import pytest
from ablation_outcomes import complete, toy_plan

from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.result import TaskResult
from clef_ray.report import compare, few_labels
from clef_ray.report._scene import Scene


def picture(extras):
    """Of one arm and two seeds; extras: of each seed, of the task that learns from 1 %."""
    made = toy_plan(seeds=(0, 1))
    found = []
    for trial in (t for t in made.trials if t.arm.name == "clef-31"):
        values = {"probe/f1": 0.9, "probe/1pct/f1": 0.5}
        estimates = {
            n: Estimate(v, v - 0.1, v + 0.1, v + np.linspace(-0.1, 0.1, 9)) for n, v in values.items()
        }
        own = {f"probe/1pct/{name}": value for name, value in extras[trial.seed].items()}
        found.append(replace(complete(trial, 0.8), results={"task": TaskResult(estimates, own)}))
    (drawing,) = few_labels.few_labels(Scene.of(made, found, compare(made, found)))
    return drawing, [line for line in drawing.figure.axes[0].lines if line.get_marker() == "_"]


def test_dashes_are_the_mean_over_seeds_of_the_ends_over_draws():
    ends = ({"f1_low_draws": 0.40, "f1_high_draws": 0.60}, {"f1_low_draws": 0.44, "f1_high_draws": 0.58})
    drawing, (dashes,) = picture(ends)
    assert dashes.get_ydata() == pytest.approx([0.42, 0.59])
    assert dashes.get_xdata() == pytest.approx([1, 1])
    assert "dashes: its 95 % t interval over these draws" in drawing.caption


def test_results_from_before_draws_had_an_interval_are_drawn_without():
    drawing, dashes = picture(({"f1_sd_draws": 0.1}, {"f1_sd_draws": 0.1}))
    assert dashes == []
    assert drawing.caption.endswith("Each amount is the mean over its draws of training patients.")
