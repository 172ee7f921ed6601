"""Embeddings on a plane, for a picture. The points are patients': they are drawn, never stored in a result."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it comes with scikit-learn

from clef_ray.errors import DataError
from clef_ray.evaluate.cloud import unit
from clef_ray.evaluate.kernels import Floats

#: Records at most: more are a blot on paper, and t-SNE's time.
MOST_POINTS = 2000


def map_2d(z_ND: NDArray[np.floating], method: Literal["pca", "tsne"], seed: int) -> Floats:
    """One point per embedding, [N, 2], of the embeddings brought to length 1, without a unit.

    pca: the two principal axes, largest first; distances are true to what they show. tsne: neighbours stay neighbours, and nothing else is to be
    read from it (van der Maaten & Hinton 2008, JMLR 9:2579): perplexity 30, fewer of few records; started from the principal axes, so that
    the seed decides little. DataError for fewer than 5 records, more than 2 000, or values that are not finite.
    """
    count = len(z_ND)
    if not 5 <= count <= MOST_POINTS:
        raise DataError(f"a map of {count} records was asked for; 5 to {MOST_POINTS} can be drawn")
    if not np.isfinite(z_ND).all():
        raise DataError("a map was asked for of embeddings that are not all finite")
    u_ND = unit(z_ND.astype(np.float64))
    if method == "pca":
        return np.asarray(PCA(2, random_state=seed).fit_transform(u_ND))
    perplexity = min(30.0, (count - 1) / 3)
    # On one thread: its threads wait for each other a thousand times, on a busy machine for minutes.
    with threadpool_limits(1):
        points_N2 = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(u_ND)
    return np.asarray(points_N2, np.float64)
