"""Principal components of standardised features: an L2 penalty is the same in them, and a linear readout's curvature nearly diagonal."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.preprocessing import StandardScaler

#: Records that are multiplied at once: products of single-precision features are summed in double precision between such parts.
PART = 4096

#: Of fewer records than features, directions with less than this share of the largest sum of squares are rounding.
NOTHING = 1e-10


def standardised(features_ND: NDArray[np.float64], train_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Features with mean 0 and standard deviation 1 over the training records; constant ones are 0. `features_ND` is overwritten."""
    scaled_ND: NDArray[np.float64] = (
        StandardScaler(copy=False).fit(features_ND[train_N]).transform(features_ND)
    )
    return scaled_ND


def components(x_ND: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal directions [D, R], R = min(N, D) at most, and the sum of squares of x along each [R]; x has none beyond them."""
    records, dimensions = x_ND.shape
    if records < dimensions:
        x_ND = x_ND.astype(np.float64)
        square_N, left_NN = eigh(x_ND @ x_ND.T)
        kept_N = square_N > NOTHING * square_N[-1]
        square_R = square_N[kept_N]
        return (x_ND.T @ left_NN[:, kept_N]) / np.sqrt(square_R), square_R
    gram_DD = np.zeros((dimensions, dimensions))
    for start in range(0, records, PART):
        part_PD = x_ND[start : start + PART]
        gram_DD += part_PD.T @ part_PD
    square_D, basis_DD = eigh(gram_DD)
    return basis_DD, np.maximum(square_D, 0)
