"""A tiny MIMIC-IV-ECG with the tables of MIMIC-IV (hosp, ed) and a table of ejection fractions, in their published layouts."""

import gzip

import numpy as np
import wfdb

RECORDS, PATIENTS = 7, 4

#: The order of the leads in MIMIC-IV-ECG's files.
LEADS = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]

#: study -> subject, time. Patient 10000001 has three ECGs, one of them in hospital.
ECGS = {
    40000007: (10000001, "2150-03-01 12:00:00"),
    40000003: (10000001, "2150-06-10 08:00:00"),
    40000005: (10000001, "2152-01-01 00:00:00"),
    40000001: (10000002, "2120-07-01 09:30:00"),
    40000006: (10000002, "2118-07-01 09:30:00"),
    40000002: (10000003, "2180-02-02 02:02:02"),
    40000004: (19999999, "2199-12-31 23:59:59"),
}

#: study -> report lines, rr_interval, p_onset, qrs_onset, qrs_end, t_end, axes of P, QRS and T.
MACHINE = {
    40000007: (["Sinus rhythm", "Normal ECG"], 800, 40, 200, 300, 600, 50, 60, 40),
    40000003: (["Sinus tachycardia", "", "Normal ECG except for rate"], 500, 50, 200, 290, 520, 81, 77, 79),
    40000005: (
        ["Atrial fibrillation with rapid ventricular response", "Ventricular pacing", "Abnormal ECG"],
        450, 29999, 200, 290, 560, 32767, -30, 29999,
    ),
    40000001: (["Ventricular-paced rhythm", "Pacemaker rhythm - no further analysis"], 1000, 29999, 200, 380, 700, 29999, -80, 100),
    40000006: (["Sinus bradycardia", "Borderline ECG"], 1200, 40, 200, 300, 650, 20, 30, 40),
    40000002: (["Possible atrial flutter", "Summary: Normal ECG."], 29999, 29999, 29999, 29999, 29999, 29999, 29999, 29999),
    40000004: (["Atrial flutter", ""], 400, 29999, 200, 300, 180, 10, 20, 30),
}  # fmt: skip

HOSP = {
    "patients": [
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
        "10000001,F,52,2148,2014 - 2016,",
        "10000002,M,91,2119,2011 - 2013,2121-01-01",
        "10000003,M,88,2170,2008 - 2010,",
        "10000009,F,40,2150,2008 - 2010,",
    ],
    "admissions": [
        "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,race,hospital_expire_flag",
        "10000001,20000001,2149-01-01 10:00:00,2149-01-09 10:00:00,,URGENT,BLACK/AFRICAN AMERICAN,0",
        "10000001,20000002,2150-06-09 10:00:00,2150-06-20 10:00:00,,URGENT,UNKNOWN,0",
        "10000002,20000003,2120-01-01 10:00:00,2120-01-02 10:00:00,,URGENT,WHITE,0",
        "10000002,20000004,2120-08-01 10:00:00,2120-08-02 10:00:00,,URGENT,BLACK/CAPE VERDEAN,0",
    ],
    "diagnoses_icd": [
        "subject_id,hadm_id,seq_num,icd_code,icd_version",
        "10000001,20000001,1,4019,9",
        "10000001,20000001,2,V1582,9",
        "10000001,20000001,3,4280,9",
        "10000001,20000002,1,E119,10",
        "10000001,20000002,2,F17210,10",
        "10000001,20000002,3,I639,10",
        "10000002,20000003,1,J189,10",
        "10000002,20000003,2,V1254XA,10",  # an accident; in ICD-9 V1254 is a stroke in the past
        "10000002,20000004,1,I252,10",
        "10000002,20000004,2,Z87891,10",
    ],
    "omr": [
        "subject_id,chartdate,seq_num,result_name,result_value",
        "10000001,2150-02-27,2,Blood Pressure,150/90",
        "10000001,2150-02-27,1,Blood Pressure,120/80",
        "10000001,2150-03-01,1,Blood Pressure Standing (1 min),99/66",
        "10000001,2150-03-02,1,Blood Pressure,1300/80",
        "10000001,2150-03-02,2,Blood Pressure,80/120",
        "10000001,2150-03-05,1,Blood Pressure Sitting,130/85",
        "10000001,2150-02-01,1,BMI (kg/m2),26.5",
        "10000001,2150-02-02,1,BMI (kg/m2),2650",
        "10000002,2120-06-01,1,Height (Inches),70",
        "10000002,2120-06-30,1,Weight (Lbs),154",
        "10000002,2120-06-30,1,eGFR,>60",
    ],
    "labevents": [
        "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,valueuom,comments",
        "1,10000001,,1,50907,,2150-02-28 12:00:00,2150-02-28 14:00:00,200,200,mg/dL,",
        '2,10000001,,1,50904,,2150-03-03 12:00:00,,50,50,mg/dL,"two\nlines"',
        "3,10000001,,1,50912,,2150-02-28 12:00:00,,1.2,1.2,mg/dL,",
        "4,10000001,,1,50852,,2150-02-20 12:00:00,,7.0,7.0,%,",
        "5,10000001,,1,50907,,2150-03-01 11:00:00,,9000,9000,mg/dL,",
        "6,10000001,,1,50907,,2150-03-01 11:59:00,,___,,mg/dL,",
        "7,10000002,,1,50912,,2120-07-01 09:30:00,,0.8,0.8,mg/dL,",
        "8,10000001,,1,51221,,2150-03-01 12:00:00,,40,40,%,",
        "9,10000009,,1,50907,,2150-03-01 12:00:00,,150,150,mg/dL,",
    ],
    "prescriptions": [
        "subject_id,hadm_id,pharmacy_id,starttime,stoptime,drug_type,drug,route",
        "10000001,20000001,1,2149-03-02 08:00:00,,MAIN,Metoprolol Tartrate,PO/NG",
        "10000001,20000001,2,2149-12-02 08:00:00,,MAIN,Metoprolol Tartrate,IV",
        "10000001,20000001,3,2149-12-02 08:00:00,,MAIN,Atorvastatin,PO",
        "10000001,20000002,4,2150-06-10 09:00:00,,MAIN,Lisinopril,PO",
        "10000002,20000003,5,2120-01-01 12:00:00,,MAIN,Nystatin,PO",
    ],
}

ED = {
    "edstays": [
        "subject_id,hadm_id,stay_id,intime,outtime,gender,race",
        "10000001,,30000001,2150-06-09 07:00:00,2150-06-09 12:00:00,F,BLACK",
        "10000002,,30000002,2118-07-01 09:00:00,2118-07-01 12:00:00,M,WHITE",
    ],
    "triage": [
        "subject_id,stay_id,temperature,heartrate,resprate,o2sat,sbp,dbp,pain,acuity,chiefcomplaint",
        "10000001,30000001,98.6,90,18,99,170,95,3,3,PAIN",
        "10000002,30000002,98.6,90,18,99,160,90,3,3,PAIN",
    ],
    "vitalsign": [
        "subject_id,stay_id,charttime,temperature,heartrate,resprate,o2sat,sbp,dbp,rhythm,pain",
        "10000002,30000002,2118-07-01 09:40:00,,80,16,98,151,,,",
    ],
}

LVEF = [
    "subject_id,waveform_path,LVEF,class",
    "10000001,files/p1000/p10000001/s40000007/40000007,35,0",
    "10000001,files/p1000/p10000001/s40000003/40000003,40.5,0",
    "10000002,files/p1000/p10000002/s40000001/40000001,60,1",
    "10000002,files/p1000/p10000002/s40000006/40000006,500,1",
    "10000003,files/p1000/p10000003/s40000002/40000002,30,0",
    "10000003,files/p1000/p10000003/s40000002/40000002,70,1",
]


MEASURED = "bandwidth,filtering,rr_interval,p_onset,p_end,qrs_onset,qrs_end,t_end,p_axis,qrs_axis,t_axis"


def path_of(study):
    subject = ECGS[study][0]
    return f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"


def samples(study):
    walk = np.random.default_rng(study).integers(-20, 21, size=(5000, 12)).cumsum(axis=0)
    return np.clip(walk, -3000, 3000).astype(np.int16)


def write_tables(folder, tables, zipped=()):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in tables.items():
        text = ("\n".join(lines) + "\n").encode()
        if name in zipped:
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text))
        else:
            (folder / f"{name}.csv").write_bytes(text)


def machine_line(study):
    report, rr, p_onset, qrs_onset, qrs_end, t_end, *axes = MACHINE[study]
    said = ",".join(f'"{line}"' if line else "" for line in report + [""] * (18 - len(report)))
    subject, time = ECGS[study]
    numbers = ",".join(map(str, (rr, p_onset, 29999, qrs_onset, qrs_end, t_end, *axes)))
    return f"{subject},{study},6848296,{time},{said},0.005-150 Hz,60 Hz notch Baseline filter,{numbers}"


def write_ecgs(root):
    reports = ",".join(f"report_{place}" for place in range(18))
    machine = [
        f"subject_id,study_id,cart_id,ecg_time,{reports},{MEASURED}",
        *(machine_line(study) for study in ECGS),
    ]
    records = [
        "subject_id,study_id,file_name,ecg_time,path",
        *(f"{subject},{study},{study},{time},{path_of(study)}" for study, (subject, time) in ECGS.items()),
    ]
    write_tables(root, {"machine_measurements": machine, "record_list": records})
    for study in ECGS:
        path = root / path_of(study)
        path.parent.mkdir(parents=True)
        wfdb.wrsamp(
            path.name, fs=500, units=["mV"] * 12, sig_name=LEADS, d_signal=samples(study), fmt=["16"] * 12,
            adc_gain=[200.0] * 12, baseline=[0] * 12, write_dir=str(path.parent),
        )  # fmt: skip


def write(folder):
    root = folder / "mimic-iv-ecg"
    write_ecgs(root)
    write_tables(folder / "hosp", HOSP, zipped=("labevents", "prescriptions", "omr"))
    write_tables(folder / "ed", ED, zipped=("triage",))
    write_tables(folder, {"LVEF": LVEF})
    return {
        "root": str(root),
        "hosp": str(folder / "hosp"),
        "ed": str(folder / "ed"),
        "lvef": str(folder / "LVEF.csv"),
    }
