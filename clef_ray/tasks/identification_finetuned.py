"""Whose ECG is it, when the encoder has learnt one short piece of each person's? (method.md §8, user identification; ESI's second task, fine-tuned)"""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Mode, check_training
from clef_ray.tasks.identification import Identification


@dataclass(frozen=True, kw_only=True)
class IdentificationFinetuned(Identification):
    """`identification`, but by a linear head with one class per person that learns from the known pieces together with the encoder.

    epochs: all of which it takes, since no second piece of anybody is there to stop by; lr: the largest learning rate; layer_decay: how much slower
    each stage of the encoder learns than the one after it (1: all alike). Nobody outside sees how ESI trained it; these are the platform's own.
    """

    mode: ClassVar[Mode] = "finetune"

    epochs: int = 20
    lr: float = 1e-3
    layer_decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_training(self)

    def _variant(self) -> list[str]:
        given = {name: getattr(self, name) for name in ("epochs", "lr", "layer_decay")}
        changed = [f"{name}_{value:g}" for name, value in given.items() if value != getattr(type(self), name)]
        return [*super()._variant(), *changed]
