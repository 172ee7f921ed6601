"""Records as the PhysioNet Challenges write them: MATLAB 4 files that are WFDB format 16 after 24 bytes, comments with age, sex, diagnoses."""

import numpy as np
import scipy.io

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def samples(record, length):
    """Raw values [12, length]: a walk of its own in every lead and record."""
    rng = np.random.default_rng(sum(ord(c) * 31**i for i, c in enumerate(record)))
    walk = np.cumsum(rng.integers(-20, 21, size=(12, length)), axis=1)
    return np.clip(walk, -15_000, 15_000).astype(np.int16)


def write_challenge(path, comments, fs=500, length=5000):
    """`path` without extension; `comments` as they stand in the file, "#Age: 74"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = samples(path.name, length)
    scipy.io.savemat(f"{path}.mat", {"val": raw}, format="4")
    lines = [f"{path.name} 12 {fs} {length} 12-May-2020 12:33:59"]
    for lead, row in zip(LEADS, raw, strict=True):
        total = (int(row.sum(dtype=np.int64)) + 2**15) % 2**16 - 2**15
        lines.append(f"{path.name}.mat 16+24 1000/mV 16 0 {row[0]} {total} 0 {lead}")
    path.with_suffix(".hea").write_text("\n".join([*lines, *comments, ""]))


def told(age, sex, dx, style="#"):
    """The comments of one header, in one of the two styles: "#" or "# "."""
    return [
        f"{style}{field}"
        for field in (f"Age: {age}", f"Sex: {sex}", f"Dx: {dx}", "Rx: Unknown", "Hx: Unknown")
    ]
