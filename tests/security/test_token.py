"""A stranger on this machine finds a running local Ray: every door asks for the token, and the token lies nowhere."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import ray

from clef_ray.cluster import session as module
from clef_ray.errors import ClefRayError

pytestmark = pytest.mark.ray

#: What anyone may have: the page itself, whether there is a Ray, and whether it asks for a token.
OPEN = ("/", "/api/gcs_healthz", "/api/authentication_mode")

#: The whole API; jobs, which run any command; state and logs, in which there may be what patients must not be exposed to.
CLOSED = ("/api/version", "/api/jobs/", "/nodes?view=summary", "/api/v0/tasks", "/api/v0/logs", "/logs")

#: Ray's own client, without clef_ray: it stands for a stranger's program.
CLIENT = "import ray, sys; ray.init(address=sys.argv[1], logging_level='error'); print(ray.get(ray.remote(num_cpus=0)(lambda: 'ran').remote()))"


def answer(url, token=None, data=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as found:
            return found.status
    except urllib.error.HTTPError as error:
        return error.code


def own_token():
    return os.environ["RAY_AUTH_TOKEN"]


@pytest.mark.parametrize(("given", "status"), [(None, 401), ("0" * 64, 403)])
def test_the_http_api_refuses_a_stranger(local_ray, given, status):
    assert {path: answer(local_ray + path, given) for path in CLOSED} == dict.fromkeys(CLOSED, status)
    job = json.dumps({"entrypoint": "touch /tmp/ran"}).encode()
    assert answer(f"{local_ray}/api/jobs/", given, job) == status


def test_the_http_api_serves_whoever_has_the_token(local_ray):
    found = {path: answer(local_ray + path, own_token()) for path in CLOSED}
    assert not {401, 403} & {*found.values()}
    assert found["/api/version"] == found["/api/jobs/"] == 200
    assert {path: answer(local_ray + path) for path in OPEN} == dict.fromkeys(OPEN, 200)


@contextmanager
def client(environment):
    """Ray's client in a process of its own, with the address of the running Ray."""
    address = ray.get_runtime_context().gcs_address
    dropped = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")
    env = {k: v for k, v in os.environ.items() if k not in dropped} | environment
    command = [sys.executable, "-c", CLIENT, address]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_client_runs_code_with_the_token_and_not_without(local_ray, tmp_path):
    """HOME is another one, as a stranger's is: Ray would find this user's token there. A refused client asks again for 20 s; it is not waited for."""
    home, right = {"HOME": str(tmp_path)}, own_token()
    others = [{}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}]
    with (
        client(home | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": right}) as mine,
        client(home | others[0]) as without,
        client(home | others[1]) as wrong,
    ):
        assert "ran" in mine.stdout.read().splitlines()
        for refused in (without, wrong):
            said = []
            for line in refused.stdout:
                said.append(line)
                if "InvalidAuthToken" in line:
                    break
            assert "InvalidAuthToken" in said[-1], "".join(said)
            assert not any("ran" in line.split() for line in said)


def test_clef_ray_says_which_token_it_lacks(local_ray, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(
        ClefRayError, match="the cluster refuses this machine's token: set RAY_AUTH_MODE=token"
    ):
        module._require_answer(ray.get_runtime_context().gcs_address)


def ray_processes():
    """Those that this process has started, and theirs."""
    return psutil.Process().children(recursive=True)


def test_every_port_is_on_the_loopback_interface(local_ray):
    listening = {
        (process.name(), c.laddr.ip)
        for process in ray_processes()
        for c in process.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    }
    assert len(listening) > 2
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, sorted(listening)


def test_the_token_lies_in_no_file_and_on_no_command_line(local_ray):
    """Command lines are everyone's to read, a process's environment is its user's; the session's folder is its user's too."""
    folder = Path(ray._private.worker._global_node.get_session_dir_path())
    (private,) = [parent for parent in folder.parents if parent.name.startswith("clef-ray-")]
    assert private.stat().st_mode & 0o077 == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    token = own_token().encode()
    assert [path.name for path in files if token in path.read_bytes()] == []
    lines = [" ".join(process.cmdline()) for process in ray_processes()]
    assert any("raylet" in line for line in lines)
    assert [line for line in lines if own_token() in line] == []
