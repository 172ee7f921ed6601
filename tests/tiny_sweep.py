"""What the hosts here run: one arm, one seed, epochs of about a second."""

from clef_ray.ablation import Ablation, Arm

EPOCHS = 5

ABLATION = Ablation(
    name="tiny",
    question="Does it go on elsewhere?",
    expect="Yes.",
    arms=(Arm("simclr", {"method": "simclr"}, "methods"),),
    base="simclr",
    seeds=(0,),
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
