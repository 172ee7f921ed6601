"""Nothing of a patient leaves the shards: a whole run on a cohort whose names and values are unmistakable, and a search through all it wrote."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ray

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main
from clef_ray.cluster.ingest import ingest
from clef_ray.errors import DataError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENTS = 90

MAP = """\
table: records.csv
record: record
patient: patient
path: "{record}.npy"
format: npy
leads: [I]
rate: 100
seconds: 2.5
covariates:
  age: age
  sex: sex
  sbp: systolic
labels:
  kind: {column: diagnosis}
"""

ABLATION = Ablation(
    name="private",
    question="Is anything told?",
    expect="No.",
    arms=(Arm("simclr", {"method": "simclr"}, "methods"), Arm("random", {"method": "random"}, "methods")),
    base="simclr",
    seeds=(0,),
    tasks=("score_spearman:score=age,permutations=9",),
    headline=("zeroshot/rsa",),
    settings={"signals.fs": 100, "signals.seconds": 2.0, "views.lead": "I", "optimiser.batch": 16, "optimiser.epochs": 1, "score": "age"},
)  # fmt: skip


def cohort(folder, broken=0):
    """Ninety patients, whose names, ages and pressures cannot stand anywhere by chance; some files are no signals."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    number = np.arange(PATIENTS)
    table = pd.DataFrame(
        {
            "record": [f"REC{n:03d}q7" for n in number],
            "patient": [f"Zzyzx-{n:03d}-Quillfeather" for n in number],
            "age": np.round(rng.uniform(61, 79, PATIENTS), 5),
            "sex": number % 2,
            "systolic": np.round(rng.uniform(101, 179, PATIENTS), 5),
            "diagnosis": ["NORM" if n % 3 else "AFIB" for n in number],
        }
    )
    for n, name in enumerate(table["record"]):
        np.save(
            folder / f"{name}.npy",
            rng.normal(0, 0.3, (1, 250)).astype(np.float32) if n >= broken else np.zeros(3),
        )
    table.to_csv(folder / "records.csv", index=False)
    (folder / "map.yaml").write_text(MAP)
    return table


def secrets_of(table, decimals):
    """Every text that must stand nowhere: the names, and the values, cut after so many decimals (a file full of times needs more of them)."""
    values = [
        re.match(rf"\d+\.\d{{{decimals}}}", f"{v:.5f}")[0]
        for column in ("age", "systolic")
        for v in table[column]
    ]
    return [text.encode() for text in ("Zzyzx", "Quillfeather", *table["record"], *values)]


def contents(path):
    """A file's bytes, and those of the files in it."""
    data = path.read_bytes()
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return b"".join(packed.read(name) for name in packed.namelist())
    return data


def told(folder, secrets):
    """File -> what of the secrets stands in it."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    assert files, folder
    found = {str(path): [s for s in secrets if s in contents(path)] for path in files}
    return {path: texts[:3] for path, texts in found.items() if texts}


def ray_logs():
    return Path(ray._private.worker._global_node.get_logs_dir_path())


def test_a_run_tells_nobody_about_patients(local_ray, tmp_path, capfd):
    """Console, MLflow's database and artifacts, Optuna's, the report, Ray's logs; the shards hold all of it, as the oracle that they are searched for."""
    table = cohort(tmp_path / "in", broken=3)
    shards, storage, secrets = tmp_path / "shards", tmp_path / "storage", secrets_of(table, 3)
    source = (tmp_path / "in" / "records.csv").read_bytes()
    assert all(secret in source for secret in secrets), "the search finds what is there"
    ingest("generic", {"map": str(tmp_path / "in" / "map.yaml")}, str(shards), records_per_part=30)
    assert told(shards, secrets)
    assert main(ABLATION, ["--data", str(shards), "--storage", str(storage)]) == 0
    shown = capfd.readouterr()
    assert "report.html" in shown.out
    assert [s for s in secrets if s in (shown.out + shown.err).encode()] == []
    for place in ("mlflow", "optuna", "reports"):
        assert told(storage / place, secrets) == {}
    assert told(ray_logs(), secrets_of(table, 5)) == {}


def test_what_goes_wrong_is_told_in_numbers(local_ray, tmp_path, capfd):
    """Too many files are broken: the error names reasons and counts, and the file in which each is listed."""
    table = cohort(tmp_path / "in", broken=30)
    with pytest.raises(DataError, match=r"30 of 90 records \(33.3%\) cannot be used") as error:
        ingest(
            "generic",
            {"map": str(tmp_path / "in" / "map.yaml")},
            str(tmp_path / "shards"),
            records_per_part=45,
        )
    secrets, shown = secrets_of(table, 3), capfd.readouterr()
    assert [s for s in secrets if s in (str(error.value) + shown.out + shown.err).encode()] == []
    assert told(ray_logs(), secrets_of(table, 5)) == {}
