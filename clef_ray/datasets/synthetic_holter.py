"""Ten made-up wearable recordings of a day in the layout of CPSC 2020, so that its task can be asked without its data. Needs no download."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import Signal, Source, UnreadableError
from clef_ray.datasets import _cohort as cohort
from clef_ray.datasets import _ecg_model as model
from clef_ray.datasets import _ecg_rhythm as rhythms
from clef_ray.datasets._beats import generator, some, window_table
from clef_ray.datasets._ecg_noise import DRY, electrode_noise, wearable
from clef_ray.datasets._ecg_traits import draw_traits
from clef_ray.datasets._ecg_waves import Waves, conducted, ectopic
from clef_ray.datasets._window import window_samples
from clef_ray.datasets.cpsc2020 import FOLDS, FS
from clef_ray.datasets.synthetic import GENERATOR_VERSION, RATES
from clef_ray.errors import ConfigError

#: Raised when the same options give other samples or another table; what is shared with `synthetic` counts in GENERATOR_VERSION.
HOLTER_VERSION = 1

#: Recording -> the classes it holds: those that matter in the published recording of this name (method.md §4.1).
CLASSES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("A01", "A03", "A05", "A06"), ("N",)),
    **dict.fromkeys(("A02", "A08"), ("N", "V")),
    **dict.fromkeys(("A09", "A10"), ("N", "S")),
    **dict.fromkeys(("A04", "A07"), ("N", "S", "V")),
}

DAY = 24 * 3600  # s
#: The electrodes of the lead: the right arm's, and the place of V5 (as in CM5, a usual lead of Holter recorders).
RIGHT_ARM, V5 = 0, 7
#: The wave of a beat that is taken for its peak: apex and free wall.
APEX = 3
#: How long the rhythm goes on beyond either end of a window [s], so that shifting it leaves no gap.
BEYOND = 3.0
#: A premature beat comes after this share of the interval, but never sooner than SOONEST [s]; the pause after a supraventricular one is this
#: share of an interval. Our choice [C].
EARLY: Mapping[str, tuple[float, float]] = {"S": (0.55, 0.75), "V": (0.50, 0.65)}
SOONEST = 0.33
RESET = (1.0, 1.1)
#: Of a day, as against the minutes of a resting record: intervals vary more, and posture and electrodes move the heart in the lead. [C]
LIVELIER, POSTURE = 1.6, 0.08


@dataclass(frozen=True)
class SyntheticHolter:
    """Windows of ten recordings A01 to A10 that hold N, V, S or all as CPSC 2020's do: one lead, dry electrodes, a wearable's bandwidth.

    seconds: of a window, 0.5..600; per_record: at most so many windows of each class of a recording, 0: all that a day has; seed: >= 0,
    other people. One person is one recording. In the middle of an S or V window there is one premature beat and it has no other; N windows
    have none. V: wide, of one focus per recording, and the sinus goes on, so a compensatory pause follows. S: narrow, and the sinus begins
    anew after it. Everybody is in sinus rhythm with normal conduction, easier than the published recordings, three of which are of atrial
    fibrillation. Each window of a day has its class and signal whatever `per_record` is.

    Label set, target, names of records (window's start in samples at 400 Hz) and folds as of `cpsc2020`. ConfigError outside the ranges.
    """

    seconds: float = 10.0
    per_record: int = 60
    seed: int = 0

    headline: ClassVar[str] = "beat"
    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"beat": ("N", "S", "V")}
    targets: ClassVar[Mapping[str, str]] = {"beat_time": "s"}
    covariates: ClassVar[tuple[str, ...]] = ()
    leads: ClassVar[tuple[str, ...]] = ("ECG",)
    fs: ClassVar[float] = FS
    pad: ClassVar[bool] = False
    signature: ClassVar[tuple[str, ...]] = ()
    citation: ClassVar[str] = (
        "clef_ray synthetic Holter recordings; model after McSharry et al., IEEE Trans Biomed Eng 2003;50:289, layout after Cai et al., "
        "J Med Imaging Health Inform 2020;10:2663."
    )
    licence: ClassVar[str] = "BSD-3-Clause"
    source: ClassVar[Source] = Source(
        url="https://doi.org/10.1109/TBME.2003.808805",
        access="open",
        records=None,
        patients=10,
        how="clef-ray ingest synthetic_holter --out DIR",
    )

    def __post_init__(self) -> None:
        """Refuse options outside their ranges."""
        window_samples("synthetic_holter", FS, self.seconds)
        for option in ("per_record", "seed"):
            if getattr(self, option) < 0:
                raise ConfigError(
                    f"synthetic_holter.{option} is {getattr(self, option)}; allowed is 0 or more"
                )

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return window_samples("synthetic_holter", FS, self.seconds)

    def parameters(self) -> dict[str, Any]:
        """The options and the generators' versions: together they determine every sample."""
        options = {name: getattr(self, name) for name in ("seconds", "per_record", "seed")}
        return {**options, "holter_version": HOLTER_VERSION, "generator_version": GENERATOR_VERSION}

    def table(self) -> pd.DataFrame:
        """See `Dataset.table`; `record` is the recording and where the window starts [samples at 400 Hz], which `start` says too."""
        rows = pd.concat([self._rows(name) for name in CLASSES])
        return window_table(rows, digits=8, label_sets=self.label_sets)

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """The window that the row's `record` names; nothing else of the row is read. UnreadableError: "unknown record"."""
        name, _, start = str(row["record"]).partition("-")
        whole = re.fullmatch(r"\d{8}", start) is not None and int(start) % self.samples == 0
        if name not in CLASSES or not whole or int(start) // self.samples >= self._slots:
            raise UnreadableError("unknown record", f"{row['record']!r} is not a record of these recordings")
        slot = int(start) // self.samples
        return Signal.of_millivolts(self._window(name, slot)[None], FS, self.leads)

    @property
    def _slots(self) -> int:
        """How many windows lie side by side in a day."""
        return int(DAY * FS) // self.samples

    @cached_property
    def _class_of(self) -> dict[str, NDArray[np.str_]]:
        """Recording -> the class of each of a day's windows."""
        return {
            name: generator(self.seed, "synthetic_holter", name, "classes").choice(classes, self._slots)
            for name, classes in CLASSES.items()
        }

    def _rows(self, name: str) -> pd.DataFrame:
        rng, class_S = generator(self.seed, "synthetic_holter", name, "chosen"), self._class_of[name]
        chosen = [some(rng, np.flatnonzero(class_S == c), self.per_record) for c in CLASSES[name]]
        slot_W = np.concatenate(chosen)
        start_W = slot_W * self.samples
        rows = pd.DataFrame({"recording": name, "patient": name, "fold": FOLDS[name], "start": start_W})
        rows["label_beat"] = pd.Series([{str(label)} for label in class_S[slot_W]], dtype=object)
        beat_W = (start_W + self.samples // 2) / FS
        rows["target_beat_time"] = np.where(class_S[slot_W] == "N", np.nan, beat_W)
        return rows

    @cached_property
    def _people(self) -> dict[str, "_Person"]:
        # A seed of their own: they are none of the cohort that `synthetic` makes of the same seed.
        seed = int(generator(self.seed, "synthetic_holter", "people").integers(2**62))
        return {name: _Person.drawn(seed, k) for k, name in enumerate(CLASSES)}

    def _window(self, name: str, slot: int) -> NDArray[np.float32]:
        """[samples] in mV."""
        person, rng = self._people[name], generator(self.seed, "synthetic_holter", name, str(slot))
        breath = rng.uniform(0.2, 0.33)
        rhythm = _rhythm(rng, person, str(self._class_of[name][slot]), self.samples, breath)
        beats = model.breathing(rng, rhythm.onset_B, breath)
        dipole_3N = model.dipole(rhythm, beats, person.waves, person.premature, self.samples, FS)
        field_93 = model.electrode_field(model.vary(rng, person.torso_83, POSTURE)).astype(np.float32)
        noise_EN = electrode_noise(rng, 2, self.samples, FS, breath, DRY)
        right_N, left_N = wearable(field_93[[RIGHT_ARM, V5]] @ dipole_3N + noise_EN, FS)
        return np.asarray(left_N - right_N)


@dataclass(frozen=True, eq=False)
class _Person:
    """What stays the same all day: the traits, the torso, and the shapes of a conducted and of a ventricular premature beat."""

    traits: Mapping[str, float]
    torso_83: NDArray[np.float64]
    waves: Waves
    premature: Waves

    @classmethod
    def drawn(cls, seed: int, number: int) -> "_Person":
        rng = cohort.stream(seed, number, cohort.MORPHOLOGY)
        traits = draw_traits(rng, cohort.draw_covariates(seed, number), ("NORM",), effect=1.0)
        torso_83 = model.vary(rng, model.DOWER_83, 0.05)
        waves = conducted(traits, ("NORM",), 0.0, 0.0, torso_83)
        return cls(traits, torso_83, waves, ectopic(rng, traits["qtc"]))


def _rhythm(
    rng: np.random.Generator, person: _Person, label: str, samples: int, breath: float
) -> rhythms.Rhythm:
    """The beats around a window, in seconds from its start: undisturbed (N), or with the premature beat's peak at sample `samples // 2`."""
    low, high = RATES["NORM"]
    # A day has all of the normal rates, the person's own the most often.
    rate = rng.triangular(low, person.traits["rate"], high)
    sdnn = LIVELIER * float(np.exp(person.traits["log_sdnn"]))
    rhythm = rhythms.sinus(rng, samples / FS + 2 * BEYOND, rate, sdnn, breath)
    onset = rhythm.onset_B - BEYOND
    if label == "N":
        return rhythm._replace(onset_B=onset)
    middle, shape = samples // 2 / FS, person.premature if label == "V" else person.waves
    chosen = int(np.argmin(np.abs(onset - middle)))
    early = max(rng.uniform(*EARLY[label]) * rhythm.rr_B[chosen], SOONEST)
    sooner = np.zeros_like(onset)
    sooner[chosen] = onset[chosen] - onset[chosen - 1] - early
    if label == "S":
        pause = rng.uniform(*RESET) * rhythm.rr_B[chosen + 1]
        sooner[chosen + 1 :] = onset[chosen + 1] - (onset[chosen] - sooner[chosen] + pause)
    onset = onset - sooner
    rr = np.diff(onset, prepend=onset[0] - rhythm.rr_B[0]) if label == "S" else rhythm.rr_B
    ectopic_B = (np.arange(onset.size) == chosen) & (label == "V")
    return rhythms.Rhythm(onset + middle - shape.centre_K[APEX] - onset[chosen], rr, ectopic_B)
