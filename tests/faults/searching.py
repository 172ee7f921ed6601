"""A small sweep of the same epochs: four configurations by random sampling, two of them at once."""

import experiment

from clef_ray.search import Float, Objective, Search, Stopping

SEARCH = Search(
    name="searching",
    question="Does the sweep survive?",
    expect="Yes.",
    space=(Float("loss.alpha", 0.0, 1.0),),
    objectives=(Objective("zeroshot/rsa", "maximize"),),
    configurations=4,
    sampler="random",
    seeds=(0,),
    fresh_seeds=(100,),
    start=({"loss.alpha": 0.2},),
    stopping=Stopping(rule="asha", grace=2, reduction=2),
    headline=experiment.ABLATION.headline,
    tasks=experiment.ABLATION.tasks,
    settings={**experiment.ABLATION.settings, "method": "clef"},
)
