"""Two patients of two segments as published: 250 Hz, one lead, format 16, beats N S V Q and rhythms "(N" ... ")" in .atr. One minute each."""

import numpy as np
import wfdb

FS, LENGTH = 250, 15_000
N, S, V, Q = "NSVQ"

#: segment -> [(sample, symbol, note)]
MARKS = {
    "p00000_s00": [
        (100, "+", "(N"),
        (500, N, ""),
        (4000, N, ""),
        (5000, Q, ""),
        (9000, "+", ")"),
        (14_900, V, ""),
    ],
    "p00000_s01": [(200, "+", "(AFIB"), (4000, N, ""), (6000, V, ""), (8000, S, ""), (14_000, "+", ")")],
    "p10999_s00": [(300, "+", "(N"), (3000, N, ""), (3200, "+", "(AFL"), (6000, N, ""), (7000, "+", ")")],
    "p10999_s07": [(4000, Q, ""), (8000, "a", "")],
}
# Beats: N, then V and S from the second segment; and N and S (aberrated) of the other patient.
RECORDS, PATIENTS = 5, 2


def samples(segment):
    rng = np.random.default_rng(int(segment[1:6]) + int(segment[-2:]))
    return np.clip(np.cumsum(rng.integers(-20, 21, size=(LENGTH, 1)), axis=0), -3000, 3000)


def write(folder):
    for segment, marks in MARKS.items():
        place = folder / segment[:3] / segment[:6]
        place.mkdir(parents=True, exist_ok=True)
        wfdb.wrsamp(
            segment,
            fs=FS,
            units=["mV"],
            sig_name=["ecg"],
            d_signal=samples(segment),
            fmt=["16"],
            adc_gain=[1000],
            baseline=[0],
            write_dir=str(place),
        )
        sample, symbol, note = zip(*marks, strict=True)
        wfdb.wrann(
            segment,
            "atr",
            np.array(sample),
            symbol=list(symbol),
            aux_note=list(note),
            fs=FS,
            write_dir=str(place),
        )
    return {"root": str(folder), "windows": "beats"}
