"""A Ray on the loopback interface whose autoscaler starts and stops nodes for real: processes of this machine in place of a cloud's.

ray.cluster_utils.AutoscalingCluster is not used: it runs `ray stop`, which ends every Ray of the machine, and a file that it reads is not in
Ray's wheels.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

#: The names by which Ray's fake provider knows the head and its type.
HEAD, HEAD_TYPE = "f" * 51 + "00000", "ray.head.default"
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
STORE = 100_000_000


@contextmanager
def growing(
    types: Mapping[str, Any], idle_minutes: float, module: str = PROVIDER
) -> Iterator[dict[str, str]]:
    """The environment by which a process joins (RAY_ADDRESS among it). types: as in available_node_types, without the head, which has 1 CPU."""
    folder, mark, (gcs, dashboard) = tempfile.mkdtemp(prefix="gr", dir="/tmp"), uuid.uuid4().hex, _ports()
    file = Path(folder) / "cluster.yaml"
    file.write_text(json.dumps(_config(types, idle_minutes, module, gcs)))
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env |= {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    env |= {
        "CLEF_RAY_TEST": mark,
        "PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}",
    }
    leads = {"RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    leads |= {"RAY_CLOUD_INSTANCE_ID": HEAD, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD}
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={gcs}", "--num-cpus=1"]
    start += ["--node-ip-address=127.0.0.1", f"--object-store-memory={STORE}", f"--temp-dir={folder}/r"]
    start += [f"--dashboard-port={dashboard}", f"--autoscaling-config={file}", "--include-dashboard=true"]
    try:
        _start(start, {**env, **leads}, mark)
        yield {
            **env,
            "RAY_ADDRESS": f"127.0.0.1:{gcs}",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
        }
    finally:
        left = list(_marked(mark))
        for process in left:
            process.kill()
        psutil.wait_procs(left, 10)
        shutil.rmtree(folder, ignore_errors=True)


def _start(command: list[str], env: Mapping[str, str], mark: str) -> None:
    """Tried three times: Ray gives its own processes 30 s, which a busy machine may not keep."""
    for _ in range(3):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode == 0:
            return
        for process in list(_marked(mark)):
            process.kill()
    raise AssertionError(done.stderr)


def _ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _config(types: Mapping[str, Any], idle_minutes: float, module: str, gcs: int) -> dict[str, Any]:
    lists = [
        "setup_commands",
        "head_setup_commands",
        "worker_setup_commands",
        "head_start_ray_commands",
        "worker_start_ray_commands",
        "cluster_synced_files",
        "rsync_exclude",
        "rsync_filter",
        "initialization_commands",
    ]
    here = {"gcs_address": f"127.0.0.1:{gcs}", "head_node_id": HEAD, "launch_multiple": True}
    return {
        "cluster_name": "growing",
        "max_workers": 8,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_minutes,
        "provider": {"type": "external", "module": module, "disable_node_updaters": True, **here},
        "head_node_type": HEAD_TYPE,
        "available_node_types": {
            **{name: {"node_config": {}, "min_workers": 0, **kind} for name, kind in types.items()},
            HEAD_TYPE: {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        },
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in lists},
    }


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get("CLEF_RAY_TEST") == mark:
                yield process
        except psutil.Error:
            continue
