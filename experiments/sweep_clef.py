"""Which setting of the guided loss serves both ends: embeddings ordered by clinical risk, and diagnoses that a linear readout finds?

A search in place of arms: α, the number of negatives, the temperature, the score that guides, the mask of incomplete covariates, the learning
rate and the augmentation are sampled by TPE; the two objectives, zero-shot RSA with SCORE2 and the probe's AUROC, make a Pareto front. The
first configuration is the default one, so that the gain over it is an answer of the study.

A configuration is trained with two seeds and told as their mean. Its first seed is judged on the way (successive halving by the RSA of the
validation patients): a configuration that falls behind is stopped, and its second seed is never started.

Nothing here sees the test patients: configurations are chosen on the validation fold. At the end the winner and the default are trained with
three fresh seeds, evaluated on the test fold once, and the winner is registered in MLflow.

What to expect: a temperature that is too low hurts most, then the learning rate; the score matters little, since age carries most of it.

    python experiments/sweep_clef.py                          synthetic cohort, 24 configurations, minutes on two cores
    python experiments/sweep_clef.py --configurations 100     more of the same study: the ones that are done stay
    python experiments/sweep_clef.py --smoke                  shows that everything works
"""

from clef_ray.cli.experiment import main
from clef_ray.recipes import EMBEDDED_BUDGET
from clef_ray.search import Choice, Float, Int, Objective, Search, Stopping

SEARCH = Search(
    name="sweep_clef",
    question="Which setting of the guided loss serves both ends: embeddings ordered by clinical risk, and diagnoses that a linear readout finds?",
    expect="Temperature and learning rate matter most; the score that guides matters little.",
    space=(
        Float("loss.alpha", 0.0, 1.0),
        Int("loss.negatives", 1, 2 * EMBEDDED_BUDGET["optimiser.batch"] - 2, log=True),
        Float("loss.temperature", 0.02, 0.5, log=True),
        Choice("score", ("score2", "age", "framingham", "cha2ds2_vasc")),
        Choice("loss.mask", ("neutral", "none", "mirrored")),
        Float("optimiser.lr", 1e-4, 1e-2, log=True),
        Float("views.noise_mv", 0.0, 0.2),
        Float("views.mask_probability", 0.0, 0.8),
    ),
    objectives=(Objective("zeroshot/rsa", "maximize"), Objective("probe/auroc", "maximize")),
    configurations=24,
    seeds=(0, 1),
    stopping=Stopping(rule="asha", metric="valid/rsa", grace=2, reduction=2),
    start=(
        {
            "loss.alpha": 0.2,
            "loss.negatives": 127,
            "loss.temperature": 0.07,
            "score": "score2",
            "loss.mask": "neutral",
            "optimiser.lr": 1e-3,
            "views.noise_mv": 0.1,
            "views.mask_probability": 0.2,
        },
    ),
    settings={**EMBEDDED_BUDGET, "method": "clef"},
)

if __name__ == "__main__":
    raise SystemExit(main(SEARCH))
