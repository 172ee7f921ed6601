"""`clef-ray doctor` on clusters: nodes that differ, clocks that are apart, a storage that one does not see, a token that is refused."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clef_ray.cluster.nodes import Node, clock, facts
from clef_ray.doctor import cluster

ROOT = Path(__file__).resolve().parent.parent

SAME = {
    "python": "3.11.7",
    "ray": "2.60.0",
    "torch": "2.13.0",
    "clef-ray": "0.1.0",
    "code of clef_ray": "abc",
}


def node(name="a", offset=0.0, uncertainty=0.01, resources=None, silent="", **changed):
    return Node(
        name,
        f"10.0.0.{name}",
        resources or {"CPU": 1.0},
        {} if silent else SAME | changed,
        offset,
        uncertainty,
        silent,
    )


# A cluster of two nodes in a process of its own. The second node's processes get the environment that stands in NODE: its own code, a clock
# that is ahead, a folder that it does not see. The doctor then joins it as a user would.
TWO_NODES = """
import contextlib, io, json, os, sys
from ray.cluster_utils import Cluster
environment, storage = json.loads(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": True})
cluster.add_node(num_cpus=1, env_vars=environment)
cluster.wait_for_nodes(2)
from clef_ray.doctor import doctor
out = io.StringIO()
with contextlib.redirect_stdout(out):
    code = doctor(storage, None, cluster.address, as_json=True)
cluster.shutdown()
print(json.dumps([code, [c for c in json.loads(out.getvalue()) if c["group"] == "ray"]]))
"""

#: What Python runs first on the second node: its clock is 5 s ahead and the probe of a shared folder is not there.
OTHER_NODE = """
import pathlib, time
_time, _exists = time.time, pathlib.Path.exists
time.time = lambda: _time() + 5
pathlib.Path.exists = lambda self, **k: False if self.name == "probe" else _exists(self, **k)
"""


def examine(tmp_path, environment):
    folder = tempfile.mkdtemp(prefix="clef", dir="/tmp")  # short, for Ray's sockets
    dropped = {"RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE"}
    env = {
        **{k: v for k, v in os.environ.items() if k not in dropped},
        "RAY_TMPDIR": folder,
        "PYTHONPATH": str(ROOT),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", TWO_NODES, json.dumps(environment), str(tmp_path / "storage")],
            capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path, env=env,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    code, lines = json.loads(done.stdout.splitlines()[-1])
    return code, {line["name"]: line for line in lines}


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_is_not_like_the_others(tmp_path):
    """Another torch, another code of clef_ray, a clock that is 5 s ahead, a storage that it does not see: each told, with the node."""
    other = tmp_path / "other"
    shutil.copytree(ROOT / "clef_ray", other / "clef_ray", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "clef_ray" / "more.py").write_text('"""New."""\n')
    (other / "torch-2.0.1.dist-info").mkdir()
    (other / "torch-2.0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.0.1\n"
    )
    (other / "sitecustomize.py").write_text(OTHER_NODE)
    code, found = examine(tmp_path, {"PYTHONPATH": str(other)})
    assert code == 1
    versions = found["versions"]
    assert versions["level"] == "problem"
    assert "torch: " in versions["detail"]
    assert "2.0.1" in versions["detail"]
    assert "code of clef_ray: " in versions["detail"]
    assert "numpy" not in versions["detail"]
    assert found["clocks"]["level"] == "problem"
    apart = float(found["clocks"]["detail"].removeprefix("at most ").split()[0])
    assert apart == pytest.approx(5, abs=0.5)
    assert "timedatectl" in found["clocks"]["remedy"]
    assert found["shared storage"]["level"] == "problem"
    assert "1 of 2 nodes" in found["shared storage"]["detail"]
    assert found["ray"]["level"] == "ok"
    assert "--dashboard-host" in found["ray"]["detail"]
    assert found["token"]["level"] == "warning", "this one was started without"


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.slow
def test_two_nodes_that_are_alike(tmp_path):
    """On one machine: one clock, one storage, one code."""
    code, found = examine(tmp_path, {})
    assert code == 0, found
    assert {name: found[name]["level"] for name in ("versions", "clocks", "shared storage")} == dict.fromkeys(
        ("versions", "clocks", "shared storage"), "ok"
    )
    assert "2 node(s): 2 CPU" in found["capacity"]["detail"]


def test_what_must_be_the_same_says_who_differs():
    alike = [node("1"), node("2"), node("3", shared="x")]
    assert cluster.versions(alike).level == "ok"
    check = cluster.versions([*alike, node("4", ray="2.59.0")])
    assert check.level == "problem"
    assert check.detail == "ray: 10.0.0.4 (4) has 2.59.0, the others 2.60.0"
    assert "setup_commands" in check.remedy
    minimal = node("5", **{"ray[default] lacks": "No module named 'aiohttp_cors'"})
    assert "aiohttp_cors" in cluster.versions([*alike, minimal]).detail
    without = Node("6", "h", {}, {"python": "3.11.7", "ray": "2.60.0"})
    assert "clef-ray: h (6) has missing" in cluster.versions([*alike, without]).detail


def test_a_node_that_does_not_answer_is_a_problem_and_no_verdict_on_the_others():
    nodes = [node("1"), node("2", silent="it ended")]
    assert cluster.versions(nodes).level == "ok"
    (check,) = cluster._silent(nodes)
    assert (check.level, "it ended" in check.detail) == ("problem", True)
    assert cluster.clocks([node("2", silent="x")]).level == "warning"


@pytest.mark.parametrize(
    ("offsets", "uncertainty", "level"),
    [
        ((0, 0.9), 0.01, "ok"),
        ((-0.6, 0.6), 0.01, "problem"),
        ((0, 1.2), 0.3, "ok"),
        ((0, 0, -3), 0.3, "problem"),
    ],
)
def test_clocks_are_apart_only_beyond_doubt(offsets, uncertainty, level):
    """More than 1 s, less what the way of the question leaves uncertain."""
    check = cluster.clocks([node(str(i), o, uncertainty) for i, o in enumerate(offsets)])
    assert check.level == level
    assert f"{max(offsets) - min(offsets):.2f} s apart" in check.detail


@given(
    offset=st.floats(-100, 100),
    ways=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=6),
    start=st.floats(0, 1e6),
)
def test_a_clocks_offset_is_within_its_uncertainty(offset, ways, start):
    """Whatever the ways there and back take, the true offset is within the interval that the quickest gives."""
    samples, now = [], start
    for there, back in ways:
        samples.append((now, now + there + offset, now + there + back))
        now += 10
    found, doubt = clock(samples)
    assert abs(found - offset) <= doubt + 1e-6
    assert doubt == pytest.approx(min(there + back for there, back in ways) / 2, abs=1e-6)


def test_gpus_that_ray_does_not_offer():
    def has(there, offered):
        return [
            c.level
            for c in cluster.devices(
                node(resources={"GPU": offered}, **{"nvidia devices": there}), joins=True
            )
        ]

    assert (has("0", 0.0), has("2", 2.0), has("1", 2.0)) == ([], [], [])
    assert (has("2", 0.0), has("2", 1.0)) == (["problem"], ["warning"])


def test_too_few_cpus_for_a_trial():
    (check,) = cluster._offered([node(resources={"CPU": 0.5})], joins=True)
    assert check.level == "problem"
    (check,) = cluster._offered([node(resources={"CPU": 0.5}), node("b", resources={"CPU": 0.5})], joins=True)
    assert check.level == "ok"


def test_a_dashboard_only_the_head_reaches_is_a_note_as_in_cluster_yaml():
    """The shipped cluster.yaml has it on 127.0.0.1: not a problem, but several nodes are told."""
    for host, nodes, noted in (("127.0.0.1", 1, False), ("10.0.0.4", 3, False), ("127.0.0.1", 3, True)):
        check = cluster._dashboard(f"http://{host}:8265", nodes)
        assert check.level == "ok"
        assert not check.remedy
        assert ("--dashboard-host" in check.detail) == noted


def test_facts_are_this_machines():
    import numpy as np
    import ray
    import torch

    found = facts()
    assert (found["ray"], found["torch"], found["numpy"]) == (
        ray.__version__,
        torch.__version__,
        np.__version__,
    )
    assert found == facts()
    assert "ray[default] lacks" not in found


@pytest.fixture
def home(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster.Path, "home", lambda: tmp_path)
    return tmp_path


def test_a_token_that_is_not_there_or_cannot_be_read(home, monkeypatch):
    """A cluster's token is missing, empty or a folder; a local Ray makes its own."""
    assert cluster.token(joins=True) is None
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert cluster.token(joins=False) is None
    missing = cluster.token(joins=True)
    assert missing.level == "problem"
    assert "ray get-auth-token" in missing.remedy
    path = home / ".ray" / "auth_token"
    path.mkdir(parents=True)
    assert "directory" in cluster.token(joins=True).detail
    path.rmdir()
    path.write_text("\n")
    assert "is empty" in cluster.token(joins=True).detail
    path.write_text("secret")
    path.chmod(0o640)
    open_to_others = cluster.token(joins=True)
    assert (open_to_others.level, "chmod 600" in open_to_others.remedy) == ("warning", True)
    path.chmod(0o600)
    assert cluster.token(joins=True) is None
    path.unlink()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert cluster.token(joins=True) is None


def test_a_token_file_that_is_named_and_absent_is_told_before_ray_fails_of_it(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "nothing"))
    (check,) = cluster.checks(str(home), "10.0.0.1:6379")
    assert check.name == "token"
    assert "nothing" in check.detail
    assert cluster.token(joins=False) is None, "a local Ray does not look there"


@pytest.mark.parametrize(("status", "levels"), [(200, ["warning"]), (401, []), (403, [])])
def test_a_ray_that_asks_nobody_for_a_token(status, levels):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert "Authorization" not in self.headers
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        checks = list(cluster.unguarded(f"http://127.0.0.1:{server.server_port}"))
    assert [check.level for check in checks] == levels
    assert all("asks nobody for a token" in check.detail for check in checks)


def test_a_dashboard_that_cannot_be_asked_from_here_is_no_finding():
    assert list(cluster.unguarded("http://127.0.0.1:9")) == []


# A head that asks for a token, and a doctor that has another one.
REFUSED = """
import contextlib, io, json, os, subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": True})
code = "import sys; from clef_ray.doctor import doctor; sys.exit(doctor(sys.argv[1], None, sys.argv[2], as_json=True))"
other = subprocess.run([sys.executable, "-c", code, sys.argv[1], cluster.address], capture_output=True, text=True, timeout=120,
                       env={**os.environ, "RAY_AUTH_TOKEN": "b" * 64})
cluster.shutdown()
print(json.dumps([other.returncode, [c for c in json.loads(other.stdout) if c["group"] == "ray"]]))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_that_refuses_the_token(tmp_path):
    folder, begin = tempfile.mkdtemp(prefix="clef", dir="/tmp"), time.monotonic()
    env = {
        **os.environ,
        "RAY_TMPDIR": folder,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a" * 64,
        "PYTHONPATH": str(ROOT),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", REFUSED, str(tmp_path)], capture_output=True, text=True, timeout=240, check=False, env=env
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    code, (check,) = json.loads(done.stdout.splitlines()[-1])
    assert (code, check["level"]) == (1, "problem")
    assert "refuses this machine's token" in check["detail"]
    assert time.monotonic() - begin < 200
