"""clef_ray: which part of clinically-guided ECG pretraining matters?

`import clef_ray` is cheap; the three-line use of a trained encoder is

    encoder = clef_ray.load("storage/runs/3f2a...")
    z_D = encoder.embed(signal_T, fs=500, lead="I")
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clef_ray.evaluate.embedder import Embedder

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(path: str) -> "Embedder":
    """A trained encoder from a run directory, its encoder.pt, a .safetensors file, a published checkpoint, or hf://owner/name."""
    from clef_ray.evaluate.embedder import Embedder

    return Embedder.load(path)
