"""What the fault tests run: two arms, two seeds, epochs of about a second."""

from clef_ray.ablation import Ablation, Arm

EPOCHS = 6
SEEDS = (0, 1)
ARMS = (
    Arm("clef", {"method": "clef"}, "methods"),
    Arm("simclr", {"method": "simclr"}, "methods"),
)

ABLATION = Ablation(
    name="faults",
    question="Does the sweep survive?",
    expect="Yes.",
    arms=ARMS,
    base="clef",
    seeds=SEEDS,
    headline=("zeroshot/rsa",),
    tasks=("score_spearman:permutations=9",),
    settings={
        "signals.fs": 100,
        "signals.seconds": 5,
        "views.lead": "I",
        "optimiser.batch": 32,
        "optimiser.epochs": EPOCHS,
    },
)
