"""The sections of a run's configuration: plain values, each checked against its range when it is set."""

from dataclasses import dataclass
from typing import Literal

from clef_ray.errors import ConfigError

#: How missing fields of a score are filled (clef_ray/scores/_impute.py). Named here: a configuration is read without NumPy.
Imputation = Literal["centre", "none", "median", "age_sex_median", "iterative"]

#: How covariates come to be missing (scores.delete).
Mechanism = Literal["none", "mcar", "mar", "mnar"]


def _within(key: str, value: float, low: float, high: float, unit: str = "") -> None:
    """ConfigError unless low <= value <= high (NaN is not)."""
    if not low <= value <= high:
        raise ConfigError(f"{key}: {value:g} given; allowed is {low:g} to {high:g} {unit}".rstrip())


@dataclass(frozen=True)
class Signals:
    """What the encoder sees. fs [Hz]: training rate; seconds: window; band [Hz]: Butterworth order-5 band-pass, zero phase (method §3)."""

    fs: float = 500.0
    seconds: float = 10.0
    band: tuple[float, float] = (0.67, 40.0)

    def __post_init__(self) -> None:
        _within("signals.fs", self.fs, 1, 10_000, "Hz")
        _within("signals.seconds", self.seconds, 1, 3600, "s")
        low, high = self.band
        if not 0 < low < high < self.fs / 2:
            raise ConfigError(
                f"signals.band {self.band} Hz: 0 < low < high < fs/2 = {self.fs / 2:g} is needed"
            )


@dataclass(frozen=True)
class Views:
    """How two views are made of one record (method §3).

    lead: `random` draws two of the record's leads, made equal with probability same_lead; a lead name uses that one for both.
    noise_mv: RMS [mV] of the added noise; mask_probability: chance of zeroing one run of mask_share of the window.
    """

    lead: str = "random"
    same_lead: float = 0.8
    noise_mv: float = 0.1
    mask_probability: float = 0.2
    mask_share: tuple[float, float] = (0.1, 0.3)

    def __post_init__(self) -> None:
        _within("views.same_lead", self.same_lead, 0, 1)
        _within("views.noise_mv", self.noise_mv, 0, 100, "mV")
        _within("views.mask_probability", self.mask_probability, 0, 1)
        if not 0 <= self.mask_share[0] <= self.mask_share[1] < 1:
            raise ConfigError(f"views.mask_share {self.mask_share}: 0 <= low <= high < 1 is needed")


@dataclass(frozen=True)
class Optimiser:
    """AdamW with linear warm-up and cosine decay to lr_min. batch: patients' records per step over all workers."""

    epochs: int = 100
    batch: int = 64
    lr: float = 1e-4
    lr_min: float = 1e-6
    weight_decay: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_epochs: float = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        _within("optimiser.epochs", self.epochs, 1, 100_000)
        _within("optimiser.batch", self.batch, 2, 1_000_000)
        _within("optimiser.lr", self.lr, 0, 1e6)
        _within("optimiser.lr_min", self.lr_min, 0, self.lr)
        _within("optimiser.weight_decay", self.weight_decay, 0, 1e6)
        _within("optimiser.warmup_epochs", self.warmup_epochs, 0, 100_000)
        for beta in self.betas:
            _within("optimiser.betas", beta, 0, 1)


@dataclass(frozen=True)
class Missingness:
    """An experiment on missing data: a share `rate` of the training patients' covariates is deleted before imputation.

    mechanism: as `clef_ray.scores.delete`, seeded by the run's seed; `none` wants a rate of 0.
    """

    mechanism: Mechanism = "none"
    rate: float = 0.0

    def __post_init__(self) -> None:
        _within("missingness.rate", self.rate, 0, 1)
