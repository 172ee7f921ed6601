"""`clef-ray cluster kubernetes|slurm`: options reach the file that is printed, whose text the other tests look into."""

from pathlib import Path

import pytest
import yaml

from clef_ray.cli import main
from clef_ray.provision.kubernetes import kubernetes
from clef_ray.provision.slurm import slurm

FILE = Path(__file__).resolve().parents[2] / "cluster.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text(encoding="utf-8"))
COMMAND = ["python", "x.py", "--address", "auto", "--nodes", "7"]


def test_every_option_of_kubernetes_reaches_the_manifest(capsys):
    told = [
        "--image",
        "i:1",
        "--memory",
        "8Gi",
        "--spill",
        "9Gi",
        "--service-account",
        "a",
        "--env-secret",
        "s",
    ]
    assert main(["cluster", "kubernetes", "--from", str(FILE), *told, "--", *COMMAND]) == 0
    options = {"memory": "8Gi", "spill": "9Gi", "service_account": "a", "env_secret": "s"}
    assert capsys.readouterr().out == kubernetes(DOCUMENT, image="i:1", command=COMMAND, **options)
    assert main(["cluster", "kubernetes", "--from", str(FILE), "--image", "i:1"]) == 0
    assert capsys.readouterr().out == kubernetes(DOCUMENT, image="i:1")


def test_every_option_of_slurm_reaches_the_script(capsys):
    options = {"nodes": 4, "gpus_per_node": 2, "cpus_per_node": 16, "time": "1-00:00:00"}
    names = {"partition": "gpu", "account": "ecg", "environment": "~/venv"}
    told = [
        w for key, value in {**options, **names}.items() for w in (f"--{key.replace('_', '-')}", str(value))
    ]
    assert main(["cluster", "slurm", "--from", str(FILE), *told, "--", *COMMAND]) == 0
    assert capsys.readouterr().out == slurm(DOCUMENT, command=COMMAND, **options, **names)
    assert main(["cluster", "slurm", "--from", str(FILE), "--", *COMMAND]) == 0
    assert capsys.readouterr().out == slurm(DOCUMENT, command=COMMAND)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kubernetes"], "--image"),
        (["slurm"], "COMMAND"),
        (["slurm", "--from", str(FILE), "--time", "soon", "--", "x"], "--time soon"),
        (["kubernetes", "--from", "nowhere.yaml", "--image", "i"], "nowhere.yaml"),
    ],
)
def test_what_is_missing_or_wrong_is_told(words, said, capsys):
    try:
        code = main(["cluster", *words])
    except SystemExit as stopped:
        code = stopped.code
    assert code not in (0, None)
    assert said in capsys.readouterr().err
