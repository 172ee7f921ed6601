"""Five exams of four patients in the published layout: exams.csv and two HDF5 files, each exam filled up with zeros to 4096 samples."""

import h5py
import numpy as np
import pandas as pd

FS, FULL = 400, 4096

#: exam -> file, samples, first of them in the file
EXAMS = {
    1169160: (0, 4096, 0),
    2873686: (0, 2934, 581),
    168405: (1, 4000, 48),
    271011: (1, 2800, 648),
    384368: (1, 2934, 581),
}
ABNORMAL = ["1dAVb", "RBBB", "LBBB", "SB", "ST", "AF"]
TABLE = pd.DataFrame(
    [
        # exam, age, male, age by network, the six, patient, death, timey, normal, file
        [1169160, 38, True, 40.2, *[False] * 6, 523632, False, 2.1, True, 0],
        [2873686, 73, True, 67.1, False, True, False, True, False, False, 1724173, True, 0.5, False, 0],
        [168405, 67, False, 73.6, *[False] * 5, True, 51421, False, 5.3, False, 1],
        [271011, 41, False, 42.0, *[False] * 6, 1737282, np.nan, np.nan, False, 1],
        [384368, 74, False, 68.9, *[False] * 6, 51421, np.nan, np.nan, True, 1],
    ],
    columns=[
        "exam_id",
        "age",
        "is_male",
        "nn_predicted_age",
        *ABNORMAL,
        "patient_id",
        "death",
        "timey",
        "normal_ecg",
        "trace_file",
    ],
)
RECORDS, PATIENTS = 5, 4


def samples(exam):
    """mV [samples, 12]; never zero in all leads."""
    _, length, _ = EXAMS[exam]
    walk = np.cumsum(np.random.default_rng(exam).normal(0, 0.02, (length, 12)), axis=0)
    return np.clip(walk, -8, 8).astype(np.float32) + np.float32(0.001)


def write(folder):
    for part in (0, 1):
        exams = [exam for exam, (file, _, _) in EXAMS.items() if file == part]
        tracings = np.zeros((len(exams) + 1, FULL, 12), dtype=np.float32)  # each file ends with an empty row
        for row, exam in enumerate(exams):
            _, length, start = EXAMS[exam]
            tracings[row, start : start + length] = samples(exam)
        with h5py.File(folder / f"exams_part{part}.hdf5", "w") as file:
            file["exam_id"] = np.array([*exams, 0])
            file["tracings"] = tracings
    TABLE.assign(trace_file=TABLE["trace_file"].map("exams_part{}.hdf5".format)).to_csv(
        folder / "exams.csv", index=False
    )
    return {"root": str(folder)}
