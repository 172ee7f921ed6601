"""Which pretraining objective is worth most at an equal budget?

Every method under one roof, by the recipe with which pretraining beats the random encoder on real ECGs (`RECIPE` in clef_ray/recipes.py):
the same encoder (CLEF-S) from the same initial weights, the same records seen equally often, the same augmentations to draw from, no tuning of
any (`equal_budget`, defined in clef_ray/budget.py; an arm that differs is refused or says why). What a method makes of it is its own: FLOPs,
seconds and memory stand under Costs, and a picture shows accuracy against FLOPs.

Contrast of views: `simclr` (NT-Xent on the encoder's output) and `simclr-mlp2` (with its projection head), `moco`, `clef` (guided by risk),
`clocs-cmsc` (halves of a window), `leaves` (learnt views), `pclr` (two records of a patient). Without negatives: `byol`, `vicreg`, `barlow`.
Prediction: `cpc`. Reconstruction needs an encoder with patches: `masked` (and `crt`, when asked for) beside `simclr-vit` on a ViT, with a
control of its own.
`supervised` learns from the training patients' diagnoses, which no other one may see; it is what the labels are worth.

PCLR takes two records of a patient, and leaves out patients with one: of the embedded cohort 200 of 818 training patients have two, so that it
sees six records where the others see sixteen, and the report says so. `pclr-records`, asked for by name, trains 27 epochs instead of 10
and sees as many records as the others (10368 and 10240), each of its own more often. `clocs-cmlc` and `clocs-cmsmlc` need views of two leads.

Controls: `random` and `random-vit`, the encoders as initialised: what is not above them has learnt nothing that is asked for here.

Judged at home: linear readout and nearest neighbours of the diagnoses, five patients of each, and zero-shot agreement with SCORE2.

What to expect: supervised is first in the readout, since it knows the diagnoses; contrast with many augmented pairs beats random
there; negatives-free methods fall behind at batches of 64. At minutes of training many will not be told from random.

    python experiments/compare_objectives.py                                      synthetic cohort, 3 seeds
    python experiments/compare_objectives.py --data /data/ptbxl --seeds 5         PTB-XL
    python experiments/compare_objectives.py --arms simclr "clocs-*" random       also across leads
    python experiments/compare_objectives.py --arms simclr pclr pclr-records random
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main
from clef_ray.recipes import RECIPE

VIT = {"encoder": "vit", "encoder.patch": 25}  # a quarter of a second at 100 Hz, ten to a view
LEADS = {"method": "clocs", "views.lead": "random", "views.same_lead": 0}
TWO_LEADS = "its positives are two leads of a record, so its views draw leads"
OBJECTIVES, ON_VIT = "objectives", "objectives on ViT"

ABLATION = Ablation(
    name="compare_objectives",
    question="Which pretraining objective is worth most at an equal budget?",
    expect="Supervised leads the readout, contrast beats random there, negatives-free methods fall behind; minutes of training tell few apart.",
    arms=(
        Arm("simclr", {"method": "simclr"}, family=OBJECTIVES),
        Arm("simclr-mlp2", {"method": "simclr", "method.head": "mlp2"}, family=OBJECTIVES),
        Arm("clef", {"method": "clef"}, family=OBJECTIVES),
        Arm("moco", {"method": "moco"}, family=OBJECTIVES),
        Arm("byol", {"method": "byol"}, family=OBJECTIVES),
        Arm("clocs-cmsc", {"method": "clocs"}, family=OBJECTIVES),
        Arm("vicreg", {"method": "vicreg"}, family=OBJECTIVES),
        Arm("barlow", {"method": "barlow"}, family=OBJECTIVES),
        Arm("pclr", {"method": "pclr"}, family=OBJECTIVES),
        Arm("cpc", {"method": "cpc"}, family=OBJECTIVES),
        Arm("leaves", {"method": "leaves"}, family=OBJECTIVES),
        Arm("supervised", {"method": "supervised"}, family=OBJECTIVES),
        Arm("simclr-vit", {"method": "simclr", **VIT}, family=ON_VIT),
        Arm("masked", {"method": "masked", **VIT}, family=ON_VIT),
        Arm("random", {"method": "random"}),
        Arm("random-vit", {"method": "random", **VIT}),
    ),
    more=(
        Arm("crt", {"method": "crt", **VIT}, family=ON_VIT),
        Arm("clocs-cmlc", {**LEADS, "method.pairs": "cmlc"}, family=OBJECTIVES, unequal=TWO_LEADS),
        Arm("clocs-cmsmlc", {**LEADS, "method.pairs": "cmsmlc"}, family=OBJECTIVES, unequal=TWO_LEADS),
        Arm(
            "pclr-records",
            {"method": "pclr", "optimiser.epochs": 27},
            family=OBJECTIVES,
            unequal="an epoch is 6 steps of patients with two records, where it is 16 of the others",
        ),
    ),
    base="simclr",
    seeds=(0, 1, 2),
    tasks=("diagnosis", "diagnosis:mode=knn", "diagnosis:shots=5", "score_spearman"),
    headline=(
        "probe/auroc",
        "knn/auroc",
        "probe/5shot/auroc",
        "zeroshot/rsa",
        "zeroshot/rsa_beyond",
        "zeroshot/readout",
    ),
    settings=RECIPE,
    equal_budget=True,
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
