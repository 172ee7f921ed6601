"""The capacity rule against a brute-force packing, and what it says when nothing fits."""

import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.cluster import capacity
from clef_ray.cluster.capacity import Request, concurrent_trials
from clef_ray.errors import CapacityError, ConfigError

NODES = st.lists(
    st.fixed_dictionaries({"CPU": st.integers(0, 6), "GPU": st.integers(0, 3)}), min_size=1, max_size=3
)
REQUESTS = st.builds(
    Request,
    st.integers(1, 3),
    st.sampled_from([0.05, 0.25, 0.5, 0.9, 1, 2]),
    st.sampled_from([0, 0.25, 0.6, 1, 2]),
)


def places(cpus, gpus, request):
    """Workers that fit on a node, by putting one after another onto the first device with room."""
    left, devices, count = round(cpus * 100), [100] * gpus, 0
    need_cpu, need_gpu = round(request.cpus_per_worker * 100), round(request.gpus_per_worker * 100)
    while left >= need_cpu:
        if 0 < need_gpu < 100:
            device = next((i for i, free in enumerate(devices) if free >= need_gpu), None)
            if device is None:
                break
            devices[device] -= need_gpu
        elif need_gpu:
            if len(devices) * 100 < need_gpu:
                break
            del devices[: need_gpu // 100]
        left, count = left - need_cpu, count + 1
    return count


@settings(max_examples=300, deadline=None)
@given(NODES, REQUESTS)
def test_no_placement_of_the_drivers_leaves_a_worker_without_a_place(nodes, request):
    """Every way Ray may spread the trials' own processes over the nodes still leaves room for all workers."""
    trials = concurrent_trials(nodes, request)
    drivers = trials if request.workers_per_trial > 1 else 0
    drivers = min(drivers, 6)  # the enumeration grows as nodes ** drivers
    for chosen in itertools.combinations_with_replacement(range(len(nodes)), drivers):
        taken = [0.1 * chosen.count(i) for i in range(len(nodes))]
        if any(t > n["CPU"] for t, n in zip(taken, nodes, strict=True)):
            continue
        room = sum(places(n["CPU"] - t, n["GPU"], request) for n, t in zip(nodes, taken, strict=True))
        assert room >= drivers * request.workers_per_trial


@settings(max_examples=300, deadline=None)
@given(NODES, REQUESTS)
def test_one_worker_trials_fill_the_cluster_exactly(nodes, request):
    alone = Request(1, request.cpus_per_worker, request.gpus_per_worker)
    assert concurrent_trials(nodes, alone) == sum(places(n["CPU"], n["GPU"], alone) for n in nodes)


@settings(max_examples=200, deadline=None)
@given(NODES, REQUESTS)
def test_more_hardware_never_means_fewer_trials(nodes, request):
    grown = [*nodes, {"CPU": 4, "GPU": 1}]
    assert concurrent_trials(grown, request) >= concurrent_trials(nodes, request)


@pytest.mark.parametrize(
    ("nodes", "request_", "expected"),
    [
        ([{"CPU": 2}], Request(1), 2),
        ([{"CPU": 2}], Request(2), 0),  # 0.1 CPU of the two is the driver's
        ([{"CPU": 2}], Request(2, 0.9), 1),
        ([{"CPU": 4}], Request(3), 1),
        ([{"CPU": 4}] * 4, Request(4), 3),  # 16 places; three drivers cost three
        ([{"CPU": 8, "GPU": 4}] * 2, Request(4, 1, 1), 2),  # spare CPUs hold the drivers
        ([{"CPU": 8, "GPU": 2}], Request(1, 1, 0.6), 2),  # a fraction comes from one device
        ([{"CPU": 8, "GPU": 2}], Request(1, 1, 0.5), 4),
        ([{"CPU": 3, "GPU": 1}, {"CPU": 3, "GPU": 1}], Request(1, 1, 2), 0),  # a worker is on one node
        ([{"CPU": 0}, {"CPU": 4, "GPU": 1}], Request(1, 4, 1), 1),
    ],
)
def test_worked_examples(nodes, request_, expected):
    assert concurrent_trials(nodes, request_) == expected


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ((0,), "workers-per-trial"),
        ((1, 0), "cpus"),
        ((1, 1.5), "cpus"),
        ((1, 1, -1), "gpus"),
        ((1, 1, float("nan")), "gpus"),
        ((1, 1, 0, 0), "micro-batch"),
    ],
)
def test_impossible_requests_are_refused_by_option(options, flag):
    with pytest.raises(ConfigError, match=flag):
        Request(*options)


@pytest.fixture
def cluster(monkeypatch):
    """Nodes as given, without a Ray."""

    def build(total, free=None):
        held = {f"{i:02d}abcdef": node for i, node in enumerate(total)}
        spare = {f"{i:02d}abcdef": node for i, node in enumerate(free or total)}
        monkeypatch.setattr(capacity, "live_nodes", lambda: held)
        monkeypatch.setattr(capacity, "_free", lambda _total: spare)
        monkeypatch.setattr(capacity, "may_join", lambda *, gpus: [])  # tests/cluster/test_growth.py
        monkeypatch.setattr(capacity, "SETTLE_SECONDS", 0.0)

    return build


def test_the_error_names_what_is_asked_what_there_is_and_options_that_fit(cluster):
    nodes = [{"CPU": 2.0}]
    cluster(nodes)
    with pytest.raises(CapacityError) as caught:
        capacity.check(Request(2))
    text = str(caught.value)
    assert "2 workers of 1 CPU each and 0.1 CPU" in text
    assert "node 00abcdef: 2 CPU, 0 GPU" in text
    assert "--workers-per-trial 1 or --cpus-per-worker 0.9" in text
    assert concurrent_trials(nodes, Request(1)) > 0
    assert concurrent_trials(nodes, Request(2, 0.9)) > 0


def test_a_cluster_without_gpus_says_so(cluster):
    cluster([{"CPU": 8.0}])
    with pytest.raises(CapacityError, match="--gpus-per-worker 0"):
        capacity.check(Request(1, 1, 1))


def test_room_that_others_use_is_told_apart_from_room_that_is_not_there(cluster):
    cluster([{"CPU": 4.0}], free=[{"CPU": 0.5}])
    with pytest.raises(CapacityError, match="others use it"):
        capacity.check(Request(1))
    cluster([{"CPU": 4.0}], free=[{"CPU": 3.0}])
    assert capacity.check(Request(1)).concurrent == 3


@pytest.mark.ray
def test_a_real_ray_has_the_room_it_was_started_with(local_ray):
    assert capacity.check(Request(1)).concurrent == 2
    assert capacity.check(Request(1, 0.5)).concurrent == 4
    with pytest.raises(CapacityError, match="2 CPU, 0 GPU"):
        capacity.check(Request(64))


TWO_NODES = """
import sys
import ray
from ray.cluster_utils import Cluster
from clef_ray.cluster import capacity
from clef_ray.errors import StorageError

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
capacity.require_shared(sys.argv[1])
capacity.require_shared("s3://bucket/clef")
print("seen")
capacity._sees = lambda path: False
try:
    capacity.require_shared(sys.argv[1])
except StorageError as error:
    print(error)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_folder_that_not_every_node_sees_is_refused(tmp_path):
    """Two real nodes, which share this machine's files; what a blind one answers is put into its mouth."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_NODES, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seen")
    assert "2 of 2 nodes" in done.stdout
    assert "object store" in done.stdout
