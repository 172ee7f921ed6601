"""An encoder with what is known of its weights, and the check that a file's tensors are exactly the encoder's."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clef_ray.config import Run, Spec
from clef_ray.errors import DataError
from clef_ray.registry import ENCODERS
from clef_ray.sections import Signals, Views

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weights:
    """encoder: on the CPU; spec: its name and options, from which it can be built; signals: what it was trained to see; leads: those it was
    trained on, one after the other where it takes one lead, in its order where it takes several; source: where the weights are from;
    sha256: of the file they were read from first, None where they come from a run of our own (which `source` then names).
    """

    encoder: nn.Module
    spec: Spec
    signals: Signals
    leads: tuple[str, ...]
    source: str
    sha256: str | None

    @classmethod
    def of_run(cls, encoder: nn.Module, run: Run, leads: tuple[str, ...]) -> "Weights":
        """The encoder of a run, e.g. of `clef_ray.load(folder)`. leads: those of the shards, where the run drew them at random."""
        seen = leads if run.views.lead == "random" else (run.views.lead,)
        return cls(encoder, run.encoder, run.signals, seen, f"clef_ray run {run.fingerprint()}", None)

    def run(self) -> Run:
        """The configuration that an `Embedder` asks for. Only signals, lead and encoder are known; all else is the default and means nothing."""
        lead = self.leads[0] if len(self.leads) == 1 else "random"
        return Run(signals=self.signals, views=Views(lead=lead), encoder=self.spec)


def filled(spec: Spec, tensors: Mapping[str, Tensor], where: str) -> nn.Module:
    """The encoder with these tensors, float32, in evaluation mode. DataError: names or shapes differ in anything, or a value is not finite."""
    with torch.random.fork_rng(devices=[]):
        encoder: nn.Module = spec.build(ENCODERS)
    wanted = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    require_same(shapes_of(tensors), wanted, where)
    if bad := [n for n, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise DataError(f"{where}: values that are NaN or infinite in {', '.join(bad)}")
    encoder.load_state_dict(dict(tensors))
    return encoder.eval()


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def require_same(found: Mapping[str, Shape], wanted: Mapping[str, Shape], where: str) -> None:
    """DataError that lists every tensor which is missing, not expected, or of another shape (with both shapes)."""
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    other = [name for name in wanted if name in found and found[name] != wanted[name]]
    told = [
        f"{what} ({len(names)}): {', '.join(names)}"
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", [f"{n} is {list(found[n])}, must be {list(wanted[n])}" for n in other]),
        )
        if names
    ]
    if told:
        raise DataError(f"{where}: its tensors are not those of the encoder. {'; '.join(told)}")
