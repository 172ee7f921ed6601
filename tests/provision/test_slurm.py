"""The batch script: its syntax, what it asks for, and a whole run on two nodes of one machine, where small programs stand in for Slurm's."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest
import ray
import yaml

from clef_ray.errors import ConfigError
from clef_ray.provision.slurm import slurm

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
COMMAND = ["python", "experiments/ablate_negatives.py", "--storage", "/shared/it's here"]


def directives(text):
    return dict(line.removeprefix("#SBATCH --").split("=", 1) for line in text.splitlines() if "#SBATCH" in line and "=" in line)  # fmt: skip


def variants():
    yield slurm(DOCUMENT, command=COMMAND)
    yield slurm(
        DOCUMENT,
        command=COMMAND,
        nodes=4,
        gpus_per_node=4,
        partition="gpu",
        account="ecg",
        environment="~/venv",
    )


def test_the_shell_understands_it(tmp_path):
    for text in variants():
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        if shellcheck := shutil.which("shellcheck"):
            (tmp_path / "job.sbatch").write_text(text)
            found = subprocess.run(
                [shellcheck, "job.sbatch"], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert found.returncode == 0, found.stdout


def test_it_asks_for_what_was_said():
    small, large = (directives(text) for text in variants())
    assert {k: small[k] for k in ("nodes", "ntasks-per-node", "cpus-per-task", "time")} == {
        "nodes": "1",
        "ntasks-per-node": "1",
        "cpus-per-task": "8",
        "time": "24:00:00",
    }
    assert not {"gpus-per-node", "partition", "account"} & set(small)
    assert (large["nodes"], large["gpus-per-node"], large["partition"], large["account"]) == (
        "4",
        "4",
        "gpu",
        "ecg",
    )
    assert large["signal"] == "B:USR1@300"


def test_directives_stand_before_the_first_command():
    """Slurm reads none after it."""
    for text in variants():
        lines = text.splitlines()
        first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
        assert not any(line.startswith("#SBATCH") for line in lines[first:])


def test_the_settings_are_those_of_cluster_yaml_and_no_token_is_in_it():
    (text, _) = variants()
    (told,) = re.findall(
        r"env ((?:\w+=\S+ )+)ray start --head", " ".join(DOCUMENT["head_start_ray_commands"])
    )
    for setting in told.split():
        assert f"export {setting}\n" in text
    assert "RAY_AUTH_MODE=token" in told.split()
    assert not re.search(r"[0-9a-f]{32,}", text)
    assert "ray stop" not in re.sub(r"#.*", "", text), "it would end the user's other jobs on the node"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"command": []}, "no experiment"),
        ({"nodes": 0}, "--nodes 0"),
        ({"gpus_per_node": -1}, "--gpus-per-node -1"),
        ({"cpus_per_node": 0}, "--cpus-per-node 0"),
        ({"time": "1 day"}, "--time 1 day"),
        ({"partition": "gpu; rm"}, "--partition gpu; rm"),
        ({"environment": "$(x)"}, "--environment"),
        ({"signal": 0}, "--signal 0"),
    ],
)
def test_what_slurm_would_misunderstand_is_told(options, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        slurm(DOCUMENT, **{"command": COMMAND, **options})


SRUN = """#!/bin/bash
echo "$*" >> "$RECORD"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""

SCONTROL = """#!/bin/bash
if [[ $1 == show ]]; then echo one; echo two; else echo "scontrol $*" >> "$RECORD"; fi
"""

HOSTNAME = f"#!/bin/bash\necho {ray.util.get_node_ip_address()} 10.9.9.9\n"

EXPERIMENT = """
import json, os, sys, time
from pathlib import Path

import ray

from clef_ray.cluster.session import session

with session() as dashboard:
    nodes = [node["Resources"].get("CPU") for node in ray.nodes() if node["Alive"]]
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    kept = [oct(place.stat().st_mode & 0o777) for place in (token, token.parent)]
    gcs = ray.get_runtime_context().gcs_address
    Path(sys.argv[1]).write_text(json.dumps([nodes, kept, gcs, dashboard]))
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        Path(sys.argv[1]).with_suffix(".tidied").touch()
        sys.exit(130)
"""


def mine(mark):
    """Processes that the script's environment marks, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CLEF_RAY_TEST") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def job():
    """Starts a script with Slurm's programs replaced; whatever is left of it at the end is killed."""
    home, mark = Path(tempfile.mkdtemp(prefix="sl", dir="/tmp")), uuid.uuid4().hex
    shims = home / "bin"
    shims.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("hostname", HOSTNAME)):
        (shims / name).write_text(text)
        (shims / name).chmod(0o700)
    number = str(os.getpid() + 100_000)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env = {
        **kept,
        "HOME": str(home),
        "PATH": f"{shims}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RECORD": str(home / "record"),
        "CLEF_RAY_TEST": mark,
        "SLURM_JOB_ID": number,
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
    }

    def begin(text):
        with (home / "log").open("wb") as log:
            return subprocess.Popen(["bash", "-c", text], env=env, stdout=log, stderr=log), home, mark

    yield begin
    for process in mine(mark):
        process.kill()
    shutil.rmtree(home)
    shutil.rmtree(f"/tmp/ray-{number}", ignore_errors=True)


@pytest.mark.ray
@pytest.mark.slow
def test_two_nodes_run_an_experiment_that_is_stopped_in_time_queued_again_and_leaves_nothing(job, tmp_path):
    experiment, out = tmp_path / "experiment.py", tmp_path / "found"
    experiment.write_text(EXPERIMENT)
    command = ["python", str(experiment), str(out)]
    script, home, mark = job(slurm(DOCUMENT, command=command, nodes=2, environment=sys.prefix))
    deadline = time.monotonic() + 240
    while not out.exists() or not out.read_text():
        assert script.poll() is None, (home / "log").read_text()
        assert time.monotonic() < deadline, (home / "log").read_text()
        time.sleep(0.2)
    nodes, kept, gcs, dashboard = json.loads(out.read_text())
    assert nodes == [1.0, 1.0], "both nodes were up before the experiment began"
    assert kept == ["0o600", "0o700"]
    # asked in a process of its own: in this one a local Ray of other tests may have said that it is the loopback interface
    asked = [sys.executable, "-c", "import ray; print(ray.util.get_node_ip_address())"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    address = subprocess.run(asked, capture_output=True, text=True, check=True, env=clean).stdout.strip()
    assert gcs.startswith(f"{address}:")
    assert dashboard.startswith(f"http://{address}:")

    script.send_signal(signal.SIGUSR1)  # what --signal=B:USR1@300 sends
    assert script.wait(120) == 130, (home / "log").read_text()
    assert out.with_suffix(".tidied").exists(), "the experiment heard of it as of Ctrl-C"
    record = (home / "record").read_text()
    assert re.search(r"^scontrol requeue \d+$", record, re.MULTILINE)
    assert re.search(
        r"^--overlap --nodes=1 .*--nodelist=one .*ray start --head --block", record, re.MULTILINE
    )
    assert re.search(r"^--overlap --nodes=1 --ntasks=1 .*--exclude=one .*ray start --block --address=\d", record, re.MULTILINE)  # fmt: skip
    assert psutil.wait_procs(mine(mark), timeout=30)[1] == [], (
        "Ray's own processes end a moment after their parent"
    )
    assert not list(home.glob(".clef_ray-*")), "the token is gone"
