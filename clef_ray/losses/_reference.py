"""What the training patients' risks say about pairs, once, before training."""

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from clef_ray.errors import DataError
from clef_ray.losses import RiskReference

Normaliser = Literal["fixed_scale", "batch_minmax", "global_max", "rank"]

#: Enough patients for every pair of them (2 million) to stand for all pairs of any number of patients.
_MOST = 2048


def risk_reference(
    risk_PK: NDArray[np.float64], power: int, alpha: float, normaliser: Normaliser
) -> RiskReference:
    """Scale and mean of the dissimilarity over pairs of training patients.

    risk_PK: one risk per training patient, NaN where unknown (left out). Raises DataError where fewer than two risks are
    known. The result does not depend on the order of the patients. Scale: `fixed_scale` the 99 % quantile of Δ over
    pairs, `global_max` the largest Δ (of a point: the diagonal of the box that holds all), `rank` 1 (Δ is between
    ranks). Of more than 2048 patients a deterministic thinning stands for all: evenly spaced quantiles of a number,
    evenly spaced patients in lexicographic order of a point.
    """
    known_PK = risk_PK[~np.isnan(risk_PK).any(axis=1)]
    if len(known_PK) < 2:
        raise DataError(
            f"a guided loss needs two training patients with a known risk; {len(known_PK)} of {len(risk_PK)} have one"
        )
    sorted_PK = np.sort(known_PK, axis=0)
    if normaliser == "rank":
        known_PK = ranks(torch.from_numpy(known_PK), torch.from_numpy(sorted_PK)).numpy()
    thin = min(len(known_PK), _MOST)
    in_order_PK = known_PK[np.lexsort(known_PK.T[::-1])]
    some_QK = in_order_PK[((np.arange(thin) + 0.5) * len(known_PK) / thin).astype(np.int64)]
    one, other = np.triu_indices(thin, k=1)
    delta = np.linalg.norm(some_QK[other] - some_QK[one], axis=-1) ** power
    if normaliser == "rank":
        scale = 1.0
    elif normaliser == "fixed_scale":
        scale = float(np.quantile(delta, 0.99)) or float(delta.max())
    else:
        scale = float(np.linalg.norm(sorted_PK[-1] - sorted_PK[0])) ** power
    scale = scale or 1.0  # equal risks: Δ / 1 = 0
    average = (1 - alpha) * np.minimum(delta / scale, 1).mean() + alpha
    return RiskReference(scale, float(average), torch.from_numpy(sorted_PK) if normaliser == "rank" else None)


def ranks(risk_VK: torch.Tensor, sorted_PK: torch.Tensor) -> torch.Tensor:
    """The risks' mid-ranks among the training patients', 0 to 1, [V, K]; divided by sqrt(K), so that no two are further apart than 1."""
    columns = []
    for k in range(risk_VK.shape[1]):
        # in float32 on both sides, as batches carry risks: a patient's own risk is found among the training patients'
        risk_V = risk_VK[:, k].float().contiguous()
        sorted_P = sorted_PK[:, k].to(risk_V).contiguous()
        below_V = torch.searchsorted(sorted_P, risk_V, right=False)
        up_to_V = torch.searchsorted(sorted_P, risk_V, right=True)
        columns.append((below_V + up_to_V).to(risk_VK) / (2 * len(sorted_P)))
    place_VK: torch.Tensor = torch.stack(columns, dim=1) * (1 / math.sqrt(len(columns)))
    return place_VK
