"""MATLAB files: what scipy.io.loadmat raises for one that is cut off, damaged, of another kind, or without the variables that are asked for."""

import zlib

from scipy.io.matlab import MatReadError

NO_MATLAB = (
    MatReadError,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    NotImplementedError,  # version 7.3, which is HDF5
)
