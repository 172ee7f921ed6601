"""Six records as in training2017.zip: 300 Hz, one lead named ECG, a 24-byte MATLAB head before the samples, checksums left at 0."""

import numpy as np

SECONDS = {"A00001": 30, "A00002": 9, "A00003": 61, "A00004": 30, "A00005": 12, "A00006": 30}
LABELS = dict(zip(SECONDS, "NAO~NA", strict=True))
FS = 300
RECORDS, PATIENTS = 6, 6


def samples(record):
    rng = np.random.default_rng(int(record[1:]))
    walk = np.cumsum(rng.integers(-30, 31, size=SECONDS[record] * FS))
    return np.clip(walk, -3000, 3000).astype("<i2")


def write_record(folder, record, place="training2017"):
    raw = samples(record)
    at = folder / place
    at.mkdir(parents=True, exist_ok=True)
    # Level 4 MAT-file: type 30 (int16, little-endian), rows, columns, real, length of the name, the name.
    head = np.array([30, 1, len(raw), 0, 4], dtype="<i4").tobytes() + b"val\0"
    (at / f"{record}.mat").write_bytes(head + raw.tobytes())
    (at / f"{record}.hea").write_text(
        f"{record} 1 {FS} {len(raw)} 05:05:15 1/05/2000 \n{record}.mat 16+24 1000/mV 16 0 {raw[0]} 0 0 ECG \n"
    )


def write(folder):
    for record in SECONDS:
        write_record(folder, record)
    text = "".join(f"{record},{label}\n" for record, label in LABELS.items())
    (folder / "training2017" / "REFERENCE.csv").write_text(text.replace("A00004,~", "A00004,N"))
    (folder / "REFERENCE-v3.csv").write_text(text)
    return {"root": str(folder)}
