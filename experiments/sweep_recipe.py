"""With which recipe of views and optimiser does pretraining beat the encoder that it starts from?

A linear readout of random convolutions is a strong rival where labelled patients are few, and pretraining can fall behind it: two views of one
and the same window tell the encoder to look at the place of the waves, which no diagnosis asks for. Searched are what a view shows (how much
of the window, noise, what is masked) and how it is learnt (learning rate, batch). The number of epochs is the budget, not part of the search.

The method is the user's: the same search for each, so that no rival is judged at another one's settings.

    python experiments/sweep_recipe.py                                              CLEF on the synthetic cohort
    python experiments/sweep_recipe.py --data /data/ptbxl --set method=byol         another method, PTB-XL
    python experiments/sweep_recipe.py --configurations 60                          more of the same study

Configurations are chosen on the validation fold; the winner and the first one, which is the recipe of this version, are then trained with fresh seeds and
judged on the test fold once. `experiments/beat_random.py` judges the recipe by rotation, every fold once.

What to expect: short views that each are cut elsewhere matter most, then the learning rate.
"""

from clef_ray.cli.experiment import main
from clef_ray.recipes import RECIPE
from clef_ray.search import Choice, Float, Objective, Search, Stopping

SEARCH = Search(
    name="sweep_recipe",
    question="With which recipe of views and optimiser does pretraining beat the encoder that it starts from?",
    expect="Short views that each are cut elsewhere matter most, then the learning rate.",
    space=(
        Choice("views.seconds", (1.5, 2.5, 5.0, 10.0)),
        Float("views.noise_mv", 0.0, 0.3),
        Float("views.mask_probability", 0.0, 1.0),
        Choice("optimiser.batch", (32, 64, 128)),
        Float("optimiser.lr", 3e-4, 1e-2, log=True),
    ),
    objectives=(Objective("probe/auroc", "maximize"),),
    configurations=16,
    seeds=(0, 1),
    stopping=Stopping(rule="none"),
    start=(
        {
            "views.seconds": 2.5,
            "views.noise_mv": 0.1,
            "views.mask_probability": 0.2,
            "optimiser.batch": 64,
            "optimiser.lr": 3e-3,
        },
    ),
    settings={**RECIPE, "method": "clef"},
)

if __name__ == "__main__":
    raise SystemExit(main(SEARCH))
