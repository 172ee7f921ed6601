"""What every node of the running cluster is: its versions, its clock, its shared memory; asked by a small task on each."""

import platform
import sys
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from clef_ray.cluster.capacity import live_nodes

#: Seconds for a node to answer; a process that imports packages has to start there.
ANSWER_SECONDS = 60.0

#: Times that a clock is asked: the quickest answer says most.
ASKED = 5


@dataclass(frozen=True, slots=True)
class Node:
    """A node's id, its host, what it offers to Ray, its facts by name (`facts`), and its clock minus this machine's in seconds.

    uncertainty: half of the round trip, in seconds. silent: why it gave no answer, empty where it did.
    """

    id: str
    host: str
    resources: dict[str, float]
    facts: dict[str, str]
    offset: float = 0.0
    uncertainty: float = 0.0
    silent: str = ""


def facts() -> dict[str, str]:
    """The versions that must be the same on all nodes, and what a node has. Needs nothing but Python, so it runs where clef_ray does not."""
    import hashlib
    import importlib
    import importlib.metadata
    import importlib.util
    import shutil
    from pathlib import Path

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "missing"

    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in ("ray", "torch", "numpy", "clef-ray")}
    spec = importlib.util.find_spec("clef_ray")
    if spec is not None and spec.origin is not None:
        # A version says little about code that is being worked on; its text says all, with and without git.
        folder, code = Path(spec.origin).parent, hashlib.sha256()
        for file in sorted(folder.rglob("*.py")):
            code.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
        found["code of clef_ray"] = code.hexdigest()[:12]
    try:
        importlib.import_module("ray.dashboard.optional_deps")
    except ImportError as error:
        found["ray[default] lacks"] = str(error)
    shared = Path("/dev/shm")  # noqa: S108  # asked for its size, nothing is written
    if shared.is_dir():
        found["shared memory"] = str(shutil.disk_usage(shared).total)
    found["nvidia devices"] = str(len(list(Path("/dev").glob("nvidia[0-9]*"))))
    return found


class _Probe:
    """Lives on one node for a moment."""

    def facts(self) -> dict[str, str]:
        return facts()

    def now(self) -> float:
        return time.time()


def clock(samples: list[tuple[float, float, float]]) -> tuple[float, float]:
    """A clock's offset and its uncertainty, both in seconds, from (sent here, read there, received here): of the quickest round trip, as
    NTP takes it (RFC 5905 §8 with one reading there).
    """
    sent, there, received = min(samples, key=lambda s: s[2] - s[0])
    return there - (sent + received) / 2, (received - sent) / 2


def survey() -> list[Node]:
    """All live nodes. One that does not answer says so."""
    module = sys.modules[__name__]
    # By value: a node with another clef_ray, or none, can answer all the same.
    cloudpickle.register_pickle_by_value(module)
    try:
        actor = ray.remote(num_cpus=0)(_Probe)
        probes = {
            node: actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
            for node in live_nodes()
        }
        answers = {node: probe.facts.remote() for node, probe in probes.items()}
        hosts = {n["NodeID"]: str(n["NodeManagerAddress"]) for n in ray.nodes()}
        total = live_nodes()
        return [
            _asked(Node(node, hosts[node], total[node], {}), probe, answers[node])
            for node, probe in probes.items()
        ]
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _asked(node: Node, probe: Any, answer: Any) -> Node:
    try:
        found = ray.get(answer, timeout=ANSWER_SECONDS)
        samples = []
        for _ in range(ASKED):
            sent = time.time()
            there = ray.get(probe.now.remote(), timeout=ANSWER_SECONDS)
            samples.append((sent, there, time.time()))
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()
        return Node(
            node.id, node.host, node.resources, {}, silent=lines[-1] if lines else type(error).__name__
        )
    return Node(node.id, node.host, node.resources, found, *clock(samples))
