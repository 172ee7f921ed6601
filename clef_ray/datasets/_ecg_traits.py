"""What a patient's ECG is like (intervals, axes, amplitudes), and how covariates shift it.

Every trait is base + effect x sum of (slope x covariate in units) + spread x a standard normal, kept inside limits that a reader calls
normal; diagnoses change it afterwards. Units of the covariates: `_cohort.SCALE` (age per 10 years, SBP per 20 mmHg, BMI per 5 kg/m2).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from clef_ray.datasets._cohort import link


class Trait(NamedTuple):
    """base and spread in the trait's unit; low..high is the normal range it is kept in; slopes per covariate unit."""

    base: float
    spread: float
    low: float
    high: float
    slopes: Mapping[str, float]


#: Bases, spreads and limits: adults' normal values (Rijnbeek, J Electrocardiol 2014;47:914; Palhares, BMC Cardiovasc Disord 2017;17:152).
#: The sources below give the slopes' directions; their sizes, and slopes named in none of them, are our choice [C].
#: Age: longer PR and QTc, leftward QRS axis (Modena primary care, J Clin Med 2022;11:3737); less HRV (Umetani, J Am Coll Cardiol
#: 1998;31:593). Women: shorter QRS, longer QTc, lower voltage, higher rate (Rijnbeek 2014); lower ST and T (Surawicz, J Am Coll
#: Cardiol 2002;40:1870). BMI: leftward axis, lower voltage (Kurisu, IJC Metab Endocr 2015, doi 10.1016/j.ijcme.2015.10.006).
#: Smoking: higher rate (Linneberg, Circ Cardiovasc Genet 2015;8:832). Diabetes: less HRV (Singh, Am J Cardiol 2000;86:309).
TRAITS: Mapping[str, Trait] = {
    "rate": Trait(68, 8, 52, 98, {"smoker": 4, "diabetes": 4, "sex": 3, "bmi": 1}),  # beats/min
    "log_sdnn": Trait(math.log(28), 0.45, 1.6, 4.6, {"age": -0.25, "diabetes": -0.3, "smoker": -0.15}),  # ms
    "pr": Trait(160, 16, 124, 196, {"age": 4, "sex": -5, "bmi": 2}),  # ms, P onset to QRS onset
    "p_width": Trait(106, 7, 88, 122, {"age": 1.5, "sbp": 3, "bmi": 2}),  # ms
    "p_axis": Trait(50, 13, 5, 80, {"smoker": 12, "bmi": -4, "age": 1}),  # degrees
    "log_p": Trait(0, 0.18, -0.5, 0.5, {"smoker": 0.08}),  # of amplitude
    "log_left_atrium": Trait(0, 0.2, -0.6, 0.7, {"sbp": 0.15, "age": 0.05}),  # of the late P component
    "qrs": Trait(91, 6, 78, 106, {"sex": -7, "bmi": 1, "sbp": 1.5}),  # ms
    "axis": Trait(43, 18, -20, 82, {"age": -6, "bmi": -7, "sbp": -4}),  # degrees
    "transition": Trait(0, 9, -20, 20, {"age": 1}),  # degrees, horizontal plane
    "log_qrs": Trait(0, 0.15, -0.5, 0.35, {"sex": -0.14, "age": -0.03, "bmi": -0.07, "sbp": 0.08}),
    "qtc": Trait(412, 12, 378, 444, {"sex": 11, "age": 2.5, "diabetes": 4, "bmi": 2}),  # ms, Fridericia
    "log_t": Trait(0, 0.18, -0.8, 0.42, {"sex": -0.22, "age": -0.10, "sbp": -0.07, "diabetes": -0.1}),
    "t_angle": Trait(
        0, 10, -35, 35, {"age": -2, "sbp": -6, "diabetes": -6}
    ),  # degrees, T against its usual axis
    "st": Trait(0.03, 0.015, -0.03, 0.09, {"sex": -0.035, "age": -0.005}),  # mV
    "septum": Trait(1, 0.25, 0.4, 1.6, {}),  # of the first QRS component
    "terminal": Trait(1, 0.4, 0, 2, {}),  # of the last QRS component
}


def draw_traits(
    rng: np.random.Generator, person: Mapping[str, float], diagnoses: tuple[str, ...], effect: float
) -> dict[str, float]:
    """The traits of one patient. The same random numbers are used whatever the covariates and diagnoses are."""
    normal = rng.standard_normal(len(TRAITS))
    traits = {
        name: min(max(t.base + t.spread * z + link(person, t.slopes, effect), t.low), t.high)
        for (name, t), z in zip(TRAITS.items(), normal.tolist(), strict=True)
    }
    severity = rng.random()
    if "AF" in diagnoses:  # uncontrolled to controlled ventricular rate
        traits["rate"] = min(max(traits["rate"] + 30 * severity, 55), 130)
    if "SBRAD" in diagnoses:  # below 50/min: 2018 ACC/AHA/HRS bradycardia guideline
        traits["rate"] = 49 - 9 * severity
    if "STACH" in diagnoses:
        traits["rate"] = 101 + 27 * severity
    if "1AVB" in diagnoses:  # PR above 200 ms
        traits["pr"] = 212 + 75 * severity
    if (
        "LBBB" in diagnoses
    ):  # QRS of at least 120 ms, with repolarisation late by as much: Surawicz, Circulation 2009;119:e235
        traits["qrs"], traits["qtc"] = 130 + 32 * severity, traits["qtc"] + 35
    if "LVH" in diagnoses:  # more muscle takes longer
        traits["qrs"] = traits["qrs"] + 6
    if "RBBB" in diagnoses:
        traits["qrs"], traits["qtc"] = 124 + 26 * severity, traits["qtc"] + 25
    return traits
