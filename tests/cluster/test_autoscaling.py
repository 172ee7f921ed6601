"""A sweep on a cluster of a head alone: its trials bring nodes, the nodes go when they are idle, and what cannot come is told."""

import json
import subprocess
import sys

import pytest
from growing import STORE, growing

WORKER = {"resources": {"CPU": 2, "object_store_memory": STORE}, "max_workers": 2}

SWEEP = """
import json, sys, threading, time
from dataclasses import replace

import ray

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.cluster import waiting
from clef_ray.cluster.capacity import Request, check
from clef_ray.cluster.session import session
from clef_ray.cluster.sweep import run_sweep
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import CapacityError
from clef_ray.shards import Manifest, ingest_local

folder = sys.argv[1]
ingest_local(Synthetic(patients=260, records_per_patient=1.0, seed=5), folder + "/shards", records_per_part=260)
tiny = Ablation(
    name="tiny", question="?", expect="", base="a", headline=("zeroshot/rsa",), seeds=(0,),
    arms=(Arm("a", {"method": "clef", "loss.negatives": 7}), Arm("b", {"method": "simclr", "loss.negatives": 7})),
    tasks=("score_spearman:permutations=19",),
    settings={
        "signals.fs": 100, "signals.seconds": 2.0, "views.lead": "I", "optimiser.batch": 32, "optimiser.epochs": 1,
        "optimiser.lr": 1e-3,
    },
)
found, ended = {"nodes": []}, threading.Event()


def alive():
    return sum(node["Alive"] for node in ray.nodes())


def watch():
    while not ended.is_set():
        found["nodes"].append(alive())
        time.sleep(0.2)


with session():
    found["before"] = alive()
    found["concurrent"] = check(Request(1, 2)).concurrent
    try:
        check(Request(1, 4))
    except CapacityError as error:
        found["never"] = str(error)
    watcher = threading.Thread(target=watch)
    watcher.start()
    made = plan(tiny, Manifest.load(folder + "/shards").fingerprint)
    found["states"] = [o.state for o in run_sweep(made, folder + "/shards", folder + "/store", Request(1, 2))]
    limit = time.monotonic() + 120
    while alive() > 1 and time.monotonic() < limit:
        time.sleep(0.2)
    ended.set()
    watcher.join()
    found["after"] = alive()
    said = []
    found["ready"] = waiting.ready(Request(2, 1), said.append)  # brings a node again: one trial of two workers
    found["said"] = said
print(json.dumps(found))
"""

DRY = """
import json, sys, time

import ray

from clef_ray.cluster import waiting
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.session import session
from clef_ray.errors import CapacityError

waiting.PATIENCE = 12.0
found = {}


@ray.remote(num_cpus=2)
def task():
    return 1


with session():
    try:
        waiting.ready(Request(1, 2), print)
    except CapacityError as error:
        found["dry"] = str(error)
    # More work than spot's share of two nodes: the third and all the others run on the one machine that is sure.
    tasks = [task.remote() for _ in range(3)]
    found["done"] = len(ray.wait(tasks, num_returns=3, timeout=120)[0])
    found["alive"] = sum(node["Alive"] for node in ray.nodes())
print(json.dumps(found))
"""


def told(script, folder, **cluster):
    with growing(**cluster) as env:
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            env=env,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ray
@pytest.mark.long
def test_trials_that_wait_bring_nodes_and_idle_nodes_go(tmp_path):
    found = told(SWEEP, tmp_path, types={"worker": WORKER}, idle_minutes=0.1)
    assert (found["before"], found["concurrent"]) == (1, 2), "two nodes of 2 CPUs may come, one trial each"
    assert "it may grow by 2 nodes of 2 CPU" in found["never"]
    assert found["states"] == ["COMPLETE", "COMPLETE"]
    assert max(found["nodes"]) == 3
    assert found["after"] == 1
    assert found["ready"] == 1


@pytest.mark.ray
@pytest.mark.long
def test_what_ray_does_when_spot_is_refused(tmp_path):
    """cluster.yaml says so of its two node types: no fallback within spot's share, on-demand machines for what goes beyond it."""
    spot, sure = {**WORKER, "priority": 10}, {**WORKER, "priority": 0}
    found = told(
        DRY, tmp_path, types={"spot": spot, "sure": sure}, idle_minutes=1, module="refusing.Refusing"
    )
    assert "no node came in 12 s: `ray status`" in found["dry"]
    assert (found["done"], found["alive"]) == (3, 2)
