"""Gradient caching (Gao et al. 2021, arXiv 2101.06983): a batch larger than the device's memory, with the gradients of the whole.

A contrastive loss needs all embeddings at once, but the encoder needs only some records at once. So the batch is encoded in pieces without
graph; the loss gives the gradient of every embedding; then each piece is encoded again, with graph, and receives the gradient of its rows.
It costs a second forward pass. Views and encoder must not depend on which records share a piece: views are drawn per record by counter,
and layers that look across records are refused (`refuse_shared_state`).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError

#: The records of a slice of the batch -> what is returned for them [v m, D], in parts: of views the first of all, then the second.
Embed = Callable[[slice], Tensor]


def check_micro_batch(micro_batch: int | None) -> None:
    """ConfigError below 1."""
    if micro_batch is not None and micro_batch < 1:
        raise ConfigError(f"--micro-batch {micro_batch}: at least 1 is needed")


def cut(records: int, micro_batch: int | None, together: int = 1) -> list[slice]:
    """Consecutive pieces of at most `micro_batch` records; one piece where it is None. together: records that no cut may part, at least one
    such lot is in every piece. ConfigError below 1.
    """
    check_micro_batch(micro_batch)
    if micro_batch is None:
        return [slice(0, records)]
    size = max(micro_batch // together, 1) * together
    return [slice(start, min(start + size, records)) for start in range(0, records, size)]


def embed_all(embed: Embed, pieces: list[slice], parts: int) -> Tensor:
    """The embeddings [v b, D] of all pieces: with their graph where there is one piece, else a leaf that collects their gradient."""
    if len(pieces) == 1:
        return embed(pieces[0])
    with torch.no_grad():
        made = [_by_part(embed(piece), parts) for piece in pieces]
    return torch.cat(made, dim=1).flatten(0, 1).requires_grad_()


def backward_all(embed: Embed, pieces: list[slice], z_vbD: Tensor, parts: int, together: int = 1) -> None:
    """The second pass: hand the gradient that `embed_all`'s result has received down to the parameters, piece by piece."""
    if len(pieces) == 1:
        return  # the loss's own backward reached them
    assert z_vbD.grad is not None, "the loss is differentiated first"
    gradient_VbD = _by_part(z_vbD.grad, parts)
    for piece in pieces:
        subjects = slice(piece.start // together, piece.stop // together)
        embed(piece).backward(gradient_VbD[:, subjects].flatten(0, 1))  # type: ignore[no-untyped-call]


def _by_part(z_vbD: Tensor, parts: int) -> Tensor:
    return z_vbD.reshape(parts, len(z_vbD) // parts, -1)


def refuse_shared_state(model: nn.Module, workers: int, pieces: int) -> None:
    """ConfigError for layers that see one worker's share or one piece only: a result may not depend on how a batch is divided."""
    divided = [f"{workers} workers"] * (workers > 1) + [f"{pieces} pieces (--micro-batch)"] * (pieces > 1)
    if not divided:
        return
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.Dropout):
            raise ConfigError(
                f"encoder: {type(module).__name__} works on the share of the batch it sees, so {' of '.join(divided)} would give "
                "another result than one; use one worker and no --micro-batch below the batch, or norm=gn or none, and dropout=0"
            )
