"""How many negatives does clinically-guided pretraining need?

CLEF's guided loss and plain NT-Xent, each with 1, 7, 31 and 127 negatives per anchor. The batch stays the same (128 records, 254
candidates): negatives are a seeded uniform sample per anchor and step, the same pairs for both terms of the guided loss, so that only their
number varies and not the batch, its compute or its statistics.

Controls: `random`, the encoder as initialised, and `clef-127-permuted`, guidance by risks that were shuffled over patients. Whatever clef-127
gains over the permuted arm is what the *clinical* content of the risk is worth.

What to expect: with `mean1` weights the denominator grows with the number of negatives as in NT-Xent; more negatives should help zero-shot
Spearman up to a point. At the embedded budget (minutes on two cores) the answer is often "undetermined".

Asked for by name: the other two normalisations of the weights at every count (with `softmax`, the published one, the negatives' sum is a mean
and the count drops out of the denominator), how 31 negatives are chosen, and counts beyond the batch from a queue of past embeddings.

    python experiments/ablate_negatives.py                       synthetic cohort, four minutes on two cores
    python experiments/ablate_negatives.py --data /data/ptbxl    PTB-XL
    python experiments/ablate_negatives.py --arms "clef-*" "softmax-*" "none-*"     negatives x weight_norm
    python experiments/ablate_negatives.py --arms clef-127 "choose-*"               which 31 negatives
    python experiments/ablate_negatives.py --arms clef-127 simclr-127 "*-queue-*"   beyond the batch
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main
from clef_ray.recipes import EMBEDDED_BUDGET

NEGATIVES = (1, 7, 31, 127)
CHOICES = ("random", "hardest", "risk_near", "risk_far", "stratified")
IN_BATCH = 2 * EMBEDDED_BUDGET["optimiser.batch"] - 2
BEYOND = (510, 1022)  # the batch, and one or three earlier ones in the queue
FAMILIES = {"clef": "CLEF", "simclr": "SimCLR"}

ABLATION = Ablation(
    name="ablate_negatives",
    question="How many negatives does clinically-guided pretraining need?",
    expect="More negatives help zero-shot Spearman up to a point; guidance by permuted risks does not help at all.",
    arms=(
        *(
            Arm(f"{method}-{n}", {"method": method, "loss.negatives": n}, family=family, x=n)
            for method, family in FAMILIES.items()
            for n in NEGATIVES
        ),
        Arm("clef-127-permuted", {"method": "clef", "loss.negatives": 127, "score": "permuted"}),
        Arm("random", {"method": "random"}),
    ),
    more=(
        *(
            Arm(
                f"{norm}-{n}",
                {"method": "clef", "loss.negatives": n, "loss.weight_norm": norm},
                family=f"CLEF weights {norm}",
                x=n,
            )
            for norm in ("none", "softmax")
            for n in NEGATIVES
        ),
        *(
            Arm(
                f"choose-{choice}",
                {"method": "clef", "loss.negatives": 31, "loss.choose": choice},
                family="31 negatives of CLEF",
            )
            for choice in CHOICES
        ),
        *(
            Arm(
                f"{method}-queue-{n}",
                {"method": method, "loss.negatives": n, "loss.queue": n - IN_BATCH},
                family=f"{family} queue",
                x=n,
            )
            for method, family in FAMILIES.items()
            for n in BEYOND
        ),
    ),
    base="clef-127",
    seeds=(0, 1, 2),
    headline=("zeroshot/rsa", "zeroshot/readout", "zeroshot/axis", "probe/auroc", "probe/f1"),
    axis="negatives per anchor",
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
