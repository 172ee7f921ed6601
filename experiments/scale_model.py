"""How much does a larger encoder help, and what does it cost?

CLEF's three sizes, S (0.4 M parameters), M (30.6 M) and L (296 M), as initialised and pretrained with CLEF's guided loss and with NT-Xent,
at an equal budget (clef_ray/budget.py): the same records seen equally often. FLOPs, seconds and memory stand under Costs, and a
picture shows accuracy against FLOPs.

M and L are for whoever has a GPU. They run on a CPU as well, for hours rather than minutes: so by default only S is trained, beside S and M
as initialised, and the others are asked for by name (`--dry-run` lists them and says how long what you ask for would take). Where a batch
does not fit, `--micro-batch 16` encodes it in pieces, with the same result; `--set optimiser.precision=bf16` halves the activations.

Controls: each size untrained. A larger random encoder has more features (256, 1024, 2048), and a linear readout of more features is
better or worse by itself: only the difference to its own control says what pretraining brought.

What to expect: at few patients nothing is gained beyond S; with a whole corpus M should lead S in the readout, and L little more.

    python experiments/scale_model.py                                                             S, and M untrained; synthetic cohort, 3 seeds
    python experiments/scale_model.py --arms all --data /data/ptbxl --gpus-per-worker 1                      all sizes on PTB-XL, on a GPU
    python experiments/scale_model.py --arms "clef-?" "random-?" --micro-batch 32 --gpus-per-worker 1
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main


def trained(size: str) -> tuple[Arm, ...]:
    """The size under both objectives."""
    return tuple(
        Arm(f"{method}-{size}", {"method": method, "encoder.size": size}, family="pretrained")
        for method in ("clef", "simclr")
    )


def untrained(size: str) -> Arm:
    return Arm(f"random-{size}", {"method": "random", "encoder.size": size})


ABLATION = Ablation(
    name="scale_model",
    question="How much does a larger encoder help, and what does it cost?",
    expect="At few patients nothing is gained beyond S; with a whole corpus M leads S in the readout, and L adds little.",
    arms=(*trained("S"), untrained("S"), untrained("M")),
    more=(*trained("M"), *trained("L"), untrained("L")),
    base="clef-S",
    seeds=(0, 1, 2),
    tasks=("diagnosis", "diagnosis:mode=knn", "score_spearman"),
    headline=("probe/auroc", "knn/auroc", "zeroshot/rsa", "zeroshot/rsa_beyond", "zeroshot/readout"),
    equal_budget=True,
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
