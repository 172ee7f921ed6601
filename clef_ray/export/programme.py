"""torch.export of an encoder, for any batch and any length."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from clef_ray.errors import DataError
from clef_ray.export.deployed import Deployed
from clef_ray.weights import Weights

#: The input's and the output's name in every file.
INPUT, OUTPUT = "signal", "embedding"


def samples_of(weights: Weights) -> int:
    """Samples of the window that the encoder was trained on."""
    return round(weights.signals.seconds * weights.signals.fs)


def leads_of(weights: Weights) -> int:
    """Leads that it takes at once."""
    return int(dict(weights.spec.options).get("in_leads", 1))


def programme(weights: Weights) -> ExportedProgram:
    """The encoder with its z-score (`Deployed`), batch and samples unknown. DataError: torch.export cannot trace it so."""
    example = torch.zeros(2, leads_of(weights), samples_of(weights))
    shapes = {INPUT: {0: Dim("batch", min=1), 2: Dim.DYNAMIC}}
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(Deployed(weights.encoder), (example,), dynamic_shapes=shapes)
    except (torch._dynamo.exc.UserError, RuntimeError, ValueError) as error:  # noqa: SLF001 - exported nowhere else
        raise DataError(
            f"encoder {weights.spec.name!r} cannot be exported for any batch and length: {error}"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters and quantisers tell of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
