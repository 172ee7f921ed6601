"""ONNX with 8-bit weights (dynamic quantisation): what it saves, and what it costs.

By onnxruntime.quantization, which is maintained and quantises convolutions too. PyTorch's own quantize_dynamic, announced for removal, knows
linear layers only, of which the CLEF encoder has next to none. Weights become unsigned 8-bit numbers, one scale to a tensor; the scale of the
activations is found anew at every call, so nothing need be calibrated. The file is about a third as large. Whether it is faster depends on the processor:
the table says what it was here.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor
from torch.nn import functional

from clef_ray.errors import DataError
from clef_ray.export.onnx_file import as_onnx, embedded, session_of
from clef_ray.export.programme import quiet
from clef_ray.store import Store
from clef_ray.weights import Weights


@dataclass(frozen=True, slots=True)
class Side:
    """size: bytes of the file; milliseconds: median for one window on one core."""

    size: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Quantised:
    """float32 and int8 beside each other. difference: of the float32 file from the encoder (check.py); cosine_N: similarity of both embeddings of
    each window; rounds: windows timed.
    """

    float32: Side
    int8: Side
    difference: float
    cosine_N: Tensor
    rounds: int


def quantised(weights: Weights, out: str | Path, windows_NCT: Tensor, rounds: int = 50) -> Quantised:
    """Write `out` and compare it with the float32 file.

    windows_NCT: band-passed, at the encoder's rate; rounds: how often one window is timed on each side, in turns. DataError: the encoder cannot be
    exported, or the quantised file gives numbers that are not finite; StorageError: `out` cannot be written.
    """
    content, difference = as_onnx(weights)
    small = _quantise(content)
    sessions = session_of(content), session_of(small)
    z_ND, z8_ND = (torch.cat([embedded(s, x_CT[None]) for x_CT in windows_NCT]) for s in sessions)
    if not z8_ND.isfinite().all():
        raise DataError("the quantised file gives embeddings that are NaN or infinite. Nothing was written")
    first = windows_NCT[:1]
    took = _in_turns([lambda s=s: embedded(s, first) for s in sessions], rounds)  # type: ignore[misc]
    path = Path(out).absolute()
    Store(str(path.parent)).write_bytes(path.name, small)
    plain, eight = (Side(len(c), ms) for c, ms in zip((content, small), took, strict=True))
    return Quantised(plain, eight, difference, functional.cosine_similarity(z_ND, z8_ND), rounds)


def _quantise(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder, quiet():
        made = Path(folder) / "int8.onnx"
        quantize_dynamic(
            onnx.load_from_string(content),
            made,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            weight_type=QuantType.QUInt8,  # of convolutions with signed weights, onnxruntime has slow kernels or none
        )
        model = onnx.load(made)
    told = {p.key: p.value for p in onnx.load_from_string(content).metadata_props}
    onnx.helper.set_model_props(
        model, {**told, "quantisation": "dynamic, unsigned 8-bit weights, one scale per tensor"}
    )
    small: bytes = model.SerializeToString()
    return small


def _in_turns(sides: list[Callable[[], object]], rounds: int) -> list[float]:
    """Median milliseconds of each side; they take turns, after one unmeasured round."""
    took: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, seconds in zip(sides, took, strict=True):
            begin = time.perf_counter()
            side()
            if turn:
                seconds.append(time.perf_counter() - begin)
    return [1000 * median(seconds) for seconds in took]
