"""A tiny MC-MED in its published layout: six visits of five patients; one without lead II, one in no part of the split."""

import numpy as np
import wfdb

RECORDS, PATIENTS = 4, 3

VISITS = [
    "MRN,CSN,Visit_no,Visits,Age,Gender,Race,Ethnicity,Means_of_arrival,Triage_Temp,Triage_SBP,Triage_DBP,Triage_acuity,CC,ED_dispo,DC_dispo",
    "99000001,98000012,1,2,64,M,White,Non-Hispanic/Non-Latino,Self,36.7,128.0,78.0,3-Urgent,PAIN,Discharge,Home/Work (includes foster care)",
    '99000001,98000345,2,2,65,M,White,,EMS,36.7,1280,90.0,2-Emergent,"PAIN, DYSPNEA",ICU,Expired',
    "99000002,98000678,1,1,90,F,Black or African American,,EMS,36.7,150,95,1-Resuscitation,PAIN,Inpatient,Skilled Nursing Facility",
    "99000003,98000901,1,1,33,U,Declines to State,,Self,36.7,,,,PAIN,Transfer,",
    "99000004,98000234,1,1,40,F,Asian,,Self,36.7,110,70,4-Semi-Urgent,PAIN,Observation,Jail",
    "99000005,98000567,1,1,41,F,Asian,,Self,36.7,110,70,5-Non-Urgent,PAIN,Discharge,Jail",
]

SUMMARY = [
    "CSN,Type,Segments,Duration",
    "98000012,II,2,30.0",
    "98000012,Pleth,1,30.0",
    "98000345,II,1,25.0",
    "98000678,II,1,12.0",
    "98000901,II,1,11.0",
    "98000234,Pleth,1,50.0",
    "98000567,II,1,12.0",
]

#: part -> visits; 98000567 is in none.
CHRONO = {"train": (98000012, 98000345), "val": (98000678,), "test": (98000901, 98000234)}
RANDOM = {"train": (98000678, 98000567), "val": (98000901,), "test": (98000012, 98000345, 98000234)}

#: (visit, segment) -> seconds. The first visit's first segment is too short for a window of 10 s.
SEGMENTS = {
    (98000012, 1): 4,
    (98000012, 2): 26,
    (98000345, 1): 25,
    (98000678, 1): 12,
    (98000901, 1): 11,
    (98000567, 1): 12,
}


def file_of(csn, segment):
    return f"waveforms/{str(csn)[-3:]}/{csn}/II/{csn}_{segment}"


def samples(csn, segment):
    walk = (
        np.random.default_rng(csn + segment)
        .integers(-20, 21, size=(500 * SEGMENTS[csn, segment], 1))
        .cumsum(axis=0)
    )
    return np.clip(walk, -3000, 3000).astype(np.int16)


def write(folder):
    for name, lines in {"visits": VISITS, "waveform_summary": SUMMARY}.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    for split, parts in {"chrono": CHRONO, "random": RANDOM}.items():
        for part, visits in parts.items():
            (folder / f"split_{split}_{part}.csv").write_text("".join(f"{csn}\n" for csn in visits))
    for csn, segment in SEGMENTS:
        path = folder / file_of(csn, segment)
        path.parent.mkdir(parents=True, exist_ok=True)
        wfdb.wrsamp(
            path.name, fs=500, units=["mV"], sig_name=["ECG II"], d_signal=samples(csn, segment), fmt=["16"],
            adc_gain=[500.0], baseline=[0], write_dir=str(path.parent),
        )  # fmt: skip
    return {"root": str(folder)}
