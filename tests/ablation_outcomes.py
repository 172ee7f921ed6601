"""A small ablation with outcomes whose numbers a test chooses, for the report's and the tracking's tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from clef_ray.ablation import Ablation, Arm, Outcome, Plan, Trial, plan
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.run import TaskResult

LINEAGE = {
    "data": "/data/shards/synthetic",
    "git_commit": "0123456789ab",
    "command": "python experiments/toy.py",
    "torch": "2.13.0",
}

#: What each bootstrap replicate's patients do to every arm alike.
LUCK = np.linspace(-0.05, 0.05, 201)


def toy(**changes: object) -> Ablation:
    fields = {
        "name": "toy",
        "question": "Do more negatives help? <b>&",
        "expect": "They do.",
        "arms": (
            *(Arm(f"clef-{n}", {"loss.negatives": n}, family="CLEF", x=n) for n in (1, 31)),
            *(
                Arm(f"simclr-{n}", {"method": "simclr", "loss.negatives": n}, family="SimCLR", x=n)
                for n in (1, 31)
            ),
            Arm("random", {"method": "random"}),
        ),
        "base": "clef-31",
        "seeds": (0, 1, 2),
        "tasks": ("diagnosis",),
        "headline": ("probe/auroc", "zeroshot/rsa"),
        "axis": "negatives per anchor",
        "settings": {},
        "larger": "--seeds 10",
    }
    return Ablation(**{**fields, **changes})


def toy_plan(**changes: object) -> Plan:
    return plan(toy(**changes), "d1a7a0000000000a")


def estimate(value: float, luck: np.ndarray = LUCK) -> Estimate:
    replicates = value + luck
    return Estimate(value, *np.percentile(replicates, [2.5, 97.5]), replicates)


def complete(trial: Trial, value: float, **extras: float) -> Outcome:
    """probe/auroc is `value`, zeroshot/rsa is value - 0.5, both with the common luck of the patients."""
    estimates = {
        "probe/auroc": estimate(value),
        "probe/auroc/AF": estimate(value + 0.01),
        "zeroshot/rsa": estimate(value - 0.5),
    }
    history = [{"epoch": epoch, "loss": 4.0 - epoch - value, "lr": 1e-3} for epoch in range(3)]
    result = TaskResult(estimates, {"probe/n_test": 40.0, **extras}, notes=("AFL left out",))
    seconds = {"pretrain": 2.0, "evaluate": 0.5}
    if trial.seed != 0:  # seed 0 was there already: what a sweep finds in the store has no wall time
        seconds["wall"] = 2.75
    return Outcome(trial, "COMPLETE", {"probe": result}, history, seconds)


def outcomes(made: Plan, values: Mapping[str, Sequence[float]]) -> list[Outcome]:
    """One complete outcome per trial of the arms named, values in the order of the seeds."""
    return [complete(t, values[t.arm.name][t.seed]) for t in made.trials if t.arm.name in values]


VALUES = {
    "clef-1": (0.80, 0.82, 0.84),
    "clef-31": (0.81, 0.84, 0.83),
    "simclr-1": (0.701, 0.702, 0.703),
    "simclr-31": (0.80, 0.80, 0.80),
    "random": (0.60, 0.62, 0.61),
}
