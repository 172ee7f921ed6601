"""What the training loop knows about where it runs: a Context (plain process or Ray Train worker), and the collectives it needs.

No Ray here. With one worker nothing is communicated and no process group is needed.
"""

import io
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from clef_ray.errors import StorageError
from clef_ray.store import Store

CHECKPOINT = "checkpoint.pt"


class Context(Protocol):
    """rank and world_size of this worker, its device, where checkpoints lie, and whom to tell about an epoch."""

    rank: int
    world_size: int
    device: torch.device
    store: Store

    def report(self, metrics: Mapping[str, float]) -> None:
        """Called by every rank once an epoch, after its checkpoint is written."""
        ...


class LocalContext:
    """A plain process: one worker. listen: called with each epoch's metrics."""

    rank = 0
    world_size = 1

    def __init__(self, store: Store, device: str = "auto", listen: Any = None) -> None:
        self.store = store
        self.device = pick_device(device)
        self._listen = listen

    def report(self, metrics: Mapping[str, float]) -> None:
        if self._listen is not None:
            self._listen(dict(metrics))


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def exact_float32() -> None:
    """fp32 means fp32: without this, GPUs compute convolutions and products of float32 in TF32 (10 bits of mantissa)."""
    # The old switch sets convolutions and recurrent layers; set by the new ones alone, torch.compile and torch.export find the two at odds and stop.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.fp32_precision = "ieee"


def save_state(store: Store, name: str, state: Mapping[str, Any]) -> None:
    """Tensors and plain values as one file, written atomically."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    store.write_bytes(name, buffer.getvalue())


def load_state(store: Store, name: str) -> dict[str, Any]:
    """Inverse of save_state. Loads tensors and plain values only (weights_only), never code; StorageError for anything else."""
    raw = store.read_bytes(name)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise StorageError(
            f"{store.path(name)} is not a clef_ray checkpoint, or is damaged: {error}"
        ) from error
    return state


class _Gather(torch.autograd.Function):
    """Concatenate every worker's rows; the gradient of a worker's rows is the sum over all workers' losses."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        ctx.rows = len(x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def gather_parts(z_vbD: Tensor, parts: int, context: Context) -> tuple[Tensor, Tensor]:
    """All workers' embeddings with gradient, in the global order, and which of its rows are this worker's own.

    z_vbD: this worker's slice of the global batch, `parts` rows per subject, one part after the other (view a, then b). Returns z_all
    [parts * B, D], each part of all subjects, and rows [parts * b] into it, so that a loss sees the same tensor whatever the number of workers.
    """
    b, world_size = len(z_vbD) // parts, context.world_size
    slots_b = torch.arange(b, device=z_vbD.device) + context.rank * b
    first_v1 = torch.arange(parts, device=z_vbD.device)[:, None] * b * world_size
    rows = (first_v1 + slots_b).flatten()
    if world_size == 1:
        return z_vbD, rows
    gathered: Tensor = _Gather.apply(z_vbD)  # type: ignore[no-untyped-call]
    return gathered.reshape(world_size, parts, b, -1).transpose(0, 1).flatten(0, 2), rows


def sum_over_workers(values: Tensor, context: Context) -> Tensor:
    """The element-wise sum over all workers (no gradient)."""
    values = values.detach().clone()
    if context.world_size > 1:
        dist.all_reduce(values)
    return values


def from_all_workers(values_n: Tensor, context: Context) -> Tensor:
    """[W, n] what every worker gives, in the order of their ranks (no gradient)."""
    if context.world_size == 1:
        return values_n[None]
    parts = [torch.empty_like(values_n) for _ in range(context.world_size)]
    dist.all_gather(parts, values_n.contiguous())
    return torch.stack(parts)


def sum_gradients(parameters: Iterable[torch.nn.Parameter], context: Context) -> None:
    """Add up every parameter's gradient over the workers, in one message per dtype."""
    if context.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    for dtype in {g.dtype for g in gradients}:
        group = [g for g in gradients if g.dtype == dtype]
        flat = torch.cat([g.flatten() for g in group])
        dist.all_reduce(flat)
        for gradient, part in zip(group, torch.split(flat, [g.numel() for g in group]), strict=True):
            gradient.copy_(part.view_as(gradient))
