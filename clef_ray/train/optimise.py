"""The optimiser of a run and its schedule."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from clef_ray.sections import Optimiser


def adamw(
    o: Optimiser, weights: Iterable[nn.Parameter], scalars: Iterable[nn.Parameter]
) -> torch.optim.AdamW:
    """AdamW over the model's weights and the loss's own scalars (a learned temperature), which do not decay: 0 is no neutral value of theirs."""
    groups = [
        {"params": list(weights), "weight_decay": o.weight_decay},
        {"params": list(scalars), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=o.lr, betas=o.betas, fused=True)


def learning_rate(optimiser: Optimiser, epoch: float) -> float:
    """Linear warm-up over warmup_epochs, then cosine from lr to lr_min at the last epoch; epoch counts fractions."""
    if epoch < optimiser.warmup_epochs:
        return optimiser.lr * epoch / optimiser.warmup_epochs
    rest = max(optimiser.epochs - optimiser.warmup_epochs, 1e-9)
    progress = min((epoch - optimiser.warmup_epochs) / rest, 1.0)
    return optimiser.lr_min + (optimiser.lr - optimiser.lr_min) * 0.5 * (1 + math.cos(math.pi * progress))
