"""A folder of NPY files with a table, as the map below describes it: every kind of key is used."""

import numpy as np

RECORDS, PATIENTS = 6, 4

MAP = """\
name: clinic
root: data
table: records.csv
record: ecg_id
patient: pid
path: "ecg/{ecg_id}.npy"
format: npy
leads: [I, II, v1]
rate: 250
units: {gain: 200, baseline: 10}
seconds: 4
covariates:
  age: {column: age_days, unit: days}
  sex: {column: gender, map: {M: 0, F: 1}}
  sbp: systolic
  total_cholesterol: {column: chol, unit: mg/dL}
  hdl: {column: hdl, unit: mmol/L}
  smoker: smoker
  diabetes: diabetes
  bmi: bmi
  egfr: egfr
  hba1c: {column: a1c, unit: "%"}
labels:
  rhythm: {column: rhythm, separator: ";", map: {sinus: SR, fib: AF}}
  finding:
    columns: {LBBB: lbbb, RBBB: rbbb}
targets:
  lvef: {column: ef, unit: "%"}
folds:
  column: split
  parts: {training: train, val: validation, test: test}
citation: "Doe et al. 2024"
"""

TABLE = """\
ecg_id,pid,age_days,gender,systolic,chol,hdl,smoker,diabetes,bmi,egfr,a1c,rhythm,lbbb,rbbb,ef,split
0007,p1,18262.5,M,120,200,1.2,1,0,25.5,90,6.5,sinus,1,0,55,training
0003,p1,18262.5,M,,200,1.2,1,0,25.5,90,6.5,fib; sinus,0,1,,training
0001,p2,,F,130,,,0,1,,,,,0,0,60,val
0002,p3,30000,F,999,240,1.0,0,1,31,60,7.0,fib,,,40,test
0004,p4,20000,,140,180,0.9,,,22,75,5.5,sinus,1,1,35,training
0005,p4,20001,,141,180,0.9,,,22,75,5.5,sinus,1,1,36,training
"""


def raw(seed):
    """[leads, samples] as the files hold them, int16; 5 s at 250 Hz."""
    walk = np.cumsum(np.random.default_rng(seed).integers(-9, 10, size=(3, 1250)), axis=1)
    return np.clip(walk, -900, 900).astype(np.int16)


def write(folder):
    (folder / "data" / "ecg").mkdir(parents=True)
    (folder / "data" / "records.csv").write_text(TABLE)
    (folder / "map.yaml").write_text(MAP)
    for row in TABLE.splitlines()[1:]:
        name = row.split(",")[0]
        np.save(
            folder / "data" / "ecg" / f"{name}.npy", raw(int(name)).T if name == "0003" else raw(int(name))
        )
    return {"map": str(folder / "map.yaml"), "root": str(folder / "data")}
