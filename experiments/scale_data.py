"""How much do more patients in pretraining help, at home and under a shift?

Encoders pretrained on 10, 20, 40 and 80 % of the patients (1, 2, 4 and all 8 training folds, each inside the next), with CLEF's guided loss
and with NT-Xent. All are judged on the same patients, and their readouts learn from the same training folds 1-8: only what pretraining saw
varies. At home, and on `shifted`, other people with a wearable device, older and more often ill: AUROC of the diagnoses, how far the two
corpora lie apart in the embedding (`mmd2`, `domain_auc`, smaller is closer), and zero-shot RSA. `shift/mmd2` without a target is the control:
training against test patients of the same corpus, near 0 unless the encoder treats those differently whom it was trained on.

Equal optimiser steps, not equal epochs: with a tenth of the patients an epoch is a tenth of the steps, so that at equal epochs the arms
would differ in how long they were trained, and a gain of more data could not be told from a gain of more training. So the epochs and those of
warm-up are 8 / (number of folds) times as many. The price: the fewer the patients, the more often each is seen, which is what few data means.
In the embedded cohort every arm takes 64 steps. The `epochs-*` arms, asked for by name, see every patient equally often instead.

Control: `random`, the encoder as initialised: no patients at all.

What to expect: AUROC rises with patients and levels off; the distance between the corpora need not fall, since pretraining sees one device
only. At the embedded budget 64 steps may be too few for 100 patients to be a limit: then the curve is flat, and says so.

    python experiments/scale_data.py                                                     synthetic corpora, ten minutes on two cores
    python experiments/scale_data.py --data /data/ptbxl --target shifted=/data/code15    PTB-XL, tried on CODE-15
    python experiments/scale_data.py --arms "simclr-*" "epochs-simclr-*"                 equal steps against equal epochs
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main
from clef_ray.recipes import EMBEDDED_BUDGET

TRAIN = (1, 2, 3, 4, 5, 6, 7, 8)
FOLDS = (1, 2, 4, 8)
FAMILIES = {"clef": "CLEF", "simclr": "SimCLR"}
EPOCHS = EMBEDDED_BUDGET["optimiser.epochs"]


def share(folds: int) -> int:
    """The patients of so many folds [% of all ten]."""
    return 10 * folds


ABLATION = Ablation(
    name="scale_data",
    question="How much do more patients in pretraining help, at home and under a shift?",
    expect="AUROC rises with patients and levels off; the distance between the corpora need not fall.",
    arms=(
        *(
            Arm(
                f"{method}-{share(n)}",
                {
                    "method": method,
                    "train_folds": TRAIN[:n],
                    "optimiser.epochs": EPOCHS * 8 // n,
                    "optimiser.warmup_epochs": 8 / n,
                },
                family=family,
                x=share(n),
            )
            for method, family in FAMILIES.items()
            for n in sorted(FOLDS, reverse=True)
        ),
        Arm("random", {"method": "random"}),
    ),
    more=tuple(
        Arm(
            f"epochs-{method}-{share(n)}",
            {"method": method, "train_folds": TRAIN[:n]},
            family=f"{family} equal epochs",
            x=share(n),
        )
        for method, family in FAMILIES.items()
        for n in sorted(FOLDS, reverse=True)
    ),
    base="clef-80",
    seeds=(0, 1, 2),
    axis="patients in pretraining [% of the corpus]",
    tasks=("diagnosis", "score_spearman", "shift"),
    headline=(
        "probe/auroc",
        "shifted/probe/auroc",
        "shifted/shift/mmd2",
        "shifted/shift/domain_auc",
        "shift/mmd2",
        "zeroshot/rsa",
        "shifted/zeroshot/rsa",
    ),
    larger="--data synthetic:patients=20000 --seeds 5 --set signals.seconds=10",  # the arms' epochs are their own
    # A tenth of the small cohort is 25 patients.
    smoke={"optimiser.batch": 16},
    targets={
        "shifted": "synthetic:patients=400,seed=9,records_per_patient=1,device=wearable,common_age=75,prevalence=2",
    },
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
