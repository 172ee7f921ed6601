"""ONNX, run again by onnxruntime before it is given out."""

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from clef_ray.errors import DataError
from clef_ray.export.about import about
from clef_ray.export.check import compared
from clef_ray.export.programme import INPUT, OUTPUT, programme, quiet
from clef_ray.weights import Weights


def as_onnx(weights: Weights) -> tuple[bytes, float]:
    """The file's content, and the largest difference found (check.py). DataError: cannot be exported, or gives other embeddings."""
    model, exported = None, programme(weights)
    try:
        with quiet():
            model = torch.onnx.export(
                exported, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
            )
    except torch.onnx.OnnxExporterError as error:
        raise DataError(f"encoder {weights.spec.name!r} has no ONNX form: {error}") from error
    assert model is not None, "only an export to a file returns nothing"
    proto = model.model_proto
    # What the exporter notes of inner shapes is wrong after its own optimisation, and the quantiser stumbles over it; runtimes infer them anew.
    del proto.graph.value_info[:]
    _name_axes(proto)
    onnx.helper.set_model_props(proto, about(weights))
    content: bytes = proto.SerializeToString()
    session = session_of(content)
    return content, compared(weights, lambda x_BCT: embedded(session, x_BCT), "the ONNX file")


def _name_axes(proto: onnx.ModelProto) -> None:
    """The axes of any length by their names, for whoever opens the file."""
    given, made = (
        value.type.tensor_type.shape.dim for value in (proto.graph.input[0], proto.graph.output[0])
    )
    given[0].dim_param = made[0].dim_param = "batch"
    given[2].dim_param = "samples"


def session_of(content: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """On the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def embedded(session: onnxruntime.InferenceSession, x_BCT: Tensor) -> Tensor:
    """[batch, dim]."""
    (z_BD,) = session.run([OUTPUT], {INPUT: np.ascontiguousarray(x_BCT.numpy())})
    return torch.from_numpy(z_BD)
