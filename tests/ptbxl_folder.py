"""A tiny PTB-XL in its published layout, written by the tests that need one."""

from pathlib import Path

import numpy as np
import pandas as pd
import wfdb

LEADS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]  # as PTB-XL writes them
GAINS = [1000.0] * 6 + [200.0] * 3 + [481.5] * 3
BASELINES = [0] * 6 + [7] * 3 + [-30] * 3

STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NDT,non-diagnostic T,1.0,1.0,,STTC,STTC
NORM,normal,1.0,,,NORM,NORM
IMI,inferior MI,1.0,,,MI,IMI
ASMI,anteroseptal MI,1.0,,,MI,AMI
LVH,hypertrophy,1.0,,,HYP,LVH
1AVB,first degree,1.0,,,CD,_AVB
PVC,premature,,1.0,,,
SR,sinus rhythm,,,1.0,,
AFIB,fibrillation,,,1.0,,
"""

CODES = [
    "{'NORM': 100.0, 'SR': 0.0}",
    "{'1AVB': 15.0, 'ASMI': 0.0, 'IMI': 50.0}",
    "{'PVC': 100.0, 'AFIB': 0.0}",
    "{'NDT': 100.0, 'LVH': 35.0}",
]


def samples(seed, fs=100):
    """Raw values [10 s, 12]: smooth, different in every lead, never constant."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.integers(-20, 21, size=(10 * fs, 12)), axis=0)
    return np.clip(walk, -3000, 3000).astype(np.int16)


def write_record(root, name, raw, fs=100):
    path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        path.name,
        fs=fs,
        units=["mV"] * 12,
        sig_name=LEADS,
        d_signal=raw,
        fmt=["16"] * 12,
        adc_gain=GAINS,
        baseline=BASELINES,
        write_dir=str(path.parent),
    )
    return path


def write_ptbxl(root, n=20, rates=(100,)):
    """`n` records; records 1 and 2 belong to one patient, record 3 is of a person of 90 or older, record 4 of unknown age."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(1, n + 1):
        patient = 5000 + max(i, 2)
        row = {
            "ecg_id": i,
            "patient_id": float(patient),
            "age": {3: 300.0, 4: np.nan}.get(i, 40.0 + i),
            "sex": i % 2,
            "height": {5: 17.0}.get(i, 170.0),
            "weight": {6: np.nan}.get(i, 60.0 + i),
            "scp_codes": CODES[i % len(CODES)],
            "strat_fold": patient % 10 + 1,
            "filename_lr": f"records100/00000/{i:05d}_lr",
            "filename_hr": f"records500/00000/{i:05d}_hr",
        }
        rows.append(row)
        for fs in rates:
            write_record(root, row["filename_lr" if fs == 100 else "filename_hr"], samples(i, fs), fs)
    pd.DataFrame(rows).to_csv(root / "ptbxl_database.csv", index=False)
    (root / "scp_statements.csv").write_text(STATEMENTS)
    return root


def lr(root, i):
    return Path(root) / f"records100/00000/{i:05d}_lr"
