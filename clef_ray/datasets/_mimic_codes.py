"""What stands for what in MIMIC-IV: laboratory items, diagnosis codes, drug names, and the statements of the ECG machine.

Diagnoses follow the ICD-9-CM and ICD-10 lists of Quan et al. (Med Care 2005;43:1130) for diabetes, hypertension, heart failure and vascular
disease, narrowed or widened to what CHA2DS2-VASc counts (clef_ray.scores.FIELDS): vascular disease is myocardial infarction, peripheral
artery disease or aortic plaque; stroke includes transient ischaemic attacks and arterial embolism, not haemorrhage.
"""

import re

#: labevents.itemid -> what is measured, in mg/dL (HbA1c: %); the labels are those of d_labitems.
LAB_ITEMS = {50907: "total_cholesterol", 50904: "hdl", 50912: "creatinine", 50852: "hba1c"}

#: omr.result_name -> what it is. Blood pressures taken lying or standing are left out: risk scores are made for seated ones.
OMR_PRESSURE = ("Blood Pressure", "Blood Pressure Sitting")
OMR_NUMBERS = {
    "BMI (kg/m2)": "bmi",
    "BMI": "bmi",
    "Height (Inches)": "height",
    "Height": "height",
    "Weight (Lbs)": "weight",
    "Weight": "weight",
}

#: Condition -> the codes, without dots, by ICD version; a code belongs to it when it begins like this.
_CONDITIONS = {
    "diabetes": {9: r"250", 10: r"E1[0-4]"},
    "hypertension": {9: r"40[1-5]", 10: r"I1[0-356]"},
    "heart_failure": {
        9: r"39891|402[019]1|404[019][13]|425[4-9]|428",
        10: r"I099|I110|I13[02]|I255|I42[05-9]|I43|I50",
    },
    "stroke": {9: r"43[34]\d1|43[568]|444|V1254", 10: r"I6[34]|G45(?!4)|I693|I74|Z8673"},
    "vascular_disease": {9: r"410|412|440(?!1)|4439", 10: r"I2[12]|I252|I70(?!1)|I739"},
    "smoker": {9: r"3051", 10: r"F17(?!2\d1)|Z720"},
    "ex_smoker": {9: r"V1582", 10: r"Z87891|F172\d1"},
}
_PATTERNS = {
    (condition, version): re.compile(pattern)
    for condition, by_version in _CONDITIONS.items()
    for version, pattern in by_version.items()
}

CONDITIONS, ICD_VERSIONS = tuple(_CONDITIONS), (9, 10)

#: Conditions that are unknown to nobody who was ever admitted; of tobacco most admissions say nothing.
HISTORY = ("diabetes", "hypertension", "heart_failure", "stroke", "vascular_disease")

#: Drugs that lower blood pressure (ATC C02, C03, C07, C08, C09), by generic name; loop diuretics are left out (they treat oedema), so are
#: sotalol (an antiarrhythmic) and nimodipine (given after haemorrhage). Prescribed for whatever reason.
_ANTIHYPERTENSIVE = re.compile(
    r"\b(?!sotalol|nimodipine)(?:\w+pril|\w+sartan|\w+dipine|\w+(?:o|a|i)lol|\w*thiazide|verapamil|diltiazem|chlorthalidone|indapamide"
    r"|metolazone|spironolactone|eplerenone|amiloride|triamterene|hydralazine|minoxidil|clonidine|methyldopa|guanfacine|doxazosin|prazosin"
    r"|terazosin|aliskiren)\b"
)
DRUGS = ("treated", "statin")
_STATIN = re.compile(r"\b\w+vastatin\b")

#: Routes by which a drug is taken for long: neither eye drops nor what is injected in an emergency.
_LASTING_ROUTES = frozenset({"PO", "PO/NG", "NG", "OG", "ORAL", "G TUBE", "J TUBE", "TD", "SL"})

#: The machine's last word on an ECG: the summary statements of its program (University of Glasgow), lower case.
_VERDICTS = {
    "normal ecg": "normal",
    "normal ecg except for rate": "normal",
    "normal ecg based on available leads": "normal",
    "borderline ecg": "borderline",
    "abnormal ecg": "abnormal",
}
VERDICTS = ("normal", "borderline", "abnormal")

RHYTHMS = (
    "sinus_rhythm",
    "sinus_tachycardia",
    "sinus_bradycardia",
    "atrial_fibrillation",
    "atrial_flutter",
    "paced",
)

#: A statement names a rhythm when it begins so and goes on with neither an alternative ("or", "/") nor another word of the same stem.
_RHYTHM = re.compile(
    r"(sinus rhythm|sinus tachycardia|sinus bradycardia|atrial fibrillation|atrial flutter)(?!\w|\s*/|\s+or\b)"
)
_PACED = re.compile(
    r"(?:pacemaker rhythm|(?:a-v sequential|atrial|ventricular|electronic|demand)[ -](?:paced|pac(?:ing|emaker))\b)"
)


def conditions(code: str, version: int) -> frozenset[str]:
    """The conditions that a diagnosis code of this ICD version (9 or 10) stands for."""
    plain = code.strip().replace(".", "").upper()
    return frozenset(
        name for (name, of), pattern in _PATTERNS.items() if of == version and pattern.match(plain)
    )


def drug_classes(name: str) -> frozenset[str]:
    """Of a drug's name, which of `treated` (it lowers blood pressure) and `statin` it stands for."""
    lower = name.lower()
    found = {"treated": _ANTIHYPERTENSIVE, "statin": _STATIN}
    return frozenset(kind for kind, pattern in found.items() if pattern.search(lower))


def is_lasting_route(route: str) -> bool:
    """Whether a drug given by this route is taken for long."""
    return route.strip().upper() in _LASTING_ROUTES


def verdict(statement: str) -> int:
    """The place in VERDICTS of a machine statement, -1 where it is none."""
    plain = statement.strip().lower().removeprefix("summary:").strip(" .")
    return VERDICTS.index(_VERDICTS[plain]) if plain in _VERDICTS else -1


def rhythm(statement: str) -> int:
    """The place in RHYTHMS of a machine statement, -1 where it names none of them for certain ("possible", "probable")."""
    plain = statement.strip().lower()
    if found := _RHYTHM.match(plain):
        return RHYTHMS.index(found[1].replace(" ", "_"))
    return RHYTHMS.index("paced") if _PACED.match(plain) else -1


def is_black(race: str) -> float:
    """A race as it is written down (MIMIC-IV, MC-MED), as the Pooled Cohort Equations ask: 1 Black, 0 another, NaN where several or none is known."""
    plain = race.strip().upper()
    if plain.startswith(("UNKNOWN", "UNABLE", "MULTIPLE")) or "DECLINE" in plain or not plain:
        return float("nan")
    return float(plain.startswith("BLACK"))
