"""12 leads in .dat and 3 in .xyz, 2000 units per mV, the comments of the real header s0010_re with other people's values."""

import numpy as np

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6", "vx", "vy", "vz")
FS, LENGTH = 1000, 12_000

#: patient, record -> age, sex, reason for admission, additional diagnoses, smoker, blood pressure
ROWS = {
    ("patient001", "s0010_re"): (
        "81",
        "female",
        "Myocardial infarction",
        "Diabetes mellitus",
        "no",
        " 140/80 mmHg",
    ),
    ("patient001", "s0014lre"): ("81", "female", "Myocardial infarction", "Diabetes mellitus", "no", "n/a"),
    ("patient002", "s0015lre"): (
        "58",
        "male",
        "Heart failure (NYHA 3)",
        "Arterial Hypertension, Obesity",
        "yes",
        "900/80 mmHg",
    ),
    ("patient003", "s0017lre"): ("n/a", "male", "n/a", "n/a", "n/a", "n/a"),
    ("patient004", "s0020are"): ("45", "male", "Healthy control", "no", "unknown", "120/300 mmHg"),
    ("patient005", "s0021bre"): ("45", "male", "Pericarditis", "Pulmonary hypertension", "no", "n/a"),
}
RECORDS, PATIENTS = 6, 5


def samples(record):
    rng = np.random.default_rng(int(record[1:5]))
    return np.clip(np.cumsum(rng.integers(-20, 21, size=(LENGTH, 15)), axis=0), -15_000, 15_000).astype("<i2")


def write(folder):
    for (patient, record), told in ROWS.items():
        write_record(folder / patient / record, told)
    (folder / "RECORDS").write_text("".join(f"{patient}/{record}\n" for patient, record in ROWS))
    return {"root": str(folder)}


def write_record(path, told):
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = samples(path.name)
    raw[:, :12].tofile(path.with_suffix(".dat"))
    raw[:, 12:].tofile(path.with_suffix(".xyz"))
    lines = [f"{path.name} 15 {FS} {LENGTH}"]
    for i, lead in enumerate(LEADS):
        total = (int(raw[:, i].sum(dtype=np.int64)) + 2**15) % 2**16 - 2**15
        file = path.with_suffix(".dat" if i < 12 else ".xyz").name
        lines.append(f"{file} 16 2000 16 0 {raw[0, i]} {total} 0 {lead}")
    age, sex, reason, others, smoker, pressure = told
    comments = ["", f"# age: {age}", f"# sex: {sex}", "# ECG date: 01/10/1990", "", "# Diagnose:"]
    comments += [
        f"# Reason for admission: {reason}",
        f"# Additional diagnoses: {others}",
        f"# Smoker: {smoker}",
        "",
    ]
    comments += ["# Hemodynamics:", "# Catheterization date: 16-Oct-90"]
    comments += [
        f"# Peripheral blood Pressure (syst/diast): {pressure}",
        "",
        "# Therapy:",
        "# Catheterization date: n/a",
    ]
    path.with_suffix(".hea").write_text("\n".join([*lines, *comments, ""]))
