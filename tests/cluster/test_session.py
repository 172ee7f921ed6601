"""Starting, joining and leaving Ray; dead addresses; the dashboard that sweeps need."""

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
from types import SimpleNamespace

import pytest
import ray

from clef_ray.cluster import session as module
from clef_ray.cluster.session import session
from clef_ray.errors import ClefRayError

# A separate process: it starts a Ray of its own, joins it from a second process, and looks at what is left.
WHOLE_LIFE = '''
import json, os, subprocess, sys, tempfile
import ray
from clef_ray.cluster.session import LOCAL_SETTINGS, session

@ray.remote
def settings():
    # What a worker sees. It also asks the State API, as Ray Train's cleaner of stopped trials does.
    from ray.util.state import list_nodes

    assert [node.state for node in list_nodes(timeout=10)] == ["ALIVE"]
    return {name: os.environ.get(name) for name in LOCAL_SETTINGS}

join = """
import sys
from clef_ray.cluster.session import session
with session(sys.argv[1]) as url:
    print(url)
"""
found = {}
with session(num_cpus=1) as url:
    found["dashboard"] = url
    address = found["address"] = ray.get_runtime_context().gcs_address
    found["settings"] = ray.get(settings.remote())
    found["cpus"] = ray.cluster_resources()["CPU"]
    joined = subprocess.run(
        [sys.executable, "-c", join, address],
        capture_output=True, text=True, env={**os.environ, "RAY_AUTH_MODE": "token"},
    )
    found["joined"] = joined.stdout.strip() or joined.stderr[-500:]
    found["alive_after_join"] = len(ray.nodes())
found["running"] = ray.is_initialized()
found["environment"] = [name for name in LOCAL_SETTINGS if name in os.environ]
found["left"] = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("clef-ray-")]
try:
    with session(address):
        pass
except Exception as error:
    found["dead"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
'''


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_ray_lives_on_the_loopback_and_leaves_nothing():
    """All in one start: address, dashboard, settings of workers, joining does not stop it, leaving does, a dead address is told."""
    own = tempfile.mkdtemp(prefix="clef", dir="/tmp")  # short, for Ray's sockets
    dropped = {*module.LOCAL_SETTINGS, "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE"}
    env = {**{k: v for k, v in os.environ.items() if k not in dropped}, "TMPDIR": own}
    done = subprocess.run(
        [sys.executable, "-c", WHOLE_LIFE], check=False, capture_output=True, text=True, timeout=180, env=env
    )
    shutil.rmtree(own)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["address"].startswith("127.0.0.1:")
    assert found["dashboard"].startswith("http://127.0.0.1:")
    assert found["joined"] == found["dashboard"]
    assert found["settings"] == module.LOCAL_SETTINGS
    assert (found["cpus"], found["alive_after_join"], found["running"]) == (1.0, 1, False)
    assert (found["environment"], found["left"]) == ([], [])
    assert found["dead"].startswith(f"ClefRayError: --address {found['address']}: nothing answers there")


@pytest.mark.ray
def test_a_session_inside_a_session_is_the_same_and_stays(local_ray):
    with session() as inner:
        assert inner == local_ray
    assert ray.is_initialized()
    with pytest.raises(ClefRayError, match="already connected"), session("127.0.0.1:6379"):
        pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", "nothing answers there"),
        ("no-such-host.invalid:6379", "nothing answers there"),
        ("127.0.0.1:99999", "nothing answers there"),
        ("127.0.0.1", "not HOST:PORT"),
        ("ray://head:10001", "ray job submit"),
    ],
)
def test_a_wrong_address_is_told_within_seconds(address, said):
    begin = time.perf_counter()
    with pytest.raises(ClefRayError, match=said):
        module._require_answer(address)
    assert time.perf_counter() - begin < module.CONNECT_TIMEOUT + 2


def test_a_port_behind_which_there_is_no_ray_is_told(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 4.0)
    with pytest.raises(ClefRayError, match="no Ray answers there within 4 s"):
        module._require_answer(f"127.0.0.1:{server.server_port}")
    server.shutdown()


def test_a_refused_token_is_told_apart():
    assert "RAY_AUTH_MODE=token" in module._reason(
        "...\nray.exceptions.AuthenticationError: InvalidAuthToken: ..."
    )
    assert module._reason("Traceback\nConnectionError: gone\n") == "ConnectionError: gone"


def test_without_the_dashboards_packages_nothing_starts(monkeypatch):
    monkeypatch.setattr(
        module, "get_dashboard_dependency_error", lambda: ImportError("No module named 'aiohttp_cors'")
    )
    with pytest.raises(ClefRayError, match=r"aiohttp_cors.*pip install 'ray\[default\]"), module._local(1):
        pass


def test_a_dashboard_that_does_not_answer_is_told(monkeypatch):
    def dead(address, timeout):
        raise module.RayStateApiException("refused")

    monkeypatch.setattr(module, "list_nodes", dead)
    monkeypatch.setattr(module.ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="127.0.0.1:1"))
    with pytest.raises(ClefRayError, match="--include-dashboard=true"):
        module._require_dashboard()


@pytest.mark.parametrize("length", [15, 60])
def test_the_folder_leaves_room_for_unix_sockets(length, monkeypatch):
    """60 characters are too many by themselves; 15 are so with what comes below."""
    long = tempfile.mkdtemp(prefix="x" * (length - len("/tmp/12345678")), dir="/tmp")
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: long)
    folder = module._new_folder()
    Path(folder).rmdir()
    Path(long).rmdir()
    assert len(f"{folder}/{module._INNER}") <= module.LONGEST_FOLDER


def test_a_users_own_setting_wins(monkeypatch):
    for name in module.LOCAL_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TRAIN_METRICS_ENABLED", "1")
    with module._environment(module.LOCAL_SETTINGS, {}):
        assert os.environ["RAY_TRAIN_METRICS_ENABLED"] == "1"
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_TRAIN_METRICS_ENABLED"] == "1"
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


def test_a_local_ray_has_a_token_of_its_own_whatever_the_user_has_set(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the cluster's")
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    tokens = set()
    for _ in range(2):
        with module._environment({"RAY_AUTH_MODE": "disabled"}, module._guard()):
            assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_USE_TLS"]) == ("token", "0")
            tokens.add(os.environ["RAY_AUTH_TOKEN"])
    assert len(tokens) == 2
    assert all(len(bytes.fromhex(token)) == 32 for token in tokens), "256 bits"
    assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"]) == ("disabled", "the cluster's")
    assert "RAY_USE_TLS" not in os.environ


def test_a_clusters_token_that_cannot_be_read_is_told_without_a_traceback(tmp_path):
    code = "from clef_ray.cluster import session as s\ns._require_answer = lambda a: None\nwith s.session('127.0.0.1:9'):\n    pass"
    dropped = {"RAY_AUTH_TOKEN", "RAY_ADDRESS"}
    env = {k: v for k, v in os.environ.items() if k not in dropped}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120, env=env
    )
    assert done.stderr.splitlines()[-1].startswith(
        "clef_ray.errors.ClefRayError: Ray's token: RAY_AUTH_TOKEN_PATH"
    )
