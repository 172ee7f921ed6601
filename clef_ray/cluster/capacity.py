"""How many trials run at once, computed before the start: on the nodes that are up and those that may join (growth.py).

Ray Tune knows what a trial's own process takes. It does not know of the worker group that a trial of several workers starts inside: left
alone it would start as many such trials as there is room for their small processes, all of which then wait for each other's workers.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from clef_ray.cluster.growth import may_join
from clef_ray.errors import CapacityError, ConfigError, StorageError
from clef_ray.store import Store
from clef_ray.train.pieces import check_micro_batch

#: CPUs of the process that waits for the workers in a trial of several workers (clef_ray/cluster/sweep.py).
DRIVER_CPUS = 0.1

#: Ray counts resources in ten-thousandths.
UNIT = 10_000

#: Seconds to wait for resources of tasks that have just ended to be given back.
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Request:
    """What one trial asks for: workers_per_trial workers, each on one node.

    cpus_per_worker > 0, gpus_per_worker >= 0; fractions below 1 are allowed, above 1 only whole numbers (Ray's rule).
    micro_batch: records that a worker encodes at once, None: its share of the batch; it takes memory, which is not counted here.
    """

    workers_per_trial: int = 1
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    micro_batch: int | None = None

    def __post_init__(self) -> None:
        if self.workers_per_trial < 1:
            raise ConfigError(f"--workers-per-trial {self.workers_per_trial}: at least 1 is needed")
        check_micro_batch(self.micro_batch)
        for flag, value, least in (
            ("cpus", self.cpus_per_worker, 1 / UNIT),
            ("gpus", self.gpus_per_worker, 0.0),
        ):
            whole = value <= 1 or float(value).is_integer()
            if not (math.isfinite(value) and value >= least and whole):
                allowed = "greater than 0" if least else "0 or more"
                raise ConfigError(
                    f"--{flag}-per-worker {value:g}: allowed is {allowed}, and a whole number above 1"
                )

    @property
    def alone(self) -> bool:
        """Whether a worker has whole GPUs, which no other trial uses."""
        return self.gpus_per_worker >= 1

    def worker_resources(self) -> dict[str, float]:
        """One worker in Ray's terms."""
        gpu = {"GPU": float(self.gpus_per_worker)} if self.gpus_per_worker else {}
        return {"CPU": float(self.cpus_per_worker), **gpu}

    def __str__(self) -> str:
        gpus = f" and {self.gpus_per_worker:g} GPU" if self.gpus_per_worker else ""
        each = f"{self.cpus_per_worker:g} CPU{gpus}"
        if self.workers_per_trial == 1:
            return f"1 worker of {each}"
        return f"{self.workers_per_trial} workers of {each} each and {DRIVER_CPUS:g} CPU for the trial itself"


@dataclass(frozen=True, slots=True)
class Room:
    """Room for `concurrent` trials (at least 1) on nodes with these free resources, by node id, and on nodes that may still join."""

    concurrent: int
    nodes: Mapping[str, Mapping[str, float]]


def concurrent_trials(
    nodes: Sequence[Mapping[str, float]], request: Request, driver_cpus: float = DRIVER_CPUS
) -> int:
    """How many trials fit at once, wherever Ray puts their driver processes; 0 where not even one does.

    nodes: the free resources ("CPU", "GPU") of each node. A worker fits on one node or not at all. A trial of one worker has no driver.
    """
    workers = request.workers_per_trial
    slots = [_slots(node, request, 0.0) for node in nodes]
    if workers == 1 or not driver_cpus:
        return sum(slots) // workers
    # A driver takes at most this many workers' places, whichever node it lands on ...
    each = math.ceil(driver_cpus / request.cpus_per_worker - 1e-9)
    best = 0
    for trials in range(1, sum(slots) // workers + 1):
        # ... and a node cannot lose more than it would by holding them all.
        most = sum(
            full - _slots(node, request, trials * driver_cpus)
            for node, full in zip(nodes, slots, strict=True)
        )
        held = sum(int(_units(node, "CPU") // round(driver_cpus * UNIT)) for node in nodes)
        if held >= trials and sum(slots) - min(trials * each, most) >= trials * workers:
            best = trials
    return best


def _units(node: Mapping[str, float], name: str) -> int:
    return round(node.get(name, 0.0) * UNIT)


def _slots(node: Mapping[str, float], request: Request, taken_cpus: float) -> int:
    """Workers that fit on a node of which `taken_cpus` are taken."""
    cpus = max(_units(node, "CPU") - round(taken_cpus * UNIT), 0) // round(request.cpus_per_worker * UNIT)
    if not request.gpus_per_worker:
        return cpus
    return min(cpus, _gpu_slots(_units(node, "GPU"), round(request.gpus_per_worker * UNIT)))


def _gpu_slots(free: int, each: int) -> int:
    """Ray gives a fraction of a GPU from one device: 0.6 fits once on each, not three times on two."""
    return free // each if each >= UNIT else (free // UNIT) * (UNIT // each) + (free % UNIT) // each


def check(request: Request) -> Room:
    """The room on the running cluster and what it may grow to. CapacityError, before anything starts, where one trial does not fit."""
    total = live_nodes()
    joining = _joining(list(total.values()), request)
    most = concurrent_trials([*total.values(), *joining], request)
    if most == 0:
        raise CapacityError(_too_little(request, total, joining))
    free, deadline = _free(total), time.monotonic() + SETTLE_SECONDS
    while (found := concurrent_trials([*free.values(), *joining], request)) < most and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
        free = _free(total)
    if found == 0:
        raise CapacityError(
            f"one trial needs {request}; the cluster has that but others use it now. Free: {_listing(free)}. Try later."
        )
    return Room(found, free)


def _joining(nodes: Sequence[Mapping[str, float]], request: Request) -> list[dict[str, float]]:
    """Nodes that may join for this request. Machines with GPUs are not started for trials without, unless no others can hold them."""
    if request.gpus_per_worker:
        return may_join(gpus=True)
    plain = may_join(gpus=False)
    return plain if concurrent_trials([*nodes, *plain], request) else may_join(gpus=True)


def require_shared(storage: str) -> None:
    """StorageError where a node of the running cluster does not see the local folder `storage`: its results would be lost there."""
    nodes = live_nodes()
    if not Store(storage).local:
        return
    if len(nodes) == 1:
        if may_join(gpus=True):
            raise StorageError(
                f"--storage {storage}: the nodes that will join this cluster cannot be asked whether they see this folder; "
                "give an object store such as s3://bucket/clef, or start with min_workers 1 where the folder is shared"
            )
        return
    probe = Store(storage).child(".shared")
    probe.write_bytes("probe", b"")
    look = ray.remote(num_cpus=0)(_sees)
    seen = {n: look.options(scheduling_strategy=_on(n)).remote(probe.path("probe")) for n in nodes}
    blind = [node[:8] for node, answer in seen.items() if not ray.get(answer)]
    if blind:
        raise StorageError(
            f"--storage {storage}: {len(blind)} of {len(nodes)} nodes ({', '.join(blind)}) do not see this folder; "
            "give a shared one, or an object store such as s3://bucket/clef"
        )


def _sees(path: str) -> bool:
    return Path(path).exists()


def _on(node: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def live_nodes() -> dict[str, dict[str, float]]:
    """Live nodes of the running cluster by id: what they have in all ("CPU", "GPU", "memory" and "object_store_memory" in bytes)."""
    return {n["NodeID"]: dict(n["Resources"]) for n in ray.nodes() if n["Alive"]}


def _free(total: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    # Ray's public API sums over nodes; only this call tells them apart.
    found = ray._private.state.available_resources_per_node()  # noqa: SLF001
    return {node: dict(found.get(node, {})) for node in total}


def _listing(nodes: Mapping[str, Mapping[str, float]]) -> str:
    return "; ".join(
        f"node {node[:8]}: {r.get('CPU', 0):g} CPU, {r.get('GPU', 0):g} GPU" for node, r in nodes.items()
    )


def _too_little(
    request: Request, nodes: Mapping[str, Mapping[str, float]], joining: Sequence[Mapping[str, float]]
) -> str:
    grows = f"; it may grow by {_growth(joining)}" if joining else ""
    advice = _advice(request, [*nodes.values(), *joining])
    return f"one trial needs {request}; the cluster has {_listing(nodes)}{grows}. {advice}"


def _growth(joining: Sequence[Mapping[str, float]]) -> str:
    kinds = Counter(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in joining)
    return " and ".join(f"{count} nodes of {kind}" for kind, count in kinds.items())


def _advice(request: Request, nodes: Sequence[Mapping[str, float]]) -> str:
    """The nearest request that fits, as options to type."""
    workers, cpus, gpus = request.workers_per_trial, request.cpus_per_worker, request.gpus_per_worker
    if gpus and not any(node.get("GPU") for node in nodes):
        return "No node offers a GPU to Ray: give --gpus-per-worker 0, or see `clef-ray doctor`."
    smaller = [(f"--cpus-per-worker {c:g}", Request(workers, c, gpus)) for c in (0.9, 0.5, 0.25) if c < cpus]
    fewer = [(f"--workers-per-trial {w}", Request(w, cpus, gpus)) for w in range(workers - 1, 0, -1)]
    fits = [next((text for text, r in way if concurrent_trials(nodes, r)), None) for way in (fewer, smaller)]
    options = [text for text in fits if text]
    return f"Give {' or '.join(options) or 'smaller workers'}, or add nodes."
