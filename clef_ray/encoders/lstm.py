"""The LSTM of the PTB-XL benchmark (Strodthoff et al. 2020, arXiv 2004.13701): two layers of 256 units on the signal itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from clef_ray.errors import ConfigError

LAYERS, UNITS = 2, 256


class Lstm(nn.Module):
    """Two unidirectional LSTM layers of 256 units; dim 768.

    791,552 parameters for one lead, 1,024 more for each further one. in_leads: leads of the input, at least 1. average: how many
    consecutive samples are averaged into one time step before the first layer, at least 1. The published form is 1, at 250 samples (2.5 s
    at 100 Hz); a recurrence takes its steps one after the other, so 10 s at 500 Hz want average=5 or more. There is no normalisation: it
    serves any number of workers and --micro-batch. Initial weights are torch's, uniform within 1/16.
    """

    def __init__(self, in_leads: int = 1, average: int = 1) -> None:
        super().__init__()
        if in_leads < 1:
            raise ConfigError(f"encoder lstm, in_leads: {in_leads} given; at least 1")
        if average < 1:
            raise ConfigError(f"encoder lstm, average: {average} given; at least 1")
        self.dim = 3 * UNITS
        self.average = average
        self.recurrence = nn.LSTM(in_leads, UNITS, LAYERS, batch_first=True)

    def tokens(self, x_BCT: Tensor) -> Tensor:
        """The second layer's output at every time step [records, N, 256] of signals [records, leads, samples].

        N = ceil(samples / average); of a length that `average` does not divide, the last step is the mean of the samples left.
        """
        if self.average > 1:
            x_BCT = functional.avg_pool1d(x_BCT, self.average, ceil_mode=True)
        y_BND: Tensor = self.recurrence(x_BCT.transpose(1, 2))[0]
        return y_BND

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Features [records, 768] of signals [records, leads, samples], any length from 1 sample.

        Pooling: the mean of `tokens` over time, then their maximum, then the last of them.
        """
        y_BND = self.tokens(x_BCT)
        return torch.cat([y_BND.mean(1), y_BND.amax(1), y_BND[:, -1]], 1)
