"""An encoder that shows what it was given, and the setting a method looks at."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from clef_ray.methods import At, Setting
from clef_ray.sections import Signals, Views


class Seen(nn.Module):
    """x [B, 1, T] -> its first two samples, times a weight; `given`: what it was called with."""

    dim = 2

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.given = []

    def forward(self, x_BCT):
        self.given.append(x_BCT.detach())
        return self.weight * x_BCT[:, 0, :2]


def setting(**views):
    return Setting(Signals(), Views(**views), 10, pd.DataFrame(), np.arange(4))


def at(*rows, key=3):
    return At(torch.tensor(rows), key)


def signals(records, samples=9):
    """[2m, 1, T]: view a of record n counts 1000 n, 1000 n + 1, ...; view b the same and 500 more."""
    first = 1000.0 * torch.arange(records)[:, None] + torch.arange(samples)
    return torch.cat([first, first + 500])[:, None]
