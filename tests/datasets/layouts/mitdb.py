"""Five records as the database has them: 360 Hz, two leads, format 212, beats in .atr, age and sex in the comments."""

import numpy as np
import wfdb

#: record -> leads, comments, [(sample, symbol, note)]. One minute each. 102 is paced, 114 has its leads swapped, 201 and 202 are one person's.
BEATS = [
    (100, "+", "(N"),
    (2000, "N", ""),
    (3000, "A", ""),
    (3400, "~", ""),
    (9000, "V", ""),
    (21_500, "F", ""),
]
ROWS = {
    "100": (
        ("MLII", "V5"),
        ["69 M 1085 1629 x1", "Aldomet, Inderal"],
        [*BEATS[:-1], (12_000, "Q", ""), BEATS[-1]],
    ),
    "102": (("V5", "V2"), ["84 F 1629 x1"], [(5000, "/", "")]),
    "114": (("V5", "MLII"), ["54 F 1523 x1"], BEATS),
    "201": (("MLII", "V1"), ["68 M 1609 x1"], BEATS),
    "202": (("MLII", "V1"), ["-1 M 1608 x1"], [(4000, "L", ""), (6000, "e", ""), (8000, "J", "")]),
}
FS, LENGTH = 360, 21_600

# Windows of 10 s centred on a beat need 1,800 samples on both sides: of BEATS 3 fit, "Q" and 202's three do too.
RECORDS, PATIENTS = 4 + 3 + 3 + 3, 3


def samples(record):
    rng = np.random.default_rng(int(record))
    walk = np.cumsum(rng.integers(-5, 6, size=(LENGTH, 2)), axis=0)
    return np.clip(1024 + walk, 0, 2047)


def write(folder):
    for record, (leads, comments, marks) in ROWS.items():
        wfdb.wrsamp(
            record,
            fs=FS,
            units=["mV", "mV"],
            sig_name=list(leads),
            d_signal=samples(record),
            fmt=["212", "212"],
            adc_gain=[200, 200],
            baseline=[1024, 1024],
            comments=comments,
            write_dir=str(folder),
        )
        sample, symbol, note = zip(*marks, strict=True)
        wfdb.wrann(
            record, "atr", np.array(sample), symbol=list(symbol), aux_note=list(note), write_dir=str(folder)
        )
    return {"root": str(folder)}
