"""What pretraining costs besides seconds: floating-point operations, memory, records. Recorded with the run (`cost` in pretrain.json).

    records           seen in the whole training: epochs x steps x batch, by all workers
    flops_per_step    of one optimiser step of all workers: views, forward, loss, backward, and what else a method does in it, such as the
                      forward pass of a momentum copy; with --micro-batch also the second forward pass, which that costs
    flops_per_record  the same over the batch's records
    flops             of the whole training
    memory_bytes      at the largest, of the first worker. On a GPU the tensors there. On a CPU what the process has grown by since the run
                      began: weights, gradients, optimiser, activations, views, batches read ahead, the monitor's pass over validation
                      patients, and what else the process touches for the first time (libraries, pages of a shared corpus)

An operation is a multiplication or an addition: a multiply-add is two. Those of matrix products, convolutions, attention and recurrent
layers are counted (by the formulas of torch.utils.flop_counter, from shapes, so they are exact and do not depend on the machine), element-wise work is not. They are
counted in the first step that this process takes, and not timed. What was not measured is absent: FLOPs where a resumed run had no step
left, memory on a CPU that is not Linux's.
"""

import ctypes
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode

_FORGET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")

Shape = Sequence[int]

#: What a method that trains nothing costs.
NOTHING: Mapping[str, float] = {"records": 0.0, "flops": 0.0}


class Meter:
    """Measures one worker's training. Made before anything of the run is, so that its memory counts."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._flops: int | None = None
        self._before = _start(device)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around each optimiser step: counts the first one's operations, without a change to its numbers."""
        if self._flops is not None:
            yield
            return
        with _Counter() as counter:
            yield
        self._flops = counter.flops

    def cost(self, *, steps: int, batch: int, workers: int) -> dict[str, float]:
        """The figures above. steps: of the whole training; batch: records per step of all workers, whose shares are alike."""
        found = {"records": float(steps * batch)}
        if self._flops is not None:
            each = self._flops * workers
            found |= {"flops": each * steps, "flops_per_step": each, "flops_per_record": each / batch}
        if self._before is not None:
            found["memory_bytes"] = float(_largest(self._device) - self._before)
        return found


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the operations of what runs, and lets it run as it is. torch's FlopCounterMode takes some operations apart (the gradient of swish),
    which changes the last bits of a training.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self._formulas = {**flop_counter.flop_registry, **_formulas()}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        out = func(*args, **options)
        if formula := self._formulas.get(getattr(func, "overloadpacket", None)):
            self.flops += formula(*args, **options, out_val=out)
        return out


def _start(device: torch.device) -> int | None:
    """Let the largest size begin anew; the size now in bytes, None where that cannot be done."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return 0
    # What an earlier run of this process has freed is given back first: this one would use it again, and seem to need nothing.
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc's
        trim(0)
    try:
        _FORGET.write_text("5")
    except OSError:  # not Linux, or a container that keeps /proc to itself
        return None
    return _largest(device)


def _largest(device: torch.device) -> int:
    """The largest size in bytes since `_start`. Not ru_maxrss, which cannot begin anew: one process trains many runs."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _convolution_backward(
    gradient: Shape, x: Shape, w: Shape, *rest: Any, out_shape: Sequence[Shape | None], **_: Any
) -> int:
    """As many as the forward pass for each of the gradients of input and weights. torch's own formula takes a grouped convolution's weights for
    full ones.
    """
    transposed = rest[4]
    places = prod((x if transposed else gradient)[2:])
    return 2 * gradient[0] * places * prod(w) * sum(shape is not None for shape in out_shape[:2])


def _recurrence(x: Shape, weights: Sequence[Shape]) -> int:
    """Every time step of every record is multiplied with each matrix. x: its first two are time and records, in whatever order."""
    return 2 * prod(x[:2]) * sum(prod(w) for w in weights if len(w) == 2)


def _lstm_cpu(x: Shape, w1: Shape, w2: Shape, *_: Any, **__: Any) -> int:
    return _recurrence(x, (w1, w2))


def _lstm_cuda(x: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    return _recurrence(x, weights)


def _attention(q: Shape, k: Shape, v: Shape, *_: Any, **__: Any) -> int:
    return int(flop_counter.sdpa_flop_count(q, k, v))  # type: ignore[no-untyped-call]


def _attention_backward(gradient: Shape, q: Shape, k: Shape, v: Shape, *_: Any, **__: Any) -> int:
    return int(flop_counter.sdpa_backward_flop_count(gradient, q, k, v))  # type: ignore[no-untyped-call]


def _twice(forward: Callable[..., int]) -> Callable[..., int]:
    """The gradients of input and weights."""
    return lambda *args, **options: 2 * forward(*args, **options)


def _formulas() -> dict[Any, Callable[..., int]]:
    """What torch's registry counts too high or not at all."""
    aten = torch.ops.aten
    by_shapes = {
        aten.convolution_backward: _convolution_backward,
        aten.mkldnn_rnn_layer: _lstm_cpu,
        aten.mkldnn_rnn_layer_backward: _twice(_lstm_cpu),
        aten._cudnn_rnn: _lstm_cuda,  # noqa: SLF001 - torch's name
        aten._cudnn_rnn_backward: _twice(_lstm_cuda),  # noqa: SLF001
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,  # noqa: SLF001
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,  # noqa: SLF001
    }
    wrap: Callable[..., Callable[..., int]] = flop_counter.shape_wrapper
    return {operation: wrap(formula) for operation, formula in by_shapes.items()}
