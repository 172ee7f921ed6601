"""How Net1D, which released files of CLEF and ECGFounder hold, names its tensors, and which of ours each is.

Source of the names: the public modules net1d.py of hsd1503/resnet1d and its copies in PKUDigitalHealth/ECGFounder and
Nokia-Bell-Labs/ecg-foundation-model; of the shapes: method §2.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from clef_ray.encoders.clef import SIZES, Clef
from clef_ray.weights.model import Shape

SizeName = Literal["S", "M", "L"]

#: The tensor by whose shape [channels of the stem, leads, 16] a file is known.
STEM = "first_conv.conv.weight"

#: The classifier behind the encoder. CLEF's files have none, ECGFounder's has 150 classes; it is not read.
CLASSIFIER = ("dense.weight", "dense.bias")

#: Counts the batches that a batch normalisation has been trained on.
COUNTER = "num_batches_tracked"

_NORMS = ("first_bn", "bn1", "bn2", "bn3")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one published tensor goes. norm: whether it is of a batch normalisation, which only an encoder with norm='bn' has."""

    ours: str
    shape: Shape
    norm: bool


def size_of(channels: int) -> SizeName | None:
    """The size whose stem has so many channels."""
    sizes: tuple[SizeName, ...] = ("S", "M", "L")
    return next((size for size in sizes if SIZES[size].base == channels), None)


def layout(size: SizeName, leads: int) -> dict[str, Place]:
    """Every tensor of a published file of this size, classifier left out, by its published name."""
    theirs = {ours: name for name, ours in _modules(size).items()}
    with torch.device("meta"):
        state = Clef(size, leads, "bn").state_dict()
    found = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        published = theirs[module]
        norm = published.rpartition(".")[2] in _NORMS
        found[f"{published}.{leaf}"] = Place(name, tuple(tensor.shape), norm)
    return found


def _modules(size: SizeName) -> dict[str, str]:
    """Published module -> ours. Theirs count blocks within their stage, ours from the beginning."""
    found, at = {"first_conv.conv": "stem.0", "first_bn": "stem.1.0"}, 0
    for i, repeats in enumerate(SIZES[size].blocks):
        for j in range(repeats):
            theirs, ours = f"stage_list.{i}.block_list.{j}", f"blocks.{at}"
            for n in (1, 2, 3):
                found[f"{theirs}.bn{n}"] = f"{ours}.before{n}.0"
                found[f"{theirs}.conv{n}.conv"] = f"{ours}.conv{n}"
            found |= {f"{theirs}.se_fc1": f"{ours}.squeeze", f"{theirs}.se_fc2": f"{ours}.excite"}
            at += 1
    return found
