"""How many negatives does clinically-guided pretraining need?

CLEF's guided loss and plain NT-Xent, each with 1, 7, 31 and 127 negatives per anchor. The batch stays the same (128 records, 254
candidates): negatives are a seeded uniform sample per anchor and step, the same pairs for both terms of the guided loss, so that only their
number varies and not the batch, its compute or its statistics.

Controls: `random`, the encoder as initialised, and `clef-127-permuted`, guidance by risks that were shuffled over patients. Whatever clef-127
gains over the permuted arm is what the *clinical* content of the risk is worth.

What to expect: with `mean1` weights the denominator grows with the number of negatives as in NT-Xent; more negatives should help zero-shot
Spearman up to a point. At the embedded budget (minutes on two cores) the answer is often "undetermined".

    python experiments/ablate_negatives.py                       synthetic cohort, four minutes on two cores
    python experiments/ablate_negatives.py --data /data/ptbxl    PTB-XL
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

NEGATIVES = (1, 7, 31, 127)

ABLATION = Ablation(
    name="ablate_negatives",
    question="How many negatives does clinically-guided pretraining need?",
    expect="More negatives help zero-shot Spearman up to a point; guidance by permuted risks does not help at all.",
    arms=(
        *(Arm(f"clef-{n}", {"method": "clef", "loss.negatives": n}, family="CLEF", x=n) for n in NEGATIVES),
        *(
            Arm(f"simclr-{n}", {"method": "simclr", "loss.negatives": n}, family="SimCLR", x=n)
            for n in NEGATIVES
        ),
        Arm("clef-127-permuted", {"method": "clef", "loss.negatives": 127, "score": "permuted"}),
        Arm("random", {"method": "random"}),
    ),
    base="clef-127",
    seeds=(0, 1, 2),
    tasks=("diagnosis", "score_spearman"),
    headline=("zeroshot/rsa", "zeroshot/readout", "zeroshot/axis", "probe/auroc", "probe/f1"),
    axis="negatives per anchor",
    settings={
        "signals.fs": 100,
        "signals.seconds": 5,  # half the published window: twice the training steps in the embedded budget
        "views.lead": "I",
        "optimiser.batch": 128,
        "optimiser.epochs": 8,
        "optimiser.lr": 1e-3,
    },
    smoke={"optimiser.epochs": 1, "optimiser.batch": 96},
    larger="--data synthetic:patients=20000 --seeds 5 --set signals.seconds=10 --set optimiser.epochs=50",
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
