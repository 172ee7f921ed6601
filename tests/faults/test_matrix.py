"""The resume contract of the README, line by line: what is killed, cut off or filled up, and what the same command makes of it.

The whole matrix is `make test-faults`; it prints fault, outcome and seconds to recovery.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil
import pytest
from experiment import ABLATION, EPOCHS
from mlflow_server import Server
from postgres import postgres
from sweep import EXPERIMENT, PATIENCE, Sweep, assert_whole, until

from clef_ray.ablation import plan
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards import Manifest, ingest_local
from clef_ray.studies.storage import open_storage

pytestmark = [pytest.mark.ray, pytest.mark.slow]

#: Seconds for which a server is away.
AWAY = 60

#: (fault, outcome, seconds until everything was whole again)
TABLE: list[tuple[str, str, float]] = []


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    ingest_local(Synthetic(patients=250, seed=0), str(folder))
    return folder


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    width = max((len(fault) for fault, _, _ in TABLE), default=0)
    print("\n\nfault x outcome x seconds to recovery")
    for fault, outcome, seconds in TABLE:
        print(f"  {fault:<{width}}  {outcome:<40} {seconds:6.1f}")


@pytest.fixture
def sweep(shards, tmp_path) -> Iterator[Sweep]:
    made = Sweep(shards, tmp_path / "storage")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def again(sweep: Sweep, fault: str, before, outcome: str = "the same command goes on") -> None:
    """The same command once more, and everything is whole."""
    begin = time.monotonic()
    sweep.start()
    assert sweep.wait() == 0, sweep.text()
    assert_whole(sweep, before)
    TABLE.append((fault, outcome, time.monotonic() - begin))


def by_itself(sweep: Sweep, fault: str, before, begin: float) -> None:
    """The running command ends well without help."""
    assert sweep.wait() == 0, sweep.text()
    assert_whole(sweep, before)
    TABLE.append((fault, "goes on by itself", time.monotonic() - begin))


@pytest.mark.faults
def test_kill_of_the_driver(sweep):
    sweep.start()
    before = sweep.until_epoch(2)
    children = sweep.children()
    sweep.kill()
    sweep.wait()
    _, alive = psutil.wait_procs(children, timeout=180)
    assert not alive, f"Ray outlived its driver: {alive}"
    again(sweep, "kill -9 of the driver", before)


@pytest.mark.faults
def test_kill_of_the_driver_of_a_search(sweep):
    """Configurations that a sampler drew: the ones that ran go on under their numbers, and no further one is drawn in their place."""
    sweep.experiment = EXPERIMENT.with_name("searching.py")
    sweep.start()
    before = sweep.until_epoch(2)
    sweep.kill()
    sweep.wait()
    storage = open_storage(sweep.study)
    (summary,) = optuna.get_all_study_summaries(storage)
    drawn = [t.params for t in optuna.load_study(study_name=summary.study_name, storage=storage).trials]
    begin = time.monotonic()
    sweep.start()
    assert sweep.wait() == 0, sweep.text()
    found = optuna.load_study(study_name=summary.study_name, storage=storage).trials
    assert [t.params for t in found][: len(drawn)] == drawn
    assert len(found) == 4
    assert {t.state.name for t in found} <= {"COMPLETE", "PRUNED"}
    after = sweep.histories()
    for run, epochs in before.items():
        assert after[run][: len(epochs)] == epochs, f"{run} lost finished epochs"
    assert set(sweep.statuses("searching").values()) == {"FINISHED"}
    TABLE.append(("kill -9 of the driver of a search", "the same command goes on", time.monotonic() - begin))


@pytest.mark.faults
def test_a_stopped_configuration_stays_stopped_when_the_driver_is_killed(sweep):
    """It is not run again, not drawn again, and counted once by Optuna, MLflow and the report."""
    sweep.experiment = EXPERIMENT.with_name("pruning.py")
    sweep.start()
    before = until(lambda: pruned(sweep), sweep)
    sweep.kill()
    sweep.wait()
    (number, stopped), *_ = sorted(before.items())
    (run,) = stopped.user_attrs["fingerprints"].values()
    checkpoint = sweep.storage / "runs" / run / "checkpoint.pt"
    written = checkpoint.stat().st_mtime_ns
    begin = time.monotonic()
    sweep.start()
    assert sweep.wait() == 0, sweep.text()
    seconds = time.monotonic() - begin
    trials = studied(sweep, "pruning-")
    assert [t.state.name for t in trials] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert (trials[number].params, trials[number].user_attrs) == (stopped.params, stopped.user_attrs)
    assert checkpoint.stat().st_mtime_ns == written, "it was trained again"
    records = [r for r in sweep.records("pruning") if r.data.tags.get("clef_ray.kind") == "trial"]
    told = sorted((r.data.tags["arm"], r.info.status) for r in records)
    assert told == [("c000", "FINISHED"), ("c001", "FINISHED"), ("c002", "FINISHED")]
    (report,) = sweep.storage.glob("reports/pruning-*/plan.json")
    content = json.loads(report.read_text())
    states = {o["arm"]: o["state"] for o in content["outcomes"]}
    assert states == {"c000": "COMPLETE", "c001": "PRUNED", "c002": "PRUNED"}
    assert len(content["outcomes"]) == 3
    TABLE.append(("kill -9 of the driver after an early stop", "stays stopped; the rest goes on", seconds))


def studied(sweep: Sweep, prefix: str) -> list[optuna.trial.FrozenTrial]:
    """The trials of the one study whose name begins so."""
    storage = open_storage(sweep.study)
    found = [s.study_name for s in optuna.get_all_study_summaries(storage)]
    (name,) = [name for name in found if name.startswith(prefix)]
    return optuna.load_study(study_name=name, storage=storage).trials


def pruned(sweep: Sweep) -> dict[int, optuna.trial.FrozenTrial]:
    """The study's stopped trials by number; none before there is a study."""
    if not (sweep.storage / "optuna" / "optuna.db").exists():
        return {}
    try:
        trials = studied(sweep, "pruning-")
    except (ValueError, KeyError):  # the study is being made
        return {}
    return {t.number: t for t in trials if t.state.name == "PRUNED"}


@pytest.mark.faults
def test_kill_of_one_worker_of_a_group(sweep, shards, tmp_path):
    """A trial of two workers ends with the weights of one that nobody disturbed, to the last bit."""
    options = {"--workers-per-trial": "2", "--cpus-per-worker": "0.9", "--seeds": "1"}
    undisturbed = Sweep(shards, tmp_path / "undisturbed", options, arms=("clef",), seeds=(0,))
    undisturbed.start()
    assert undisturbed.wait() == 0, undisturbed.text()
    sweep.options, sweep.arms, sweep.seeds = options, ("clef",), (0,)
    sweep.start()
    before = sweep.until_epoch(2)
    begin = time.monotonic()
    workers = [p for p in sweep.children() if "RayTrainWorker" in " ".join(p.cmdline())]
    assert len(workers) == 2, [p.cmdline() for p in sweep.children()]
    workers[1].kill()
    by_itself(sweep, "kill -9 of one worker of a trial of two", before, begin)
    assert sweep.trained() == undisturbed.trained()


@pytest.mark.faults
def test_two_sweeps_that_share_a_run_train_it_once(sweep, shards):
    """They run at the same time, in processes of their own; the second one waits for what the first one is at work on."""
    sweep.start()
    until(lambda: running(sweep, "clef"), sweep)
    begin = time.monotonic()
    second = Sweep(shards, sweep.storage, {"--seeds": "1"}, arms=("clef",), seeds=(0,))
    second.start()
    assert second.wait() == 0, second.text()
    seconds = time.monotonic() - begin
    assert f"clef seed 0 is being trained by process {sweep.process.pid} on" in second.text()
    assert sweep.wait() == 0, sweep.text()
    assert [[e["epoch"] for e in epochs] for epochs in sweep.histories().values()] == [
        [*range(1, EPOCHS + 1)]
    ] * 4
    storage = open_storage(sweep.study)
    names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    told = [
        t.state.name for name in names for t in optuna.load_study(study_name=name, storage=storage).trials
    ]
    assert told == ["COMPLETE"] * 3
    records = [r for r in sweep.records() if r.data.tags.get("clef_ray.kind") == "trial"]
    assert {r.info.status for r in sweep.records()} == {"FINISHED"}
    links = [bool(r.data.tags.get("linked_run")) for r in records if r.data.tags["seed"] == "0"]
    assert (len(records), sum(links)) == (5, 1), "the second plan's record points at the first one's"
    TABLE.append(("a second sweep shares a run, at the same time", "waits and takes the result", seconds))


def running(sweep: Sweep, arm: str) -> bool:
    """Whether the sweep holds the lease of a run of this arm's first seed."""
    held = {file.stem.removeprefix("run-") for file in (sweep.storage / "leases").glob("run-*.json")}
    trials = plan(ABLATION, Manifest.load(str(sweep.shards)).fingerprint, arms=[arm], seeds=1).trials
    return trials[0].run.fingerprint() in held


@pytest.mark.faults
def test_a_sweep_whose_lease_is_lost_is_told_and_stops(sweep):
    """It changes nothing that is the other process's now: neither its lease nor what the study and MLflow say is running."""
    sweep.before = "import clef_ray.lease\nclef_ray.lease.BEAT = 0.5"
    sweep.start()
    before = sweep.until_epoch(2)
    (lease,) = [f for f in (sweep.storage / "leases").glob("*.json") if not f.name.startswith("run-")]
    own = json.loads(lease.read_text())
    lease.write_text(json.dumps({**own, "token": "another", "host": "elsewhere", "beat": time.time()}))
    begin = time.monotonic()
    assert sweep.wait() == 2, sweep.text()
    seconds = time.monotonic() - begin
    told = " ".join(sweep.text().split())
    assert f"process {own['pid']} on elsewhere took this over" in told
    assert json.loads(lease.read_text())["token"] == "another"
    assert "RUNNING" in {t.state.name for t in studied(sweep, "faults-")}
    assert "KILLED" not in sweep.statuses().values()
    TABLE.append(("another process takes over the lease", "is told and stops", seconds))
    lease.unlink()
    sweep.before = ""
    again(sweep, "the same, started again", before)


@pytest.mark.faults
def test_kill_of_a_worker(sweep):
    sweep.start()
    before = sweep.until_epoch(2)
    begin = time.monotonic()
    workers = [p for p in sweep.children() if "ray::" in " ".join(p.cmdline()) and "Impl" in p.cmdline()[0]]
    assert workers, [p.cmdline() for p in sweep.children()]
    workers[0].kill()
    by_itself(sweep, "kill -9 of a worker", before, begin)


NODES = """
import json, sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1"})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def two_nodes() -> Iterator[dict[str, object]]:
    """A cluster of a head and two nodes of one CPU each, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(60)


@pytest.mark.faults
def test_kill_of_the_raylet_of_one_node(sweep):
    with two_nodes() as cluster:
        sweep.options = {"--address": cluster["address"]}
        sweep.start()
        before = sweep.until_epoch(2)
        begin = time.monotonic()
        os.kill(cluster["raylets"][0], signal.SIGKILL)
        by_itself(sweep, "kill -9 of the raylet of one of two nodes", before, begin)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a disk of its own needs the right to mount: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.faults
def test_a_full_disk(sweep, tmp_path):
    with small_disk(tmp_path / "disk"):
        sweep.storage = tmp_path / "disk" / "storage"
        sweep.start()
        before = sweep.until_epoch(2)
        filler = tmp_path / "disk" / "filler"
        with filler.open("wb") as file:
            try:
                while file.write(b"\0" * 2**16):
                    file.flush()
            except OSError:
                pass
        time.sleep(20)
        filler.unlink()
        code = sweep.wait()
        assert code in (0, 1, 2), sweep.text()
        told = "No space left" in sweep.text() or "full" in sweep.text()
        assert code == 0 or told, sweep.text()
        again(
            sweep,
            "full disk for 20 s",
            before,
            "goes on by itself" if code == 0 else "the same command goes on",
        )


@pytest.mark.faults
def test_the_tracking_server_is_away(sweep, tmp_path):
    server = Server(tmp_path)
    server.start()
    try:
        sweep.options = {"--tracking-uri": server.uri}
        sweep.start()
        before = sweep.until_epoch(2)
        server.stop()
        begin = time.monotonic()
        time.sleep(AWAY)
        server.start()
        by_itself(sweep, f"tracking server away for {AWAY} s", before, begin)
    finally:
        server.stop()


@pytest.mark.faults
@pytest.mark.postgres
def test_the_study_database_is_away(sweep):
    with postgres() as server:
        sweep.options = {"--study-uri": server.uri}
        sweep.start()
        before = sweep.until_epoch(2)
        begin = time.monotonic()
        server.stop()
        time.sleep(AWAY)
        server.start()
        by_itself(sweep, f"study database away for {AWAY} s", before, begin)


def test_ctrl_c_twice(sweep):
    sweep.start()
    before = sweep.until_epoch(2)
    sweep.interrupt()
    time.sleep(0.3)
    sweep.interrupt()
    assert sweep.process.wait(PATIENCE) == 130, sweep.text()
    assert "the same command goes on" in sweep.text()
    assert set(sweep.statuses().values()) == {"KILLED"}, "nothing stays RUNNING"
    assert not list(sweep.storage.glob("runs/*/encoder.pt"))
    again(sweep, "Ctrl-C twice", before)
