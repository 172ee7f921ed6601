"""The control that every claim needs: the encoder as initialised, never trained."""

from typing import ClassVar

from torch import nn

from clef_ray.losses import Parts
from clef_ray.methods import Learner, Setting


class Random:
    """Nothing is optimised; the seed alone determines the encoder."""

    trains: ClassVar[bool] = False
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = ""

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """There is nothing to learn."""
        raise NotImplementedError
