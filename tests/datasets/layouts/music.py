"""The table with semicolons, decimal commas, hidden ages and its odd spaces; Holter and high-resolution recordings of three leads (P0003: two)."""

import numpy as np

COLUMNS = (
    "Patient ID",
    "Follow-up period from enrollment (days)",
    "Exit of the study",
    "Cause of death",
    "Age",
    "Gender (male=1)",
    "Weight (kg)",
    "Height (cm)",
    "Diastolic blood  pressure (mmHg)",
    "Systolic blood pressure (mmHg)",
    "Diabetes (yes=1)",
    "Peripheral vascular disease (yes=1)",
    "History of hypertension (yes=1)",
    "Prior Myocardial Infarction (yes=1)",
    "daily smoking (cigarretes/day)",
    "smoke-free time (years)",
    "Total Cholesterol (mmol/L)",
    "HDL (mmol/L)",
    "LVEF (%)",
    "Hig-resolution ECG available",
    "ECG rhythm ",
    "Holter available",
    "Holter  rhythm ",
    "Number of ventricular premature contractions per hour",
    "Statins (yes=1)",
)
ROWS = (
    "P0001;1805;;0;62;1;80,5;170;80;130;0;0;1;0;0;;5,2;1,1;35;1;0;1;0;4,970,833,333;1",
    "P0002;33;3;3;>89;0;60;158;70;110;1;1;0;;20;0;4;NA;25;0;NA;1;0;0;0",
    "P0003;900;3;7;71;1;NA;170;75;140;0;;NA;0;20;5;520;1,3;60;1;0;1;1;0;0",
    "P0004;900;2;0;55;1;90;180;85;125;2;0;0;0;10;;4,5;1;150;1;0;0;NA;0;1",
    "P0005;400;3;1;77;0;70;165;8;120;0;0;1;0;0;0;6,1;1,6;40;0;NA;1;0;0;1",
    "P0006;700;3;6;68;1;75;172;60;100;1;0;1;1;;;3,9;0,9;20;1;0;1;0;0;1",
)
HOLTER = ("P0001", "P0002", "P0003", "P0005", "P0006")
HIGH = ("P0001", "P0003", "P0004", "P0006")
RECORDS, PATIENTS = len(HOLTER), len(HOLTER)
SECONDS = 45


def samples(record, fs, leads):
    """P0001's first 10 s have a constant lead, P0002's first 20 s an invalid sample in each window."""
    rng = np.random.default_rng(int(record[1:5]) + fs)
    raw = np.clip(
        np.cumsum(rng.integers(-20, 21, size=(SECONDS * fs, leads)), axis=0), -15_000, 15_000
    ).astype("<i2")
    if record == "P0001":
        raw[: 10 * fs, 1] = 7
    if record == "P0002":
        raw[[5 * fs, 15 * fs], 0] = -32768
    return raw


def write_recording(path, fs, trailing=0):
    leads = 2 if path.name.startswith("P0003") else 3
    raw = samples(path.name, fs, leads)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".dat").write_bytes(raw.tobytes() + bytes(trailing))
    lines = [f"{path.name} {leads} {fs} {len(raw)}"]
    for i in range(leads):
        total = (int(raw[:, i].sum(dtype=np.int64)) + 2**15) % 2**16 - 2**15
        lines.append(f"{path.name}.dat 16 1000/mV 16 0 {raw[0, i]} {total} 0 {'XYZ'[i]}")
    path.with_suffix(".hea").write_text("\n".join([*lines, ""]))


def write_table(folder, rows=ROWS):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "subject-info.csv").write_text("\n".join([";".join(COLUMNS), *rows, ""]))


def write(folder):
    write_table(folder)
    for patient in HOLTER:
        write_recording(folder / "Holter_ECG" / patient, 200)
    for patient in HIGH:
        write_recording(folder / "High-resolution_ECG" / f"{patient}_H", 1000)
    return {"root": str(folder)}
