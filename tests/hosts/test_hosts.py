"""`ray up` on three hosts with their own addresses, process lists, homes, sshd and rsync: made, used, cut off, replaced, taken down.

One machine plays all of them, and the person's laptop (network.py). What is not real: the shared folder is one that all hosts see without a
network, as they would see NFS over another cable; so a host that is cut off from Ray still writes, which is the harder case.
"""

import contextlib
import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launched import ADDRESSES, HEAD, PATIENCE, ROOT, WORKERS, Cluster, running, trains
from mlflow import MlflowClient
from network import machines, require, until

from clef_ray.cli import main

pytestmark = [pytest.mark.cluster, pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]

#: One trial a host. Six epochs, so that the link is cut within a trial.
OPTIONS = [
    "--smoke",
    "--arms",
    "clef-127",
    "simclr-127",
    "--seeds",
    "2",
    "--set",
    "optimiser.epochs=6",
    "--cpus-per-worker",
    "2",
]
RUNS = [("clef-127", "0"), ("clef-127", "1"), ("simclr-127", "0"), ("simclr-127", "1")]


def raise_cluster(made: Cluster) -> None:
    """The same command again goes on: Ray gives a head 30 s to start, too little on a machine that is busy with something else."""
    for _ in range(4):
        begin = time.monotonic()
        up = made.typed("up", "--yes", str(made.file))
        made.seconds["ray up"] = time.monotonic() - begin
        if up.returncode == 0:
            return
    raise AssertionError(up.stdout + up.stderr)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three hosts that `ray up` has joined to a cluster, and `ray dashboard` in the laptop's second terminal."""
    require()
    folder = tmp_path_factory.mktemp("hosts")
    with machines(folder, ADDRESSES) as hosts:
        made = Cluster(hosts, folder / "hosts.yaml", folder / "shared")
        options = ["--head", HEAD, "--workers", *WORKERS, "--user", "root", "--ssh-key", str(folder / "key")]
        with made.file.open("w") as file, contextlib.redirect_stdout(file):
            assert (
                main(
                    [
                        "cluster",
                        "hosts",
                        "--from",
                        str(ROOT / "cluster.yaml"),
                        *options,
                        "--environment",
                        sys.prefix,
                    ]
                )
                == 0
            )
        token = made.laptop.run("bash", "-c", "umask 077; ray get-auth-token --generate", timeout=PATIENCE)
        assert token.returncode == 0, token.stderr
        # Ray gives its dashboard a minute, too little on a machine that is busy with something else.
        (hosts["head"].home / ".bashrc").write_text("export RAY_DASHBOARD_STARTUP_TIMEOUT_S=600\n")
        raise_cluster(made)
        log = (folder / "dashboard.log").open("w")
        forward = subprocess.Popen(
            made.ray("dashboard", str(made.file)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        made.timed("head and both workers have joined", made.all_joined)
        yield made
        forward.kill()
    print("\n" + "".join(f"{what:<60} {seconds:6.0f} s\n" for what, seconds in made.seconds.items()))


def test_nobody_gets_in_without_the_token(cluster):
    nodes = "/api/v0/nodes"
    assert cluster.ask(nodes, cluster.token).startswith("200 ")
    assert cluster.ask(nodes, "") == "401\n"
    assert cluster.ask(nodes, "0" * 64) == "403\n"
    assert cluster.ask(nodes, cluster.token, HEAD).startswith("nobody "), (
        "the dashboard is on the head's loopback only"
    )
    for host in cluster.hosts.values():
        assert (host.home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0


def submit(cluster: Cluster, folder: Path) -> tuple[subprocess.Popen, Path]:
    """The experiment as a job whose driver runs on the head."""
    shutil.copytree(
        ROOT / "experiments", folder / "experiments", ignore=shutil.ignore_patterns("__pycache__")
    )
    entry = [
        "python",
        "experiments/ablate_negatives.py",
        "--address",
        "auto",
        "--storage",
        str(cluster.shared),
        *OPTIONS,
    ]
    command = [
        "job",
        "submit",
        "--address",
        "http://127.0.0.1:8265",
        "--working-dir",
        str(folder),
        "--",
        *entry,
    ]
    log = folder.parent / "job.log"
    with log.open("w") as file:
        return subprocess.Popen(
            cluster.ray(*command), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        ), log


def test_a_sweep_survives_a_cut_link(cluster, tmp_path):
    """The host is cut off while it trains; its run is done again elsewhere, and all are what they are without any cluster."""
    cut = cluster.hosts["worker-2"]
    for number in range(
        4
    ):  # clef_ray gives a cluster 30 s to answer, too little on a machine that is busy with something else
        begin = time.monotonic()
        job, log = submit(cluster, tmp_path / str(number) / "job")
        until("the second worker trains", lambda: trains(cut) or job.poll() is not None, PATIENCE)  # noqa: B023
        if job.poll() is None:
            break
    assert job.poll() is None, log.read_text()
    done = {file.parent.name for file in cluster.shared.glob("runs/*/pretrain.json")}
    assert len(done) < len(RUNS)
    cut.link("down")
    cluster.timed("a cut link: the node counts as dead", lambda: set(cluster.alive()) == {HEAD, WORKERS[0]})
    assert job.poll() is None, "it was over before anybody had noticed\n" + log.read_text()
    assert job.wait(PATIENCE) == 0, log.read_text()
    cluster.seconds["the sweep, from `ray job submit` to its report"] = time.monotonic() - begin
    assert "report.html" in log.read_text()
    assert_complete(cluster.shared)
    alone = tmp_path / "alone"
    command = [
        sys.executable,
        str(ROOT / "experiments" / "ablate_negatives.py"),
        "--storage",
        str(alone),
        *OPTIONS,
    ]
    reference = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path
    )
    assert reference.returncode == 0, reference.stderr
    here, there = results(alone), results(cluster.shared)
    assert here.keys() == there.keys()
    for run, metrics in here.items():
        assert there[run] == pytest.approx(metrics, abs=1e-6, nan_ok=True), run


def assert_complete(storage: Path) -> None:
    """Every run of the plan is there once: in the storage, in the report and in MLflow."""
    assert len(list(storage.glob("runs/*/pretrain.json"))) == len(RUNS)
    (report,) = storage.glob("reports/ablate_negatives-*/plan.json")
    outcomes = [(o["arm"], str(o["seed"]), o["state"]) for o in json.loads(report.read_text())["outcomes"]]
    assert sorted(outcomes) == [(arm, seed, "COMPLETE") for arm, seed in RUNS]
    client = MlflowClient(f"sqlite:///{storage}/mlflow/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("ablate_negatives").experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}
    trials = [r.data.tags for r in runs if r.data.tags["clef_ray.kind"] == "trial"]
    assert sorted((tags["arm"], tags["seed"]) for tags in trials) == RUNS


def results(storage: Path) -> dict[str, dict[str, float]]:
    """Per run: the loss of every epoch, and every metric that it was judged by."""
    found = {}
    for file in storage.glob("runs/*/pretrain.json"):
        history = json.loads(file.read_text())["history"]
        found[file.parent.name] = {f"loss {epoch['epoch']}": epoch["loss"] for epoch in history}
    (report,) = storage.glob("reports/ablate_negatives-*/table.csv")
    for line in csv.DictReader(report.read_text().splitlines()):
        numbers = {name: float(text) for name, text in line.items() if name != "arm" and is_number(text)}
        found[line["arm"]] = numbers
    return found


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_a_host_comes_back_after_a_cut_and_with_an_empty_disk(cluster):
    """One was cut off, the other is replaced: everything of Ray's is gone from it, the token too."""
    cut, replaced = cluster.hosts["worker-2"], cluster.hosts["worker-1"]
    before = cluster.alive()[WORKERS[0]]
    for process in replaced.processes():
        if process.name() not in {"bash", "cat", "sshd"}:
            process.kill()
    shutil.rmtree(replaced.home)
    replaced.home.mkdir()
    cut.link("up")
    cluster.timed(
        "a cut and a replaced host have joined again",
        lambda: cluster.all_joined() and cluster.alive()[WORKERS[0]] != before,
    )


def test_ray_down_leaves_nothing(cluster):
    begin = time.monotonic()
    down = cluster.typed("down", "--yes", str(cluster.file))
    assert down.returncode == 0, down.stdout + down.stderr
    cluster.seconds["ray down"] = time.monotonic() - begin
    hosts = [cluster.hosts[name] for name in ("head", "worker-1", "worker-2")]
    cluster.timed("after that nothing is left running", lambda: not any(map(running, hosts)))
