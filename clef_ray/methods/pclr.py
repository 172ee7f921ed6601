"""PCLR (Diamant et al., PLOS Computational Biology 2022, arXiv 2104.04569): two ECGs of one patient are the two views."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from clef_ray.errors import ConfigError
from clef_ray.losses import Parts
from clef_ray.methods import At, Head, Learner, Projected, Setting, projection, width


class _TwoRecords(Projected):
    """Of each two records view a of the first and view b of the second; the other two views are not encoded."""

    records = 2

    def forward(self, x_2mCT: Tensor, at: At) -> Tensor:
        """[m, D]: z_a of the m / 2 patients, then z_b. ConfigError for an odd number of records."""
        a_mCT, b_mCT = x_2mCT.chunk(2)
        if len(a_mCT) % 2:
            raise ConfigError(
                f"optimiser.batch: a worker's share of {len(a_mCT)} records cannot be pairs of one patient's; "
                "an even number per worker is needed"
            )
        return super().forward(torch.cat([a_mCT[::2], b_mCT[1::2]]), at)


class Pclr:
    """Positives are two different records of a patient, drawn anew in every epoch (train/pairs.py); patients with one record are left out.

    optimiser.batch counts records: a batch holds half as many patients, none of them twice. NT-Xent, symmetric; the paper's temperature
    is .1 (loss.temperature), it augments nothing (views.noise_mv=0, views.mask_probability=0) and shows all leads at once; this
    platform's defaults hold for every method alike. Random leads are drawn for each record by itself, so that views.same_lead cannot
    be kept between two records and must be 0. head: `none`, or `mlp2` as in SimCLR.
    """

    trains: ClassVar[bool] = True
    gives: ClassVar[Parts] = "views"
    default_loss: ClassVar[str] = "ntxent"
    pairs_records: ClassVar[bool] = True

    def __init__(self, head: Head = "none") -> None:
        self.head = head

    def learner(self, encoder: nn.Module, setting: Setting) -> Learner:
        """ConfigError where the two records are to show the same random lead."""
        if setting.views.lead == "random" and setting.views.same_lead > 0:
            raise ConfigError(
                f"views.same_lead {setting.views.same_lead:g}: method pclr compares two records, whose random leads are drawn independently; "
                "name one lead in views.lead, or set views.same_lead=0"
            )
        return _TwoRecords(encoder, projection(self.head, width(encoder)))
