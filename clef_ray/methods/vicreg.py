"""VICReg (Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906): a control without negatives."""

from typing import ClassVar

from clef_ray.methods._expander import Expanded


class Vicreg(Expanded):
    """The loss (losses/vicreg.py) asks for alike views and decorrelated dimensions. The options are those of `Expanded`."""

    default_loss: ClassVar[str] = "vicreg"
