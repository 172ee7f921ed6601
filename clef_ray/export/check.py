"""An exported file against the encoder it was made of, on several batches and lengths."""

from collections.abc import Callable

import torch
from torch import Tensor

from clef_ray.augment import standardise_
from clef_ray.errors import DataError
from clef_ray.export.programme import leads_of, samples_of
from clef_ray.weights import Weights

#: The largest difference allowed, as a share of the largest number in the embeddings, or of 1 where that is larger.
TOLERANCE = 1e-4


def shapes(window: int, fewest: int = 1) -> list[tuple[int, int]]:
    """(batch, samples): the window itself, lengths beside it, half of it, odd and even, and twice it; none below `fewest`."""
    lengths = (
        (1, window),
        (3, window),
        (2, window - 1),
        (5, window // 2 + 1),
        (2, window // 2),
        (1, 2 * window + 1),
    )
    return [(batch, max(samples, fewest)) for batch, samples in lengths]


def compared(weights: Weights, run: Callable[[Tensor], Tensor], what: str, fewest: int = 1) -> float:
    """The largest difference between `run`, the file read again, and the encoder, as a share (TOLERANCE). DataError: above it, or the file does
    not run on one of the shapes.
    """
    window, leads, largest = samples_of(weights), leads_of(weights), 0.0
    encoder = weights.encoder.cpu().eval()
    draw = torch.Generator().manual_seed(0)
    for batch, samples in shapes(window, fewest):
        x_BCT = 0.3 * torch.randn(batch, leads, samples, generator=draw)
        with torch.inference_mode():
            wanted_BD = encoder(standardise_(x_BCT.flatten(0, 1).clone()).view_as(x_BCT))
            try:
                got_BD = run(x_BCT)
            except (RuntimeError, AssertionError, ValueError) as error:
                raise DataError(
                    f"{what}: it does not run on [{batch}, {leads}, {samples}]: {error}"
                ) from error
        if got_BD.shape != wanted_BD.shape:
            raise DataError(
                f"{what}: [{batch}, {leads}, {samples}] gives {list(got_BD.shape)}, the encoder {list(wanted_BD.shape)}"
            )
        share = float((got_BD - wanted_BD).abs().max() / wanted_BD.abs().max().clamp(min=1))
        if not share <= TOLERANCE:
            raise DataError(
                f"{what}: on [{batch}, {leads}, {samples}] its embeddings differ from the encoder's by {share:.1e} of the largest; allowed is "
                f"{TOLERANCE:g}. Nothing was written"
            )
        largest = max(largest, share)
    return largest
