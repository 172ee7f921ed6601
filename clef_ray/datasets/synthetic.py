"""The embedded cohort: people with risk factors and the ECGs that go with them, made from a seed. Needs no download.

What a record looks like follows from the patient: covariates -> diagnoses and traits -> waves and rhythm -> electrodes -> twelve leads.
`effect` scales the two links that start at the covariates; at 0 the signals say nothing about them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES, LEADS, Signal, Source, UnreadableError
from clef_ray.datasets import _cohort as cohort
from clef_ray.datasets import _ecg_model as model
from clef_ray.datasets import _ecg_rhythm as rhythms
from clef_ray.datasets._ecg_noise import DRY, electrode_noise, wearable
from clef_ray.datasets._ecg_traits import draw_traits
from clef_ray.datasets._ecg_waves import conducted, ectopic
from clef_ray.errors import ConfigError
from clef_ray.scores import Mechanism

#: Raised when the same options give other samples or another table.
GENERATOR_VERSION = 2
#: One digit, so that records sort by visit.
MOST_VISITS = 9
#: Heart rates [1/min] a record may have: sinus bradycardia is below 50 (2018 ACC/AHA/HRS guideline), tachycardia above 100.
RATES = {"NORM": (51.0, 99.0), "SBRAD": (36.0, 49.0), "STACH": (101.0, 140.0), "AF": (52.0, 140.0)}


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A synthetic cohort: 12 leads, 10 s at 500 Hz, 1000 raw units per mV.

    patients: 1..1000000; seed: >= 0; effect: 0..5, strength of every link from covariates to ECG (1: the documented sizes, 0: none);
    missing, missing_rate: how and how often (0..1) covariates other than age and sex are deleted (`_cohort.delete`), which leaves the
    signals as they are; records_per_patient: mean, 1..5; noise: 0..10, scale of wander, muscle and mains.
    Three options make a cohort that another one is shifted from: device: `wearable` has the bandwidth of monitoring and dry electrodes;
    common_age: 35..85 years, the most common age; prevalence: 0.1..10, a factor of the odds of every diagnosis.
    Patient k of a seed is the same whatever the other options are but `effect` and `prevalence` (covariates: but `common_age`).
    Raises ConfigError for values outside these ranges.
    """

    patients: int = 1000
    seed: int = 0
    effect: float = 1.0
    missing: Mechanism = "none"
    missing_rate: float = 0.0
    records_per_patient: float = 1.3
    noise: float = 1.0
    device: Literal["clinical", "wearable"] = "clinical"
    common_age: float = 62.0
    prevalence: float = 1.0

    label_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {"diagnosis": cohort.DIAGNOSES}
    headline: ClassVar[str] = "diagnosis"
    signature: ClassVar[tuple[str, ...]] = ()
    citation: ClassVar[str] = (
        "clef_ray synthetic cohort; model after McSharry et al., IEEE Trans Biomed Eng 2003;50:289."
    )
    licence: ClassVar[str] = "BSD-3-Clause"
    source: ClassVar[Source] = Source(
        url="https://doi.org/10.1109/TBME.2003.808805",
        access="open",
        records=None,
        patients=None,
        how="clef-ray synth --patients 1000 --out DIR",
    )
    covariates: ClassVar[tuple[str, ...]] = COVARIATES
    targets: ClassVar[Mapping[str, str]] = {}
    pad: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse options outside their ranges."""
        ranges = {
            "patients": (1, 1_000_000),
            "seed": (0, math.inf),
            "effect": (0, 5),
            "missing_rate": (0, 1),
            "records_per_patient": (1, 5),
            "noise": (0, 10),
            "common_age": (35, 85),
            "prevalence": (0.1, 10),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"synthetic.{name} is {getattr(self, name)}; allowed is {low} to {high}")
        if self.device not in ("clinical", "wearable"):
            raise ConfigError(f"synthetic.device is {self.device!r}; allowed are clinical, wearable")
        if self.missing not in ("none", "mcar", "mar", "mnar"):
            raise ConfigError(f"synthetic.missing is {self.missing!r}; allowed are none, mcar, mar, mnar")
        if self.missing == "none" and self.missing_rate > 0:
            raise ConfigError(
                f"synthetic.missing_rate is {self.missing_rate} but synthetic.missing is none: choose mcar, mar or mnar"
            )

    @property
    def fs(self) -> float:
        """Sampling rate [Hz]."""
        return 500.0

    @property
    def samples(self) -> int:
        """Samples per record: 10 s."""
        return 5000

    @property
    def leads(self) -> tuple[str, ...]:
        """The twelve standard leads."""
        return LEADS

    def parameters(self) -> dict[str, Any]:
        """The options and the generator's version: together they determine every sample."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**options, "generator_version": GENERATOR_VERSION}

    def table(self) -> pd.DataFrame:
        """One row per record as `Dataset.table` says; label_diagnosis holds one or several of DIAGNOSES."""
        rows = [row for patient in range(self.patients) for row in self._rows(patient)]
        columns = ["record", "patient", "fold", *COVARIATES, "label_diagnosis"]
        return pd.DataFrame(rows, columns=columns)

    def _person(self, patient: int) -> tuple[dict[str, float], tuple[str, ...]]:
        """Covariates and diagnoses."""
        person = cohort.draw_covariates(self.seed, patient, self.common_age)
        return person, cohort.draw_diagnoses(self.seed, patient, person, self.effect, self.prevalence)

    def _rows(self, patient: int) -> list[dict[str, Any]]:
        person, labels = self._person(patient)
        known = cohort.delete(self.seed, patient, person, self.missing, self.missing_rate)
        fold = int(cohort.stream(self.seed, patient, cohort.FOLD).integers(1, 11))
        visits = 1 + int(
            cohort.stream(self.seed, patient, cohort.VISITS).poisson(self.records_per_patient - 1)
        )
        name = f"p{patient:06d}"
        return [
            {"record": f"{name}-{v}", "patient": name, "fold": fold, **known, "label_diagnosis": list(labels)}
            for v in range(1, min(visits, MOST_VISITS) + 1)
        ]

    def signal(self, row: Mapping[str, Any]) -> Signal:
        """int16 [12, 5000] of the row's `record`; nothing else of the row is read, so missing covariates change nothing."""
        name = re.fullmatch(r"p(\d{6})-([1-9])", str(row["record"]))
        if name is None or int(name[1]) >= self.patients:
            raise UnreadableError("unknown record", f"{row['record']!r} is not a record of this cohort")
        raw = self._samples(int(name[1]), int(name[2]))
        gain, zero = np.full(12, model.GAIN, dtype=np.float32), np.zeros(12, dtype=np.float32)
        return Signal(raw_CT=raw, fs=self.fs, leads=LEADS, gain_C=gain, baseline_C=zero)

    def _samples(self, patient: int, visit: int) -> NDArray[np.int16]:
        person, labels = self._person(patient)
        rng = cohort.stream(self.seed, patient, cohort.MORPHOLOGY)
        traits = draw_traits(rng, person, labels, self.effect)
        injury, severity = rng.random(2)
        torso_83 = model.vary(rng, model.DOWER_83, 0.05)
        waves = conducted(traits, labels, injury, severity, torso_83)
        premature = ectopic(rng, traits["qtc"])
        rng = cohort.stream(self.seed, patient, cohort.RECORD + visit)
        breath = rng.uniform(0.2, 0.33)
        rhythm = self._rhythm(rng, traits, labels, breath)
        beats = model.breathing(rng, rhythm.onset_B, breath)
        dipole_3N = model.dipole(rhythm, beats, waves, premature, self.samples, self.fs)
        if "AF" in labels:
            dipole_3N += model.fibrillatory(rng, self.samples, self.fs)
        field_93 = model.electrode_field(model.vary(rng, torso_83, 0.03)).astype(np.float32)
        dry = self.device == "wearable"
        scale = self.noise * (DRY if dry else 1.0)
        noise_EN = electrode_noise(rng, len(field_93), self.samples, self.fs, breath, scale)
        potential_EN = field_93 @ dipole_3N + noise_EN
        return model.twelve_leads(wearable(potential_EN, self.fs) if dry else potential_EN)

    def _rhythm(
        self, rng: np.random.Generator, traits: Mapping[str, float], labels: tuple[str, ...], breath: float
    ) -> rhythms.Rhythm:
        seconds = self.samples / self.fs
        low, high = next((RATES[name] for name in labels if name in RATES), RATES["NORM"])
        rate = min(max(traits["rate"] + rng.normal(0, 2), low), high)
        if "AF" in labels:
            rhythm = rhythms.fibrillation(rng, seconds, rate)
        else:
            rhythm = rhythms.sinus(rng, seconds, rate, math.exp(traits["log_sdnn"]), breath)
        return rhythms.with_ectopics(rng, rhythm, seconds) if "PVC" in labels else rhythm
