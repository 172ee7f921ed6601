"""Three recordings of two minutes in the published layout: TrainingSet/data/A01.mat and ref/R01.mat of level 5, 400 Hz, mV."""

import numpy as np
import scipy.io

FS, LENGTH = 400, 48_000

#: recording -> S, V. Windows of 10 s, 4,000 samples, need 2,000 on both sides; 500 is too near to the beginning, 9000 is marked twice.
MARKS = {"A01": ([], []), "A04": ([20_000], [500, 9000, 9000, 30_100]), "A10": ([12_000, 12_300], [])}

# 12 windows side by side in each: A04 has marks in those from 0, 8000, 20000 and 28000; A10 in that from 12000.
N = {"A01": 12, "A04": 8, "A10": 11}
RECORDS, PATIENTS = sum(N.values()) + 3 + 2, 3


def samples(name):
    rng = np.random.default_rng(int(name[1:]))
    return rng.normal(0, 0.3, LENGTH).astype(np.float32)


def write(folder):
    for kind in ("data", "ref"):
        (folder / "TrainingSet" / kind).mkdir(parents=True, exist_ok=True)
    for name, (s, v) in MARKS.items():
        scipy.io.savemat(folder / f"TrainingSet/data/{name}.mat", {"ecg": samples(name)[:, None]})
        marks = {
            "S_ref": np.array(s, dtype=np.float64)[:, None],
            "V_ref": np.array(v, dtype=np.float64)[:, None],
        }
        scipy.io.savemat(folder / f"TrainingSet/ref/R{name[1:]}.mat", {"ref": marks})
    return {"root": str(folder)}
