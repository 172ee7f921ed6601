"""A dataset in memory, for tests of what becomes of its records."""

import numpy as np
import pandas as pd

from clef_ray.datasets import COVARIATES, Signal, Source

LEADS = ("I", "II", "V1")


def ecg(seed, samples=1000, fs=100.0, leads=LEADS):
    """mV [leads, samples]: a slow random walk and beats, different in every record and lead."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / fs
    beats = np.exp(-(((t * rng.uniform(0.9, 1.6)) % 1 - 0.5) ** 2) / 0.002)
    waves = sum(
        rng.uniform(0.05, 0.3, (len(leads), 1))
        * np.sin(2 * np.pi * (f * t + rng.uniform(0, 1, (len(leads), 1))))
        for f in rng.uniform(0.3, 3.0, 12)
    )
    return (rng.uniform(0.3, 1.5, (len(leads), 1)) * beats + waves).astype(np.float32)


def signal(mv_CT, fs=100.0, leads=LEADS, gain=1000.0, baseline=0):
    raw_CT = np.rint(np.asarray(mv_CT, dtype=np.float64) * gain + baseline).astype(np.int16)
    count = len(leads)
    return Signal(raw_CT, fs, leads, np.full(count, gain, np.float32), np.full(count, baseline, np.float32))


class Toy:
    """records: name -> (patient, Signal or the error to raise). Further keywords replace the attributes below."""

    signature = ()
    source = Source("https://example.org/toy", "open", None, None, "made by the test")
    covariates = ("age", "sex")
    citation = "A test"
    licence = "none"
    headline = "kind"
    pad = False
    fs = 100.0
    samples = 1000
    leads = LEADS

    def __init__(self, records, **other):
        self.records = records
        self.label_sets = {"kind": ("NORM", "AF")}
        self.targets = {"dbp": "mmHg"}
        self.columns = {}
        for name, value in other.items():
            setattr(self, name, value)

    def parameters(self):
        return {"records": sorted(self.records)}

    def table(self):
        names = sorted(self.records)
        patients = [self.records[name][0] for name in names]
        table = pd.DataFrame(
            {"record": names, "patient": patients, "fold": [sum(p.encode()) % 10 + 1 for p in patients]}
        )
        table = table.assign(**dict.fromkeys(COVARIATES, np.nan))
        table["age"] = [50.0 + sum(p.encode()) % 20 for p in patients]
        for name in self.label_sets:
            table[f"label_{name}"] = [
                [self.label_sets[name][i % 2]] if i % 3 else None for i in range(len(names))
            ]
        for i, name in enumerate(self.targets):
            table[f"target_{name}"] = [np.nan, *(70.0 + i + k for k in range(1, len(names)))]
        return table.assign(**self.columns)

    def signal(self, row):
        found = self.records[row["record"]][1]
        if isinstance(found, Exception):
            raise found
        return found


def toy(count=12, per_patient=1, **other):
    """`count` records r000, r001, ... of patients p000, ..."""
    return Toy({f"r{i:03d}": (f"p{i // per_patient:03d}", signal(ecg(i))) for i in range(count)}, **other)
