"""Weights of an encoder as one file: the published ones read, our own written, both fetched from a hub.

net1d.py: the names that the released CLEF and ECGFounder files give their tensors. published.py: those files, read strictly. file.py: our own
format, safetensors that say what they are. hub.py: `hf://owner/name`. model.py: what all of them give, `Weights`.

    weights = read_weights("clef_small.ckpt")          # or a .safetensors file, or hf://owner/name
    save(weights, "clef_small.safetensors")
    z_D = Embedder(weights.encoder, weights.run()).embed(signal_T, fs=500, lead="I")
"""

from pathlib import Path

from clef_ray.weights.file import load, save
from clef_ray.weights.hub import is_address, pull, push
from clef_ray.weights.model import Weights
from clef_ray.weights.published import read_published

__all__ = ["Weights", "is_address", "load", "pull", "push", "read_published", "read_weights", "save"]


def read_weights(where: str) -> Weights:
    """From a .safetensors file of ours, a released checkpoint (any other name), or either of them on a hub (`hf://owner/name`).

    StorageError: not there or out of reach; DataError: not what it should be.
    """
    path = pull(where) if is_address(where) else Path(where)
    return load(path) if path.suffix == ".safetensors" else read_published(path)
