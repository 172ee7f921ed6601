"""Peak memory of joining a synthetic labevents.csv.gz of any size to ECGs, in a process of its own.

python tests/datasets/labevents_memory.py --rows 20000000 --ecgs 800035      prints one line of JSON
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

ITEMS = np.array([50907, 50904, 50912, 50852])


def write_labevents(path, rows, patients):
    """Rows sorted by patient as published, one in 25 of an item that is wanted."""
    rng = np.random.default_rng(0)
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(
            b"labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,valueuom,"
            b"ref_range_lower,ref_range_upper,flag,priority,comments\n"
        )
        for start in range(0, rows, 1_000_000):
            count = min(1_000_000, rows - start)
            item = np.where(
                rng.random(count) < 0.04, rng.choice(ITEMS, count), rng.integers(51000, 51800, count)
            )
            seconds = rng.integers(4_102_444_800, 7_258_118_400, count)
            value = rng.integers(1, 900, count) / 10
            when = pa.array(seconds).cast(pa.timestamp("s"))
            text = pa.array(value).cast(pa.string())
            nothing = pa.nulls(count, pa.string())
            columns = {
                "labevent_id": pa.array(np.arange(start, start + count)),
                "subject_id": pa.array(10_000_000 + (np.arange(start, start + count) * patients) // rows),
                "hadm_id": nothing,
                "specimen_id": pa.array(rng.integers(1, 10**8, count)),
                "itemid": pa.array(item),
                "order_provider_id": nothing,
                "charttime": when,
                "storetime": when,
                "value": text,
                "valuenum": text,
                "valueuom": pa.array(["mg/dL"] * count),
                "ref_range_lower": nothing,
                "ref_range_upper": nothing,
                "flag": nothing,
                "priority": pa.array(["ROUTINE"] * count),
                "comments": nothing,
            }
            pcsv.write_csv(pa.table(columns), out, pcsv.WriteOptions(include_header=False))


def peak_mb():
    """The most resident memory of this process since it began; getrusage would count the parent's too, of before the exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def join(path, ecgs, patients):
    """The fields of all ECGs, and what it took."""
    from clef_ray.datasets._mimic_join import Ecgs, Window
    from clef_ray.datasets._mimic_measured import laboratory

    rng = np.random.default_rng(1)
    subject_N = 10_000_000 + rng.integers(0, patients, ecgs)
    time_N = rng.integers(4_102_444_800, 7_258_118_400, ecgs).astype("datetime64[s]")
    before, begun = peak_mb(), time.perf_counter()
    fields = laboratory(Path(path), Ecgs(subject_N, time_N), Window(365.0, 365.0))
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "peak_mb": peak_mb(),
        "before_mb": before,
        "known": {name: field.summary()["records"] for name, field in fields.items()},
    }


def measured(path, ecgs, patients):
    """`join` in a process of its own, so that only its own memory counts."""
    command = [
        sys.executable,
        __file__,
        "--read",
        str(path),
        "--ecgs",
        str(ecgs),
        "--patients",
        str(patients),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ecgs", type=int, default=100_000)
    parser.add_argument("--patients", type=int, default=161_352)
    parser.add_argument("--read")
    given = parser.parse_args()
    if given.read:
        print(json.dumps(join(given.read, given.ecgs, given.patients)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "labevents.csv.gz"
            write_labevents(file, given.rows, given.patients)
            size = file.stat().st_size / 1e6
            print(
                json.dumps({"rows": given.rows, "gz_mb": size, **measured(file, given.ecgs, given.patients)})
            )
