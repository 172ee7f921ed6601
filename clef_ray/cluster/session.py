"""A running Ray for the length of a `with` block: a local one on the loopback interface, or a cluster that is already there.

Whatever this process started it also stops, with its files; a cluster that was there before keeps running. The dashboard is always on and
is asked before anything starts: Ray Train frees the workers of a stopped trial by asking the dashboard's State API whether the trial is
still alive, so without it every later trial of a sweep waits for ever, without a message.

Whoever reaches a Ray runs code as its user, and the loopback interface is open to everyone on the machine. So a local Ray always asks for a
token, one of its own: it is made for this start, stands in the environment of its processes only, and is worth nothing afterwards. Ray's
default, ~/.ray/auth_token, would be the clusters' too, is written with the rights that the umask leaves, and cannot be where the home
folder cannot be written. A cluster that is joined gets the token that Ray finds here (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token).
"""

import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray
from ray._private import ray_constants
from ray._private.utils import get_dashboard_dependency_error
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError
from ray.util.state import list_nodes
from ray.util.state.exception import RayStateApiException

from clef_ray.errors import ClefRayError

#: What the processes of a local Ray inherit; a value the user has set stays. On a cluster, `cluster.yaml` decides.
LOCAL_SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: 127.0.0.1 stays 127.0.0.1 (see _loopback)
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # the floor under every report of several workers; 2 s is meant for large clusters
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # this machine is not taken away with notice
    "RAY_TRAIN_METRICS_ENABLED": "0",  # nobody scrapes a local Prometheus endpoint
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker that asked for no GPU sees none
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # the command line has its own
}

#: Seconds after which an address counts as dead: for its port to open, and for Ray behind it to answer.
CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0

#: Ray puts Unix sockets below its folder, whose paths the system cuts at about 104 characters; Ray itself needs 66 of them.
LONGEST_FOLDER = 35

#: Ray opens its own folder to everyone on the machine (mode 777), logs and all; so it lies in one that is its user's alone.
_INNER = "ray"


@contextmanager
def session(address: str | None = None, *, num_cpus: int | None = None) -> Iterator[str]:
    """Ray for the length of the block; yields the dashboard's URL.

    address: `host:port` or `auto` joins a running cluster and leaves it running; None takes the one that RAY_ADDRESS names (as in a job
    that was submitted to a cluster), else starts a local Ray that listens on the loopback interface only and ends with the block. Inside
    another session None means that one.
    num_cpus: of a local Ray; None takes all.
    Raises ClefRayError when the address does not answer within about a minute, or when the dashboard does not.
    """
    if ray.is_initialized():
        if address is not None:
            raise ClefRayError(
                f"--address {address}: this process is already connected to a Ray; give no address or end that one first"
            )
        yield _require_dashboard()
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        with _local(num_cpus) if address == "local" else _remote(address):
            yield _require_dashboard()
    except AuthenticationError as error:
        raise ClefRayError(f"Ray's token: {str(error).partition('. ')[0]}. See `clef-ray doctor`.") from error
    finally:
        ray.shutdown()


@contextmanager
def _local(num_cpus: int | None) -> Iterator[None]:
    if reason := get_dashboard_dependency_error():
        raise ClefRayError(
            f"Ray's dashboard cannot start ({reason}): pip install 'ray[default]=={ray.__version__}'"
        )
    folder, port = _new_folder(), _free_port()
    # Without this variable the State API looks for Ray in the machine's process list, and gives up where it sees two. Forced, since it may come
    # from a process with a Ray of its own that started this one, whose dashboard would refuse this one's token.
    asked = {"RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}"}
    try:
        with _environment(LOCAL_SETTINGS, {**_guard(), **asked}):
            _forget_token()
            with _loopback():
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=True,
                    dashboard_host="127.0.0.1",
                    dashboard_port=port,
                    log_to_driver=False,
                    logging_level="error",
                    _temp_dir=f"{folder}/{_INNER}",
                    _node_ip_address="127.0.0.1",
                )
            yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _remote(address: str) -> Iterator[None]:
    _require_answer(address)
    _forget_token()
    ray.init(address=address, log_to_driver=False, logging_level="error")
    yield


def _new_folder() -> str:
    parent = tempfile.gettempdir()
    if len(parent) + len(f"/clef-ray-12345678/{_INNER}") > LONGEST_FOLDER:
        parent = "/tmp"  # noqa: S108  # mkdtemp makes a private folder there
    return tempfile.mkdtemp(prefix="clef-ray-", dir=parent)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _guard() -> dict[str, str]:
    """What keeps strangers out of a local Ray, whatever the user has set for a cluster. TLS has nothing to hide on the loopback interface, and
    a cluster's certificates do not name 127.0.0.1.
    """
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USE_TLS": "0"}


def _forget_token() -> None:
    """Ray reads mode and token once per process, when it is imported; from here on the environment counts as it is now."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _environment(settings: Mapping[str, str], forced: Mapping[str, str]) -> Iterator[None]:
    """settings: a value the user has set stays; forced: it does not. Afterwards all is as before."""
    added = {name: value for name, value in settings.items() if name not in os.environ} | dict(forced)
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray take 127.0.0.1 as this node's address, as it does by itself on macOS and Windows.

    On Linux it would take the address of the network card instead, whatever `_node_ip_address` says, open a dozen ports to the network and
    lose its own processes when the network changes. Child processes read the switch from LOCAL_SETTINGS; in this one `ray` has been imported.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _require_answer(address: str) -> None:
    """Ask from outside: `ray.init` on a dead address blocks for minutes and cannot be interrupted."""
    advice = "Give the HOST:PORT that `ray start --head` printed (port 6379 unless told otherwise), or no address for a local Ray."
    if "://" in address:
        raise ClefRayError(
            f"--address {address}: Ray Client is not supported. Run inside the cluster instead: "
            "ray job submit --working-dir . -- python experiments/ablate_negatives.py --address auto"
        )
    host, colon, port = address.rpartition(":")
    if address != "auto":
        if not (colon and host and port.isdigit()):
            raise ClefRayError(f"--address {address}: not HOST:PORT. {advice}")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT).close()
        except (OSError, OverflowError) as error:
            raise ClefRayError(f"--address {address}: nothing answers there ({error}). {advice}") from error
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise ClefRayError(
            f"--address {address}: no Ray answers there within {ANSWER_TIMEOUT:.0f} s. {_about_tls(address) or advice}"
        ) from error
    if found.returncode != 0:
        raise ClefRayError(f"--address {address}: {_reason(found.stderr)} {advice}")


def _about_tls(address: str) -> str:
    """Whether one side encrypts and the other does not, or does not trust it: then Ray tries again for ever. Empty where that is not the reason."""
    host, _, port = address.rpartition(":")
    ours = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    asking = ssl.create_default_context()
    asking.check_hostname, asking.verify_mode = (
        False,
        ssl.CERT_NONE,
    )  # asked whether it encrypts; nothing is sent
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT) as plain:
            asking.wrap_socket(plain).close()
    except (OSError, ValueError):
        return "RAY_USE_TLS is set here, and there nothing is encrypted." if ours else ""
    why = (
        "does not trust these RAY_TLS_* certificates" if ours else "encrypts, and RAY_USE_TLS is not set here"
    )
    return f"The cluster {why}: RAY_USE_TLS=1 and RAY_TLS_CA_CERT, RAY_TLS_SERVER_CERT and RAY_TLS_SERVER_KEY of its own authority (.github/SECURITY.md)."


def _reason(stderr: str) -> str:
    if "InvalidAuthToken" in stderr or "AuthenticationError" in stderr:
        return "the cluster refuses this machine's token: set RAY_AUTH_MODE=token and copy the cluster's ~/.ray/auth_token here."
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "Ray gives no reason."


def _require_dashboard() -> str:
    try:
        list_nodes(address=ray.get_runtime_context().gcs_address, timeout=10)
    except (RayStateApiException, ConnectionError, ValueError) as error:
        raise ClefRayError(
            "Ray's dashboard does not answer, and without it stopped trials keep their workers: on every node "
            f"pip install 'ray[default]=={ray.__version__}', and start the head with --include-dashboard=true"
        ) from error
    return f"http://{ray._private.worker.get_dashboard_url()}"  # noqa: SLF001
