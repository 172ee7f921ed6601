"""Barlow Twins (Zbontar et al., ICML 2021, arXiv 2103.03230): a control without negatives."""

from typing import ClassVar

from clef_ray.methods._expander import Expanded


class Barlow(Expanded):
    """The loss (losses/barlow.py) asks that the views' cross-correlation be the identity. The options are those of `Expanded`."""

    default_loss: ClassVar[str] = "barlow"
