"""VICReg (Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906): a control without negatives."""

from typing import ClassVar

from torch import nn

from clef_ray.losses import Parts
from clef_ray.methods import Learner, Projected, Setting, width
from clef_ray.methods._expander import Norm, expander


class Vicreg:
    """Two views of a record through encoder and expander; the loss (losses/vicreg.py) asks for alike views and decorrelated dimensions.

    width: of the expander's three layers. 8192 in the paper, for ResNet-50's 2048 features: four times as many. 1024 is four times what
    encoder S has; 8192 would be 136 million weights on its 0.4 million. norm: `bn` as published, whose statistics would be those of one
    worker's share or of one piece, so that it is refused with several workers or --micro-batch; `ln` and `none` are not.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = "vicreg"

    def __init__(self, width: int = 1024, norm: Norm = "bn") -> None:
        self.width = width
        self.norm = norm

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:  # noqa: ARG002 - as every method
        return Projected(encoder, expander(width(encoder), self.width, self.norm, "vicreg"))
