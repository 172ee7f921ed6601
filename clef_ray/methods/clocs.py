"""CLOCS (Kiyasseh et al., ICML 2021, arXiv 2005.13249): contrast across segments, leads and patients."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import At, Head, Learner, Projected, Setting, projection, width
from clef_ray.registry import unknown
from clef_ray.sections import Views

#: Which views attract each other: of two segments, of two leads, of two segments in two leads.
Across = Literal["cmsc", "cmlc", "cmsmlc"]


class _Halves(Projected):
    """View a shows the first half of the window, view b the second: neighbours that do not overlap."""

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[2m, D]; of a window of an odd number of samples the last is not seen."""
        first, second = x_2mCT.chunk(2)
        half = x_2mCT.shape[-1] // 2
        return super().forward(torch.cat([first[..., :half], second[..., half : 2 * half]]), at)


class Clocs:
    """pairs: `cmsc` two halves of the window, `cmlc` two leads, `cmsmlc` the first half of one lead and the second of another.

    `cmlc` and `cmsmlc` need views.lead=random and views.same_lead=0; `cmsc` is as published where both views show one lead (a lead's
    name, or views.same_lead=1), and across leads too in the rest of the records where they do not. head: none is published.
    What differs from the published code: band-pass and z-score are of the whole window, before it is cut, where each segment there is
    prepared by itself; two leads are drawn at random, the same one twice with probability 1/L of L leads (of a corpus of one lead
    always), where all of a record's leads, and all pairs of them, are used there; views.noise_mv and views.mask_probability apply as
    to every method, and are 0 there.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = "clocs"

    def __init__(self, pairs: Across = "cmsc", head: Head = "none") -> None:
        if pairs not in get_args(Across):
            raise unknown("value", pairs, get_args(Across), "clocs.pairs")
        self.pairs = pairs
        self.head = head

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """ConfigError where the views show one lead and two are needed."""
        if self.pairs != "cmsc":
            _need_two_leads(setting.views, self.pairs)
        kind = Projected if self.pairs == "cmlc" else _Halves
        return kind(encoder, projection(self.head, width(encoder)))


def _need_two_leads(views: Views, pairs: Across) -> None:
    if views.lead != "random" or views.same_lead != 0:
        raise ConfigError(
            f"method.pairs {pairs}: its views show two leads, for which views.lead=random and views.same_lead=0 are needed; "
            f"given are {views.lead} and {views.same_lead:g}"
        )
