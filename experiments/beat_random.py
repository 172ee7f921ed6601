"""Does pretraining beat the encoder that it starts from, on a data set as small as one hospital's?

The bar that is easily missed: the random encoder, as initialised, under a linear readout. One recipe for all four methods (`RECIPE` in
clef_ray/recipes.py: two views of 2.5 s, each cut from the window by itself), found by `experiments/sweep_recipe.py` on the validation fold. BYOL alone has
settings of its own, found likewise: the paper's projector, a copy that follows faster than in the paper, where 240 steps would leave it where it began, and a
third of the learning rate.

`simclr-whole` shows what the recipe is worth: the same, but both views show the whole window, as CLEF's published recipe does.

    python experiments/beat_random.py                                               the synthetic cohort, 5 seeds, the official test fold
    python experiments/beat_random.py --data /data/ptbxl --rotate                   PTB-XL, each fold once as the test
    python experiments/beat_random.py --data /data/ptbxl --rotate 1 2 --seeds 2     a first look

What to expect: all four above random in the readout; the whole window at most equal to it.
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main
from clef_ray.recipes import RECIPE

ABLATION = Ablation(
    name="beat_random",
    question="Does pretraining beat the encoder that it starts from, on a data set as small as one hospital's?",
    expect="CLEF, SimCLR, MoCo and BYOL stand above random in the readout; views of the whole window do not.",
    arms=(
        Arm("random", {"method": "random"}, family="methods"),
        Arm("clef", {"method": "clef"}, family="methods"),
        Arm("simclr", {"method": "simclr"}, family="methods"),
        Arm("moco", {"method": "moco"}, family="methods"),
        Arm(
            "byol",
            {"method": "byol", "method.head": "byol", "method.ema": 0.99, "optimiser.lr": 1e-3},
            family="methods",
        ),
    ),
    more=(Arm("simclr-whole", {"method": "simclr", "views.seconds": 10}, family="methods"),),
    base="random",
    seeds=(0, 1, 2, 3, 4),
    tasks=("diagnosis", "score_spearman"),
    headline=("probe/auroc", "zeroshot/rsa"),
    settings=RECIPE,
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
