"""Three participants of the auscultatory protocol and one of the oscillometric one, as the publishers' sample lays them out."""

import numpy as np

RECORDS, PATIENTS = 3, 3

PARTICIPANTS = """\
pid n_meas_inlab n_meas_ambulatory aurora_size fitzpatrick_scale bp_cuff_arm in_feature_table age height weight gender self_report_htn \
high_blood_pressure coronary_artery_disease diabetes arrythmia previous_heart_attack previous_stroke heart_failure aortic_stenosis \
valvular_heart_disease other_cv_diseases cvd_meds
o000 15 41.0 L - R 1 33.0 68.0 200.0 M norm 0 0 0 0 0 0 0 0 0 0 0
a000 14 - S 2 L 1 56.0 63.0 108.0 F norm 0 0 0 0 0 0 0 0 0 0 0
a001 11 - S 1 L 0 51.0 66.0 125.0 F managed 1 1 0 0 0 1 0 0 0 0 1
a002 19 - L 2 L 1 433.0 74.0 230.0 M unmanaged 1 0 1 0 1 0 1 0 0 1 1
"""
MEASURED = "pid phase measurement date_time sbp dbp duration pressure_quality optical_quality waveform_file_path waveforms_generated"
AUSCULTATORY = [
    ("a000", "initial", "Calibration start 1", 110.0, 74.0, True),
    ("a000", "initial", "Calibration start 2", 113.0, 73.0, True),
    ("a000", "initial", "Calibration start 3", 118.0, 71.0, False),
    ("a001", "initial", "Calibration start 1", 137.0, 89.0, True),
    ("a000", "return", "Calibration start 1", 119.0, 70.0, True),
    ("a001", "return", "Temporal challenge start 1", 130.0, 0.0, True),
    ("a002", "initial", "Calibration start 1", 116.0, 69.5, True),
]
OSCILLOMETRIC = [
    ("o000", "initial", "Sitting arm down", 120.0, 80.0, True),
    ("o000", "ambulatory", "measurement 23", "-", "-", True),
]
#: Of a000 and a002 only.
FEATURES = """\
pid phase measurement sbp dbp baseline_sbp baseline_dbp
a000 initial Calibration_start_1 110.0 74.0 111.5 73.5
a000 synthetic Calibration_average_values 111.5 73.5 111.5 73.5
a002 synthetic Calibration_average_values 117.0 69.0 117.0 69.0
"""


def tabs(text):
    """Columns divided by tabs; a dash is an empty cell."""
    return text.replace(" ", "\t").replace("\t-", "\t").replace("_average_values", " average values")


def millivolts(seed, offset, seconds=12):
    rng = np.random.default_rng(seed)
    return offset + np.cumsum(rng.normal(0, 0.01, size=round(seconds * 500)))


def write_waveform(path, mv_T):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["t\tekg\toptical\tpressure\taccel_x\taccel_y\taccel_z"]
    lines += [f"{i / 500:g}\t{mv:.5g}\t-3.2e+05\t3796.1\t-0.8\t0.07\t0.59" for i, mv in enumerate(mv_T)]
    path.write_text("\n".join(lines) + "\n")


def write_measurements(folder, protocol, rows):
    lines = [MEASURED.replace(" ", "\t")]
    for seed, (pid, phase, name, sbp, dbp, has_file) in enumerate(rows):
        file = f"measurements_{protocol}/{pid}/{pid}.{phase}.{name.replace(' ', '_')}.tsv"
        if has_file:
            write_waveform(folder / file, millivolts(seed, offset=10.0 + 100 * seed))
        cells = [
            pid,
            phase,
            name,
            "2018-01-01 13:14:20",
            sbp,
            dbp,
            18.5,
            1.0,
            0.98,
            file if has_file else "",
            int(has_file),
        ]
        lines.append("\t".join("" if cell == "-" else str(cell) for cell in cells))
    (folder / f"measurements_{protocol}.tsv").write_text("\n".join(lines) + "\n")


def write(folder):
    (folder / "participants.tsv").write_text(tabs(PARTICIPANTS))
    (folder / "features.tsv").write_text(tabs(FEATURES))
    write_measurements(folder, "auscultatory", AUSCULTATORY)
    write_measurements(folder, "oscillometric", OSCILLOMETRIC)
    return {"root": str(folder)}
