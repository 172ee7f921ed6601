"""Signal processing: arrays in, arrays out, the sampling rate always an argument. NumPy and SciPy only.

filters.py: resampling, band-pass, notch. quality.py: which records cannot be used, and why. signature.py: which records are the same
recording. The last two look at a record as it was stored, as `Raw` describes it; `clef_ray.datasets.Signal` is one.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: The raw value that marks a sample as not valid, the smallest int16 (WFDB format 16).
INVALID_SAMPLE = -32768


class Raw(Protocol):
    """One record as stored; millivolts are (raw - baseline) / gain.

    raw_CT: int16 [leads, samples], INVALID_SAMPLE where not valid; fs: Hz; leads: names in row order; gain_C: raw units per mV; baseline_C:
    raw units at 0 mV.
    """

    @property
    def raw_CT(self) -> NDArray[np.int16]: ...  # noqa: N802
    @property
    def fs(self) -> float: ...
    @property
    def leads(self) -> tuple[str, ...]: ...
    @property
    def gain_C(self) -> NDArray[np.float32]: ...  # noqa: N802
    @property
    def baseline_C(self) -> NDArray[np.float32]: ...  # noqa: N802
