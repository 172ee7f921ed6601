"""The resume contract of the README, line by line: what is killed, cut off or filled up, and what the same command makes of it.

The whole matrix is `make test-faults`; it prints fault, outcome and seconds to recovery.
"""

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
from mlflow_server import Server
from postgres import postgres
from sweep import EXPERIMENT, PATIENCE, Sweep, assert_whole

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards import ingest_local
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
    import json

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
