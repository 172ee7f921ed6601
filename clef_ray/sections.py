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
    crop: which window of a longer record, its first or one drawn anew in every epoch, the same for both views.
    seconds [s]: how much of the window a view shows, each view a place of its own; None: all of it, as published. Evaluation sees the window.
    noise: `synthetic`, or a bank of recorded noise by its name (`clef-ray noise`); noise_mv: RMS [mV] of what is added, over the view;
    mask_probability: chance of zeroing one run of mask_share of the view.
    """

    lead: str = "random"
    same_lead: float = 0.8
    crop: Literal["first", "random"] = "first"
    seconds: float | None = None
    noise: str = "synthetic"
    noise_mv: float = 0.1
    mask_probability: float = 0.2
    mask_share: tuple[float, float] = (0.1, 0.3)

    def __post_init__(self) -> None:
        _within("views.same_lead", self.same_lead, 0, 1)
        if self.seconds is not None:
            _within("views.seconds", self.seconds, 0.5, 3600, "s")
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


@dataclass(frozen=True)
class Quality:
    """When ingestion sets a record aside (clef_ray/signal/quality.py); shares are of the record's samples, in any one lead.

    invalid_share: largest share of invalid samples; flat_share: a lead that stays at one value for this share, or longer, is flat (1: over
    the whole record); saturated_share: largest share of samples that are clipped; amplitude_mv [mV]: largest distance from 0;
    duplicates: whether the second copy of a recording is set aside, or kept and only counted.
    When it only counts: opposed_arms: I and V6 correlate below minus this; limb_error: how far the limb leads miss what follows from I and
    II, in terms of the RMS of these.
    """

    invalid_share: float = 0.05
    flat_share: float = 0.5
    saturated_share: float = 0.05
    amplitude_mv: float = 20.0
    duplicates: Literal["set_aside", "keep"] = "set_aside"
    opposed_arms: float = 0.4
    limb_error: float = 0.5

    def __post_init__(self) -> None:
        _within("quality.invalid_share", self.invalid_share, 0, 0.5)
        _within("quality.flat_share", self.flat_share, 0.05, 1)
        _within("quality.saturated_share", self.saturated_share, 0, 1)
        _within("quality.amplitude_mv", self.amplitude_mv, 0.1, 1000, "mV")
        _within("quality.opposed_arms", self.opposed_arms, 0, 1)
        _within("quality.limb_error", self.limb_error, 0, 100)


@dataclass(frozen=True)
class Filters:
    """What ingestion does to the samples before they are stored, zero phase; nothing by default: training filters as it reads.

    band [Hz]: low and high edge of a band-pass; notch [Hz]: the mains frequency to take out.
    """

    band: tuple[float, float] | None = None
    notch: float | None = None

    def __post_init__(self) -> None:
        if self.band is not None and not 0 < self.band[0] < self.band[1]:
            raise ConfigError(f"filters.band {self.band} Hz: 0 < low < high is needed")
        if self.notch is not None:
            _within("filters.notch", self.notch, 1, 1000, "Hz")
