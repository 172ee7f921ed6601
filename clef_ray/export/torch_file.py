"""torch.export's own file (.pt2), read again before it is given out."""

import io
import json

import torch
from torch import nn

from clef_ray.export.about import NAME, about
from clef_ray.export.check import compared
from clef_ray.export.programme import leads_of, programme, samples_of
from clef_ray.weights import Weights


def as_torch(weights: Weights) -> tuple[bytes, float]:
    """The file's content, and the largest difference found (check.py). DataError: cannot be exported, or gives other embeddings.

    `torch.export.load(FILE).module()` is the encoder; the metadata, with `fewest_samples`, the shortest input that it takes, are its extra file
    clef_ray.json.
    """
    exported = programme(weights)
    fewest = fewest_samples(exported.module(), leads_of(weights), samples_of(weights))
    buffer = io.BytesIO()
    extra = {NAME: json.dumps(about(weights, fewest_samples=str(fewest)))}
    torch.export.save(exported, buffer, extra_files=extra)
    content = buffer.getvalue()
    again = torch.export.load(io.BytesIO(content)).module()
    return content, compared(weights, again, "the torch.export file", fewest)


def fewest_samples(module: nn.Module, leads: int, window: int) -> int:
    """The shortest signal that an exported module takes, at most `window`. torch.export assumes that no axis inside has the length 1, which CLEF's
    last one has for a signal of 128 samples (S), 256 (M) or 1024 (L) and less; the module refuses those.
    """
    refused, taken = 0, window
    while taken - refused > 1:
        middle = (refused + taken) // 2
        try:
            module(torch.zeros(1, leads, middle))
            taken = middle
        except (AssertionError, RuntimeError):
            refused = middle
    return taken
