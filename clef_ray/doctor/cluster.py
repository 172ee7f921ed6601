"""Ray: does it start or answer, what does it offer; and where it has several nodes, are they alike?"""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from clef_ray.doctor.check import Check, judge, told
from clef_ray.doctor.machine import shared_memory

if TYPE_CHECKING:
    from clef_ray.cluster.nodes import Node

#: Seconds between two nodes' clocks: beyond it MLflow's times and the ages that gc goes by are wrong.
CLOCK_SECONDS = 1.0

#: Seconds for Ray's dashboard to answer.
_ANSWER_SECONDS = 5.0

#: Facts that must be the same on every node; all others may differ.
SAME = ("python", "ray", "torch", "numpy", "clef-ray", "code of clef_ray")


def checks(storage: str, address: str | None) -> Iterator[Check]:
    """Start a local Ray, or join the one at `address`, and look at it."""
    joins = address is not None or "RAY_ADDRESS" in os.environ
    refused = token(joins)
    if refused is not None:
        yield refused
        if refused.level == "problem":
            return
    yield from _running(storage, address, joins)


def token(joins: bool) -> Check | None:
    """What is wrong with this machine's token for a cluster; None where nothing is. A local Ray has one of its own."""
    if not joins or "RAY_AUTH_TOKEN" in os.environ or os.environ.get("RAY_AUTH_MODE") == "disabled":
        return None
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if named is None and os.environ.get("RAY_AUTH_MODE") != "token":
        return None
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        text = path.read_text(encoding="utf-8").strip()
        others = path.stat().st_mode & 0o077
    except (OSError, UnicodeDecodeError) as error:
        text, why = "", str(error)
    else:
        why = f"{path} is empty"
    if text and others:
        why = f"{path} can be read by others on this machine, who can then run code on the cluster as you"
        return Check(
            "token",
            "warning",
            why,
            f"chmod 600 {path}   (Ray writes it with the rights that the umask leaves)",
        )
    if text:
        return None
    remedy = f"scp HEAD:.ray/auth_token {path}   (a cluster's), or: ray get-auth-token --generate   (before the cluster starts)"
    return Check("token", "problem", f"Ray asks for a token and there is none to be read: {why}", remedy)


def _running(storage: str, address: str | None, joins: bool) -> Iterator[Check]:
    from clef_ray.cluster.nodes import survey
    from clef_ray.cluster.session import session

    found: list[Check] = []
    remedy = "See storage/README.md and cluster.yaml for how Ray is started"
    try:
        with told("ray", remedy, found), session(address) as dashboard:
            nodes = survey()
            found.append(_dashboard(dashboard, len(nodes)))
            found += unguarded(dashboard)
            found += _offered(nodes, joins)
            if len(nodes) > 1:
                found += [
                    versions(nodes),
                    clocks(nodes),
                    *_silent(nodes),
                    *_short_of_memory(nodes),
                    _shared(storage),
                ]
    except (RuntimeError, ConnectionError) as error:
        # Ray's own: a cluster of another Ray or Python, or one that ended meanwhile.
        said = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        remedy = "Install the cluster's versions here (it names them): pip install -c constraints.txt 'ray[default]==VERSION'"
        found.append(Check("ray", "problem", said, remedy))
    yield from found


def _dashboard(url: str, nodes: int) -> Check:
    """`session` has asked the State API behind it from here, so Ray is ready; who else must reach it is a note."""
    alone = nodes > 1 and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    note = (
        ", on the head only: enough unless trials of several workers stop early, whose nodes then ask it too (see --dashboard-host in cluster.yaml)"
        if alone
        else ""
    )
    return Check("ray", "ok", f"runs, and its dashboard answers at {url}{note}")


def unguarded(url: str) -> Iterator[Check]:
    """A Ray whose API serves whoever asks without a token."""
    try:
        # No proxy stands between this machine and its cluster; the address is Ray's own.
        build_opener(ProxyHandler({})).open(f"{url}/api/version", timeout=_ANSWER_SECONDS).close()
    except OSError:  # 401; or the dashboard listens on the head only, and cannot be asked from here
        return
    yield Check(
        "token",
        "warning",
        f"Ray at {url} asks nobody for a token: whoever reaches it runs code there as its user",
        "ray get-auth-token --generate, and RAY_AUTH_MODE=token before every `ray start` and every client (.github/SECURITY.md)",
    )


def _offered(nodes: "Sequence[Node]", joins: bool) -> Iterator[Check]:
    total = Counter[str]()
    for node in nodes:
        total.update(node.resources)
    detail = (
        f"{len(nodes)} node(s): {total['CPU']:g} CPU, {total['GPU']:g} GPU, {total['memory'] / 1e9:.1f} GB memory, "
        f"{total['object_store_memory'] / 1e9:.1f} GB object store"
    )
    few = "A trial needs at least one CPU: add nodes, or start Ray with --num-cpus"
    yield judge("capacity", "ok" if total["CPU"] >= 1 else "problem", detail, few)
    for node in nodes:
        yield from devices(node, joins)


def devices(node: "Node", joins: bool) -> Iterator[Check]:
    """GPUs that a node has and Ray does not offer: trials that ask for one would wait for ever."""
    there, offered = int(node.facts.get("nvidia devices", 0)), node.resources.get("GPU", 0.0)
    if there <= offered:
        return
    remedy = f"On {node.host}: ray stop; ray start --num-gpus={there} ..." if joins else ""
    remedy = remedy or "unset CUDA_VISIBLE_DEVICES, or give it the devices that trials may have"
    # A person may mean to keep some; all of them is an accident.
    yield Check(
        "gpu of Ray",
        "warning" if offered else "problem",
        f"{node.host} has {there}, Ray offers {offered:g}",
        remedy,
    )


def versions(nodes: "Sequence[Node]") -> Check:
    """Nodes that differ from most in what must be the same."""
    answered = [node for node in nodes if not node.silent]
    odd = []
    for fact in SAME:
        values = {node.id: node.facts.get(fact, "missing") for node in answered}
        if len(set(values.values())) > 1:
            usual = Counter(values.values()).most_common(1)[0][0]
            others = [f"{n.host} ({n.id[:8]}) has {values[n.id]}" for n in answered if values[n.id] != usual]
            odd.append(f"{fact}: {', '.join(others)}, the others {usual}")
    lacking = [
        f"{n.host} ({n.id[:8]}): {text}" for n in answered if (text := n.facts.get("ray[default] lacks"))
    ]
    odd += [f"ray[default] is not whole on {text}" for text in lacking]
    remedy = "On every node the same: pip install -c constraints.txt . (setup_commands of cluster.yaml), then start Ray there again"
    same = "python, ray, torch, numpy and the code of clef_ray are the same on every node"
    return judge("versions", "problem" if odd else "ok", "; ".join(odd) or same, remedy)


def clocks(nodes: "Sequence[Node]") -> Check:
    """The largest difference between two clocks, less what the way of the question makes uncertain."""
    answered = [node for node in nodes if not node.silent]
    late, early = (key(answered, key=lambda n: n.offset, default=None) for key in (max, min))
    if late is None or early is None:
        return Check("clocks", "warning", "no node answered", "See the lines below")
    apart, doubt = late.offset - early.offset, late.uncertainty + early.uncertainty
    bad = math.isfinite(apart) and apart - doubt > CLOCK_SECONDS
    detail = f"at most {apart:.2f} s apart, ± {doubt:.2f} s"
    detail += f": {late.host} ({late.id[:8]}) is ahead of {early.host} ({early.id[:8]})" if bad else ""
    remedy = "On every node: sudo timedatectl set-ntp true   (or: sudo chronyc makestep)"
    return judge("clocks", "problem" if bad else "ok", detail, remedy)


def _silent(nodes: "Sequence[Node]") -> Iterator[Check]:
    for node in nodes:
        if node.silent:
            remedy = f"Look at the node: ray logs --node-id {node.id}; take it out if it is broken: ray stop   (there)"
            yield Check("node", "problem", f"{node.host} ({node.id[:8]}) runs no task: {node.silent}", remedy)


def _short_of_memory(nodes: "Sequence[Node]") -> Iterator[Check]:
    for node in nodes:
        check = shared_memory(int(node.facts.get("shared memory", 1 << 62)))
        if check.level != "ok":
            yield Check(check.name, check.level, f"{node.host}: {check.detail}", check.remedy)


def _shared(storage: str) -> Check:
    from clef_ray.cluster.capacity import require_shared

    found: list[Check] = []
    with told("shared storage", "Mount one folder on every node, or give --storage s3://bucket/clef", found):
        require_shared(storage)
        found.append(Check("shared storage", "ok", f"every node sees {storage}"))
    return found[0]
