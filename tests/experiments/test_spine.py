"""The whole spine as a user starts it: raw records to an MLflow comparison, on synthetic and on real data."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def start(storage, *options, file="ablate_negatives.py"):
    command = [
        sys.executable,
        str(ROOT / "experiments" / file),
        "--smoke",
        "--storage",
        str(storage),
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=storage, check=False)


def children(storage, name="ablate_negatives"):
    client = MlflowClient(f"sqlite:///{storage}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    return parents, [r for r in runs if r.data.tags["clef_ray.kind"] == "trial"]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    storage = tmp_path_factory.mktemp("spine")
    return storage, start(storage, "--arms", "clef-127", "simclr-7", "random")


def test_synthetic_data_to_comparison(synthetic):
    storage, done = synthetic
    assert done.returncode == 0, done.stderr
    assert "clef-127" in done.stdout
    assert "report.html" in done.stdout
    assert "mlflow ui" in done.stdout or "make ui" in done.stdout
    page = next(storage.glob("reports/ablate_negatives-*/report.html")).read_text()
    assert "How many negatives" in page
    parents, runs = children(storage)
    assert [p.info.status for p in parents] == ["FINISHED"]
    assert sorted(r.data.tags["arm"] for r in runs) == ["clef-127", "random", "simclr-7"]
    assert {r.info.status for r in runs} == {"FINISHED"}
    one = next(r for r in runs if r.data.tags["arm"] == "clef-127")
    assert one.data.params["loss.negatives"] == "127"
    assert {"probe/auroc", "zeroshot/rsa", "train/loss"} <= set(one.data.metrics)
    if (ROOT / ".git").exists():
        assert "<dd>unknown</dd>" not in page.replace("\n", ""), (
            "the commit is known wherever the command is started"
        )
    assert parents[0].inputs.dataset_inputs, "the shards are an input of the comparison"


def test_the_same_command_again_trains_nothing(synthetic):
    storage, _ = synthetic
    before = {p: p.stat().st_mtime_ns for p in storage.glob("runs/*/encoder.pt")}
    again = start(storage, "--arms", "clef-127", "simclr-7", "random")
    assert again.returncode == 0, again.stderr
    assert {p: p.stat().st_mtime_ns for p in storage.glob("runs/*/encoder.pt")} == before
    parents, runs = children(storage)
    assert (len(parents), len(runs)) == (1, 3), "the same record goes on"


@pytest.mark.realdata
def test_real_data_to_comparison(realdata, tmp_path):
    done = start(tmp_path, "--data", str(realdata / "ptbxl_subset"), "--arms", "clef-127", "random")
    assert done.returncode == 0, done.stdout + done.stderr
    _, runs = children(tmp_path)
    trained = next(r for r in runs if r.data.tags["arm"] == "clef-127")
    assert 0.5 < trained.data.metrics["probe/auroc"] < 1
    assert trained.data.metrics["zeroshot/coverage"] > 0.9


def test_a_dry_run_from_the_shell_says_what_would_run(tmp_path):
    planned = start(tmp_path, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "10 arms x 1 seeds = 10 trials, 10 after de-duplication" in planned.stdout
    assert "17 more arms run when asked for" in planned.stdout
    assert "trials at once" in planned.stdout
    assert not list(tmp_path.glob("runs/*")), "nothing is trained"
