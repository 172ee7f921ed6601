"""Two views of a batch of records, made on the training device with counter-based randomness (method.md §3, `CODE` recipe).

Per view: choose a lead, band-pass 0.67-40 Hz (Butterworth order 5, zero phase), add one of five kinds of noise, zero one run of samples,
z-score. batch.py: what of which record, in int16. choice.py: which leads, which window. filters.py: band-pass and z-score. noise.py,
bank.py: noise to cut from, made up or recorded. views.py: the views. Shapes: B records, C leads, T samples of the window, F frequencies.
"""

from clef_ray.augment.bank import NoiseBank
from clef_ray.augment.batch import Batch
from clef_ray.augment.choice import Choice, window
from clef_ray.augment.filters import band_pass, preprocess, standardise_
from clef_ray.augment.noise import Noise, bank_of, require_bank
from clef_ray.augment.views import two_views

__all__ = [
    "Batch",
    "Choice",
    "Noise",
    "NoiseBank",
    "band_pass",
    "bank_of",
    "preprocess",
    "require_bank",
    "standardise_",
    "two_views",
    "window",
]
