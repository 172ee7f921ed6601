"""A trained encoder as a file for other programs: ONNX, torch.export, or ONNX with 8-bit weights for a small device.

deployed.py: the encoder in the form that is exported. programme.py: torch.export with any batch and any length. onnx_file.py, torch_file.py:
the two kinds of file, each read again and compared before it is written. int8.py: 8-bit weights, what they cost in accuracy and in time.
about.py: what the file says of itself. windows.py: signals to compare on.

What to feed: float32 [batch, leads, samples] at the rate, in the lead order and of about the length that the metadata say, in mV (any other
linear unit gives the same), after the band-pass that they name. The z-score is inside: each record and lead is brought to mean 0 and
standard deviation 1. The band-pass is not: training filters by a Fourier transform over a length that depends on the record's (augment/filters.py), which few
device runtimes can do, while a device has a filter of its own, which sees the whole recording rather than one window.
"""

from pathlib import Path

from clef_ray.errors import ConfigError
from clef_ray.export.int8 import Quantised, quantised
from clef_ray.export.onnx_file import as_onnx
from clef_ray.export.torch_file import as_torch
from clef_ray.registry import unknown
from clef_ray.store import Store
from clef_ray.weights import Weights

#: Format -> how its files' names end.
FORMATS = {"onnx": ".onnx", "torch": ".pt2", "int8": ".onnx"}

__all__ = ["FORMATS", "Quantised", "check_name", "export", "quantised"]


def export(weights: Weights, form: str, out: str | Path) -> float:
    """Write `out` and return the largest difference from the encoder that was found on reading it again, as a share (check.py).

    form: `onnx` or `torch` (`int8` has more to tell: see `quantised`). ConfigError: another form, or a name with another ending; DataError: the
    encoder cannot be exported, or the file gives other embeddings; StorageError: `out` cannot be written.
    """
    if form not in ("onnx", "torch"):
        raise unknown("format", form, ("onnx", "torch"), "export")
    check_name(form, out)
    content, difference = as_onnx(weights) if form == "onnx" else as_torch(weights)
    path = Path(out).absolute()
    Store(str(path.parent)).write_bytes(path.name, content)
    return difference


def check_name(form: str, out: str | Path) -> None:
    """ConfigError unless the name ends as files of this format do."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS, "export")
    if Path(out).suffix != FORMATS[form]:
        raise ConfigError(f"--out {out}: the name of a file of format {form} must end in {FORMATS[form]}")
