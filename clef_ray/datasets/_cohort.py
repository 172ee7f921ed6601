"""The synthetic cohort's people: covariates, diagnoses, and the deletion of covariates.

A person is a pure function of (seed, patient): each aspect is drawn from its own random stream, so neither the size of the cohort
nor the order of generation changes anybody. Population figures are our choice [C], set to look like European adults seen in a clinic.
"""

import math
from collections.abc import Mapping

import numpy as np

from clef_ray.datasets import COVARIATES
from clef_ray.scores import Mechanism
from clef_ray.scores._missing import KEPT, SCALE, chance, deviation

#: The random streams of a patient. A record's stream is RECORD + its number, 1 to 9.
COVARIATE, DIAGNOSIS, MORPHOLOGY, MISSING, FOLD, VISITS, RECORD = range(7)
HISTORY = 16

#: Diagnosis -> (probability of an average person, log odds per unit of each covariate as in SCALE). Probabilities are enriched as in clinical ECG
#: databases [C]. Where a source gives no size, and wherever none is named, the size is our choice [C].
#: AF: CHARGE-AF (Alonso, J Am Heart Assoc 2013;2:e000102), its log hazard ratios per 10 years, 20 mmHg and 15 kg (taken as 5 kg/m2).
#: LBBB, RBBB: 1 % of men at 50 and 17 % at 80 years (Eriksson, Circulation 1998;98:2494), that is 1.0 per decade.
#: Sex: RBBB 3.5 times as common in men, LBBB alike, AF and LVH more common in men (De Bacquer, Heart 2000;84:625).
#: PVC: age, male sex, hypertension (Simpson, Am Heart J 2002;143:535). STC: the risk factors of coronary disease [C].
DISEASE: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "AF": (
        0.05,
        {"age": 1.0, "sex": -0.4, "sbp": 0.2, "bmi": 0.12, "smoker": 0.36, "treated": 0.35, "diabetes": 0.24},
    ),
    "PVC": (0.07, {"age": 0.3, "sex": -0.3, "sbp": 0.2}),
    "LBBB": (0.025, {"age": 1.0, "sbp": 0.2}),
    "RBBB": (0.04, {"age": 1.0, "sex": -1.25}),
    "LVH": (0.07, {"age": 0.2, "sex": -0.3, "sbp": 0.7, "treated": 0.4, "egfr": -0.15}),
    "STC": (
        0.08,
        {"age": 0.4, "sbp": 0.3, "smoker": 0.6, "diabetes": 0.5, "total_cholesterol": 0.25, "hdl": -0.25},
    ),
    "1AVB": (0.05, {"age": 0.5, "sex": -0.4, "bmi": 0.1}),
    "SBRAD": (0.04, {"smoker": -0.5, "diabetes": -0.4, "sex": -0.2}),
    "STACH": (0.03, {"smoker": 0.6, "diabetes": 0.5, "bmi": 0.2}),
}

#: What cannot be read beside what: no PR interval nor sinus rate in AF, no voltage criterion nor primary ST change in LBBB.
EXCLUDES: Mapping[str, tuple[str, ...]] = {
    "AF": ("1AVB", "SBRAD", "STACH"),
    "LBBB": ("RBBB", "LVH", "STC"),
    "SBRAD": ("STACH",),
}

#: Illness in the past -> (probability of an average person, log odds per unit of each covariate). Probabilities, every age and sex, and
#: SBP but in stroke are our choice [C].
#: Heart failure: relative risks 1.59 of smoking and 1.85 of diabetes (He, Arch Intern Med 2001;161:996). Stroke: men's log hazards per
#: 10 years, 20 mmHg, smoking, diabetes (Wolf, Stroke 1991;22:312). Vascular disease: odds ratios 2.87 of smoking and 2.37 of diabetes
#: for myocardial infarction (Yusuf, INTERHEART, Lancet 2004;364:937).
ILLNESS: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "heart_failure": (0.03, {"age": 0.7, "sex": -0.2, "sbp": 0.2, "smoker": 0.46, "diabetes": 0.62}),
    "stroke": (0.04, {"age": 0.5, "sbp": 0.28, "smoker": 0.51, "diabetes": 0.34}),
    "vascular_disease": (0.08, {"age": 0.5, "sex": -0.6, "sbp": 0.2, "smoker": 1.05, "diabetes": 0.86}),
}

#: Order of the diagnosis label set; NORM is the absence of all others.
DIAGNOSES = ("NORM", *DISEASE)


def stream(seed: int, patient: int, which: int) -> np.random.Generator:
    """The random numbers of one aspect of one patient."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, patient, which))))


def expit(x: float) -> float:
    """Inverse of the logit."""
    return 1.0 / (1.0 + math.exp(-x))


def link(person: Mapping[str, float], slopes: Mapping[str, float], effect: float) -> float:
    """Effect x sum of slope x (value - mean) / unit; exactly 0 where effect is 0."""
    return effect * sum(
        slope * (person[name] - SCALE[name][0]) / SCALE[name][1] for name, slope in slopes.items()
    )


def draw_covariates(seed: int, patient: int, common_age: float = 62.0) -> dict[str, float]:
    """All of COVARIATES for one patient, in their units, rounded as a chart would; diabetes_age is NaN without diabetes.

    common_age: the most common age; ages lie between 30 and 90.

    Directions are textbook (pressure rises with age and BMI, HDL is higher in women, eGFR falls by about 0.9 a year); sizes are [C].
    """
    rng = stream(seed, patient, COVARIATE)
    z_bmi, z_sbp, z_tc, z_hdl, z_egfr, z_hba1c = rng.standard_normal(6)
    u_sex, u_smoker, u_diabetes, u_treated, u_statin = rng.random(5)
    age = round(rng.triangular(30, common_age, 90), 1)
    female = float(u_sex < 0.5)
    decade = (age - 60) / 10
    smoker = float(u_smoker < expit(-1.6 - 0.4 * decade - 0.3 * (female - 0.5)))
    bmi = min(max(27.0 * math.exp(0.16 * z_bmi), 16.0), 55.0)
    diabetes = float(u_diabetes < expit(-2.4 + 0.35 * decade + 0.11 * (bmi - 27)))
    sbp = (
        131 + 4.5 * decade + 0.6 * (bmi - 27) + 3 * diabetes - 4 * (female - 0.5) * (1 - decade) + 14 * z_sbp
    )
    treated = float(u_treated < expit(-1.5 + 0.06 * (sbp - 131) + 0.5 * decade + 0.8 * diabetes))
    tc = 5.4 + 0.2 * (female - 0.5) * (1 + decade) + 0.95 * z_tc
    statin = float(u_statin < expit(-1.7 + 0.5 * decade + 1.3 * diabetes + 0.6 * (tc - 5.4)))
    hdl = 1.4 + 0.28 * (female - 0.5) - 0.02 * (bmi - 27) - 0.1 * smoker - 0.1 * diabetes + 0.3 * z_hdl
    egfr = 87 - 9 * decade - 4 * diabetes + 12 * z_egfr
    hba1c = 53 + 10 * z_hba1c if diabetes else 37.5 + decade + 3 * z_hba1c
    person = {
        "age": age,
        "sex": female,
        "sbp": float(round(min(max(sbp - 12 * treated, 85), 230))),
        "total_cholesterol": round(min(max(tc - 1.2 * statin, 2.2), 10.5), 1),
        "hdl": round(min(max(hdl, 0.5), 3.2), 2),
        "smoker": smoker,
        "diabetes": diabetes,
        "bmi": round(bmi, 1),
        "egfr": float(round(min(max(egfr, 12), 125))),
        "hba1c": float(round(min(max(hba1c, 40 if diabetes else 26), 120))),
        "treated": treated,
        "statin": statin,
    }
    return person | _draw_history(seed, patient, person)


def _draw_history(seed: int, patient: int, person: Mapping[str, float]) -> dict[str, float]:
    """Illnesses and ancestry. Hypertension: 140 mmHg and more, or treated (2018 ESC/ESH guideline). Diabetes lasts 8 years on average
    and begins after 20, and 13 % are black (the share in the United States): [C]. From a stream of its own.
    """
    rng = stream(seed, patient, HISTORY)
    years, u_black, *u_illness = rng.exponential(8.0), *rng.random(1 + len(ILLNESS))
    began = max(math.floor(person["age"] - years), 20.0)
    return {
        "diabetes_age": float(began) if person["diabetes"] else math.nan,
        "black": float(u_black < 0.13),
        "hypertension": float(person["treated"] == 1 or person["sbp"] >= 140),
        **{
            name: float(u < expit(math.log(base / (1 - base)) + link(person, slopes, 1.0)))
            for u, (name, (base, slopes)) in zip(u_illness, ILLNESS.items(), strict=True)
        },
    }


def draw_diagnoses(
    seed: int, patient: int, person: Mapping[str, float], effect: float, prevalence: float = 1.0
) -> tuple[str, ...]:
    """The patient's diagnoses in the order of DIAGNOSES; ("NORM",) where there is none. prevalence: a factor of every diagnosis's odds."""
    chance = stream(seed, patient, DIAGNOSIS).random(len(DISEASE))
    found: list[str] = []
    for u, (name, (base, slopes)) in zip(chance, DISEASE.items(), strict=True):
        excluded = any(name in EXCLUDES.get(other, ()) for other in found)
        odds = prevalence * base / (1 - base)
        if not excluded and u < expit(math.log(odds) + link(person, slopes, effect)):
            found.append(name)
    return tuple(found) or ("NORM",)


def delete(
    seed: int, patient: int, person: Mapping[str, float], mechanism: Mechanism, rate: float
) -> dict[str, float]:
    """The covariates with a share `rate` of all but age and sex replaced by NaN, as `clef_ray.scores.delete` would of a large cohort.

    But nobody's values depend on who else is in the cohort: the rate is as asked because the mean deviation of this population is about 0.
    """
    value_F = np.array([person[name] for name in COVARIATES])
    chance_F = chance(rate, deviation(mechanism, COVARIATES, value_F, person["age"], person["sex"]))
    u_F = stream(seed, patient, MISSING).random(len(COVARIATES))
    return {
        name: math.nan if u < p and mechanism != "none" and name not in KEPT else person[name]
        for name, u, p in zip(COVARIATES, u_F, chance_F, strict=True)
    }
