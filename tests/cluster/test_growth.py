"""What a cluster may become, from the autoscaler's configuration; how long it is waited for. A real growing Ray: test_autoscaling.py."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.cluster import capacity, growth, waiting
from clef_ray.cluster.capacity import Request
from clef_ray.cluster.growth import still_to_come
from clef_ray.errors import CapacityError, StorageError

CPU8 = {"CPU": 8.0, "GPU": 1.0}


def config(**kinds):
    types = {"head": {"resources": {"CPU": 8}}, **kinds}  # as in cluster.yaml: no limit of its own
    return {"head_node_type": "head", "max_workers": 8, "available_node_types": types}


def kind(most, **resources):
    return {"resources": resources, "min_workers": 0, "max_workers": most}


@pytest.mark.parametrize(
    ("types", "joined", "gpus", "expected"),
    [
        ({"gpu": kind(4, CPU=8, GPU=1)}, {}, True, [CPU8] * 4),
        ({"gpu": kind(4, CPU=8, GPU=1)}, {"gpu": 3}, True, [CPU8]),
        (
            {"gpu": kind(4, CPU=8, GPU=1)},
            {"gpu": 5},
            True,
            [],
        ),  # more than allowed: someone lowered the limit
        ({"gpu": kind(4, CPU=8, GPU=1)}, {}, False, []),  # machines with GPUs are not meant
        ({"spot": kind(6, CPU=8, GPU=1), "sure": kind(8, CPU=8, GPU=1)}, {}, True, [CPU8] * 8),  # 8 in all
        (
            {"spot": kind(6, CPU=8, GPU=1), "sure": kind(8, CPU=8, GPU=1)},
            {"spot": 6, "sure": 1},
            True,
            [CPU8],
        ),
        ({"gpu": {"resources": {}, "max_workers": 4}}, {}, True, []),  # what its nodes have is not said
        ({"gpu": {"resources": {"CPU": 8, "GPU": 1}}}, {}, True, [CPU8] * 8),  # no limit but that of all
        ({"cpu": kind(8, CPU=64), "gpu": kind(2, CPU=8, GPU=1)}, {}, True, [CPU8] * 2 + [{"CPU": 64.0}] * 6),
        ({}, {}, True, []),
    ],
)
def test_what_may_still_join(types, joined, gpus, expected):
    assert still_to_come(config(**types), joined, gpus=gpus) == expected


@settings(max_examples=20)
@given(
    st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=3),
    st.integers(0, 12),
)
def test_neither_a_types_limit_nor_that_of_all_is_passed(kinds, limit):
    types = {name: kind(most, CPU=ord(name)) for name, (_, most) in kinds.items()}
    joined = {name: up for name, (up, _) in kinds.items()}
    found = still_to_come({**config(**types), "max_workers": limit}, joined, gpus=True)
    assert len(found) <= max(limit - sum(joined.values()), 0)
    for name, (up, most) in kinds.items():
        assert sum(node["CPU"] == ord(name) for node in found) <= max(most - up, 0)


def test_the_configuration_comes_from_the_environment_or_from_this_rays_own_autoscaler(tmp_path, monkeypatch):
    (tmp_path / "ours.yaml").write_text("max_workers: 3\n")
    (tmp_path / "other.yaml").write_text("max_workers: 9\n")
    sleepers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "input()",
                f"--gcs-address=10.0.0.{n}:6379",
                f"--autoscaling-config={file}",
            ],
            stdin=subprocess.PIPE,
        )
        for n, file in ((1, tmp_path / "ours.yaml"), (2, tmp_path / "other.yaml"))
    ]
    try:
        assert growth._read("10.0.0.1:6379") == "max_workers: 3\n"
        assert growth._read("10.0.0.3:6379") is None, "a Ray without an autoscaler"
        monkeypatch.setenv(growth.TYPES, json.dumps({"max_workers": 5}))
        assert json.loads(growth._read("10.0.0.1:6379")) == {"max_workers": 5}
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


@pytest.fixture
def cluster(monkeypatch):
    """Live nodes and nodes that may join as given, without a Ray; those with GPUs join only where they are meant."""

    def build(live, joining, free=None):
        monkeypatch.setattr(capacity, "live_nodes", lambda: {f"{i:02d}abcdef": n for i, n in enumerate(live)})
        spare = {f"{i:02d}abcdef": n for i, n in enumerate(free or live)}
        monkeypatch.setattr(capacity, "_free", lambda _total: spare)
        monkeypatch.setattr(
            capacity, "may_join", lambda *, gpus: [n for n in joining if gpus or not n.get("GPU")]
        )
        monkeypatch.setattr(capacity, "SETTLE_SECONDS", 0.0)

    return build


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(1, 4, 1), 8),  # a GPU each, though no worker is up
        (Request(4, 1, 1), 2),
        (Request(1, 4, 0), 2),  # the head alone: no GPU machine is started for CPUs
        (Request(1, 16, 0), 8),  # unless nothing else can hold a trial
    ],
)
def test_a_cluster_of_a_head_alone_is_as_large_as_it_may_become(cluster, request_, expected):
    cluster([{"CPU": 8.0}], [{"CPU": 16.0, "GPU": 1.0}] * 8)
    assert capacity.check(request_).concurrent == expected


def test_nodes_that_others_use_do_not_count_those_that_may_join_do(cluster):
    cluster([{"CPU": 8.0}, CPU8], [CPU8] * 2, free=[{"CPU": 0.0}, {"CPU": 0.0, "GPU": 0.0}])
    assert capacity.check(Request(1, 4, 1)).concurrent == 2
    cluster([{"CPU": 8.0}, CPU8], [], free=[{"CPU": 0.0}, {"CPU": 0.0, "GPU": 0.0}])
    with pytest.raises(CapacityError, match="others use it now"):
        capacity.check(Request(1, 4, 1))


def test_what_the_cluster_can_never_become_is_refused_at_once_with_what_fits(cluster):
    cluster([{"CPU": 8.0}], [CPU8] * 3)
    with pytest.raises(CapacityError, match="it may grow by 3 nodes of 8 CPU, 1 GPU") as caught:
        capacity.check(Request(4, 1, 1))
    assert "--workers-per-trial 3" in str(caught.value)
    with pytest.raises(CapacityError, match=r"2 GPU.*it may grow by 3 nodes"):
        capacity.check(Request(1, 1, 2))


def test_a_folder_that_nobody_can_be_asked_about_is_refused_where_nodes_will_join(cluster, tmp_path):
    cluster([{"CPU": 8.0}], [CPU8])
    with pytest.raises(StorageError, match="min_workers 1"):
        capacity.require_shared(str(tmp_path))
    capacity.require_shared("s3://bucket/clef")
    cluster([{"CPU": 8.0}], [])
    capacity.require_shared(str(tmp_path))


@pytest.fixture
def places(monkeypatch):
    """Placement groups of which the first `come` get their place, one a call; the rest never do."""
    seen = SimpleNamespace(asked=[], removed=[], waits=[], come=0)

    class Group:
        def __init__(self, bundles):
            seen.asked.append(bundles)

        def ready(self):
            return self

    def wait(refs, num_returns, timeout):
        seen.waits.append(timeout)
        if seen.come:
            seen.come -= 1
            return refs[:1], refs[1:]
        return [], refs

    monkeypatch.setattr(waiting, "placement_group", Group)
    monkeypatch.setattr(waiting, "remove_placement_group", seen.removed.append)
    monkeypatch.setattr(waiting.ray, "wait", wait)
    return seen


@pytest.mark.parametrize(
    ("request_", "come", "expected", "asked"),
    [
        (Request(1, 4, 1), 1, 8, [[{"CPU": 4.0, "GPU": 1.0}]]),  # one place is enough: the rest wait in Tune
        (Request(2, 4, 1), 4, 4, [[{"CPU": 4.0, "GPU": 1.0}] * 2 + [{"CPU": 0.1}]] * 4),
        (Request(2, 4, 1), 3, 3, None),  # what has come counts
    ],
)
def test_trials_start_on_what_has_come(cluster, places, request_, come, expected, asked):
    cluster([{"CPU": 8.0}], [CPU8] * 8)
    places.come, said = come, []
    assert waiting.ready(request_, said.append) == expected
    assert asked is None or places.asked == asked
    assert len(places.removed) == len(places.asked), "the places are for the trials"
    assert len(said) == (1 if come < len(places.asked) else 0)


def test_no_node_in_time_is_an_error_that_says_where_to_look(cluster, places):
    cluster([{"CPU": 8.0}], [CPU8] * 8)
    said = []
    with pytest.raises(CapacityError, match="no node came in 900 s: `ray status`"):
        waiting.ready(Request(1, 4, 1), said.append)
    assert places.waits == [waiting.AT_ONCE, waiting.PATIENCE]
    assert said == ["nodes: 1 of 1 trials wait for some (1 worker of 4 CPU and 1 GPU)"]
    assert len(places.removed) == 1


def test_a_sweep_none_of_whose_trials_gets_a_place_ends():
    bridge, clock = SimpleNamespace(error=None), SimpleNamespace(now=0.0)
    patience = waiting.Patience(bridge, lambda: clock.now)

    def step(seconds, *states):
        clock.now += seconds
        patience.on_step_end(0, [SimpleNamespace(status=state) for state in states])

    step(0, "PENDING")
    step(waiting.PATIENCE, "PENDING", "TERMINATED")
    step(1, "PENDING", "RUNNING")  # progress: the time starts again
    step(waiting.PATIENCE * 2, "TERMINATED")  # nothing waits
    step(0, "PENDING")
    step(waiting.PATIENCE, "PENDING")
    assert bridge.error is None
    with pytest.raises(CapacityError, match="the same command goes on") as caught:
        step(1, "PENDING")
    assert bridge.error is caught.value, "Tune hands on its text only"
