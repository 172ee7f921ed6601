"""Which encoder carries pretraining furthest, and at what cost?

Each encoder as initialised and pretrained with CLEF's guided loss, at an equal budget (clef_ray/budget.py): CLEF-S, the ResNet `wang` of the
PTB-XL benchmark, ViT tiny, LSTM; asked for by name ResNet-18 and -50, XResNet-101, ConvNeXtV2 tiny and base, ViT base, which take many
minutes a run on a CPU and are meant for a GPU. They differ in size and so in FLOPs, seconds and memory, which stand under Costs; a picture
shows accuracy against FLOPs. Not equal by design: what an encoder makes of the same records is the question.

Controls: every encoder untrained, since some architectures read an ECG well without any training: the difference to its own control is what
pretraining brought, and only that compares objectives. Encoders with batch normalisation (the ResNets) need one worker and no
--micro-batch; norm=gn frees them.

What to expect: small convolutional encoders lead where patients are few; ViT and LSTM want more data and more steps than minutes allow.

    python experiments/compare_encoders.py                                             synthetic cohort, 3 seeds
    python experiments/compare_encoders.py --data /data/ptbxl --seeds 5                PTB-XL
    python experiments/compare_encoders.py --arms all --gpus-per-worker 1              the larger ones too, on a GPU
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

#: The cheapest of each kind.
ENCODERS: dict[str, dict[str, object]] = {
    "clef": {"encoder": "clef"},
    "resnet1d-wang": {"encoder": "resnet1d", "encoder.variant": "wang"},
    "vit": {"encoder": "vit", "encoder.patch": 50},  # half a second at 100 Hz
    "lstm": {"encoder": "lstm", "encoder.average": 5},  # 100 time steps of 5 s
}
LARGER: dict[str, dict[str, object]] = {
    "resnet1d-18": {"encoder": "resnet1d"},
    "xresnet1d101": {"encoder": "xresnet1d101"},
    "convnextv2": {"encoder": "convnextv2"},
    "resnet1d-50": {"encoder": "resnet1d", "encoder.variant": 50},
    "convnextv2-base": {"encoder": "convnextv2", "encoder.size": "base"},
    "vit-base": {"encoder": "vit", "encoder.size": "base", "encoder.patch": 50},
}


def arms(encoders: dict[str, dict[str, object]]) -> tuple[Arm, ...]:
    """Each encoder pretrained, then each as initialised."""
    trained = (Arm(name, {"method": "clef", **own}, family="pretrained") for name, own in encoders.items())
    untrained = (Arm(f"random-{name}", {"method": "random", **own}) for name, own in encoders.items())
    return (*trained, *untrained)


ABLATION = Ablation(
    name="compare_encoders",
    question="Which encoder carries pretraining furthest, and at what cost?",
    expect="Small convolutional encoders lead where patients are few; ViT and LSTM want more data than this.",
    arms=arms(ENCODERS),
    more=arms(LARGER),
    base="clef",
    seeds=(0, 1, 2),
    tasks=("diagnosis", "diagnosis:mode=knn", "score_spearman"),
    headline=("probe/auroc", "knn/auroc", "zeroshot/rsa", "zeroshot/rsa_beyond", "zeroshot/readout"),
    equal_budget=True,
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
