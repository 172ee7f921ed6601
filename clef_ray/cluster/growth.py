"""What a cluster that grows by itself may still become.

Ray's autoscaler starts nodes for what waits and stops those that are idle, but tells no job how far it may go: the file of `ray up` lies on
the head, and on Kubernetes the numbers are in the RayCluster. Both are read on the head; a cluster without an autoscaler does not grow.
"""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

#: The same facts as in `ray up`'s file, for a head whose autoscaler runs elsewhere (`clef-ray cluster kubernetes` sets it).
TYPES = "CLEF_RAY_NODE_TYPES"

#: How Ray marks the head among a node's resources, and a node's type among its labels.
HEAD, GROUP = "node:__internal_head__", "ray.io/node-group"

#: Seconds for the head to answer.
ANSWER_SECONDS = 30.0

#: More nodes than this change nothing here: so many trials at once no study asks for.
MOST = 1_000


def may_join(*, gpus: bool) -> list[dict[str, float]]:
    """The resources of every node that may still join the running cluster, those with the most first; empty where it does not grow.

    gpus: whether nodes with GPUs count. Ray would start them for work on CPUs too where there are no others.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    text = _asked(alive)
    if text is None:
        return []
    joined = Counter(
        str(node.get("Labels", {}).get(GROUP, "")) for node in alive if HEAD not in node["Resources"]
    )
    return still_to_come(yaml.safe_load(text), joined, gpus=gpus)


def still_to_come(
    config: Mapping[str, Any], joined: Mapping[str, int], *, gpus: bool
) -> list[dict[str, float]]:
    """`may_join` from the autoscaler's configuration and the number of workers of each type that have joined.

    A type that does not say what its nodes have (`resources: {}`, where the cloud was not asked) cannot be counted on.
    """
    types = dict(config.get("available_node_types", {}))
    types.pop(config.get("head_node_type"), None)
    limit = config.get("max_workers", MOST)
    rest = min(limit - sum(joined.values()), MOST)
    offers = []
    for name, kind in types.items():
        has = {key: float(value) for key, value in kind.get("resources", {}).items()}
        if has.get("CPU", 0) > 0 and (gpus or not has.get("GPU")):
            offers.append((has, kind.get("max_workers", limit) - joined.get(name, 0)))
    offers.sort(key=lambda offer: (offer[0].get("GPU", 0), offer[0]["CPU"]), reverse=True)
    found: list[dict[str, float]] = []
    for has, count in offers:
        found += [has] * max(min(count, rest - len(found)), 0)
    return found


def _asked(alive: list[dict[str, Any]]) -> str | None:
    """What `_read` finds on the head; None too where the head does not answer in time."""
    context = ray.get_runtime_context()
    head = next((node["NodeID"] for node in alive if HEAD in node["Resources"]), None)
    if head is None or head == context.get_node_id():
        return _read(context.gcs_address)
    strategy = NodeAffinitySchedulingStrategy(node_id=head, soft=False)
    answer = ray.remote(num_cpus=0)(_read).options(scheduling_strategy=strategy).remote(context.gcs_address)
    try:
        return ray.get(answer, timeout=ANSWER_SECONDS)  # type: ignore[no-any-return]
    except ray.exceptions.GetTimeoutError:
        return None


def _read(gcs_address: str) -> str | None:
    """The autoscaler's configuration as YAML: from the environment, or from the file that the autoscaler of this Ray was started with."""
    if named := os.environ.get(TYPES):
        return named
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if f"--gcs-address={gcs_address}" in words:
            for word in words:
                if word.startswith("--autoscaling-config="):
                    return Path(word.partition("=")[2]).expanduser().read_text(encoding="utf-8")
    return None
