"""A `ray up` file for machines one already has (Ray's provider `local`: over SSH), made from cluster.yaml.

Ray 2.60's launcher has four traps there, each of which was met on three hosts over a real sshd (tests/hosts); the file carries the mends, and
says at each why it is there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from clef_ray.errors import ConfigError
from clef_ray.provision.shared import Folded, section, start

#: Where clef_ray is installed on every host unless it is there already.
ENVIRONMENT = "~/clef_ray/.venv"

#: Ray takes a `local` file with a node type of this name as it is; without one it makes a single type for the head and the workers.
WORKER_TYPE = "local.cluster.node"

#: Ray writes the token for everybody to read.
_PRIVATE = "chmod 600 ~/.ray/auth_token"

#: Seconds without the head after which a worker ends.
ORPHANED = 20

#: Seconds after which the autoscaler ends once more what it has ended, and asks once more for what it has asked for (Ray: 300 and 600).
_AGAIN = {
    "RAY_AUTOSCALER_RECONCILE_TERMINATING_STATUS_TIMEOUT_S": "10",
    "RAY_AUTOSCALER_RECONCILE_REQUEST_STATUS_TIMEOUT_S": "30",
}

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FILE = re.compile(r"[A-Za-z0-9_~/.+@-]+")

_HEAD = """\
clef_ray on machines that are there already, over SSH. Made from cluster.yaml by `clef-ray cluster hosts`: make it again rather than change
what stands in both.

Every host needs sshd, rsync, bash and {python}; your key must open all of them, and the head must get into the workers. Hosts reach each
other on all ports, and nobody else reaches them: a firewall's job, since Ray's token crosses the network in plain text unless TLS is on.
Ray does not compare the hosts' SSH keys with known ones.

Once, on your machine (in the project's folder):
  (umask 077; ray get-auth-token --generate)       writes ~/.ray/auth_token; the hosts get a copy, this file never holds it
  export RAY_AUTH_MODE=token                       for every command below
  ray up hosts.yaml
  ray dashboard hosts.yaml                         forwards http://127.0.0.1:8265; leave it running in a second terminal

An experiment, as a job that goes on when you close the lid:
  ray job submit --address http://127.0.0.1:8265 --working-dir . -- \\
    python experiments/ablate_negatives.py --address auto --storage /mnt/shared/clef

The storage is a folder that all hosts see under one path (NFS), or an object store (storage/README.md); then also --tracking-uri.

The end: ray down hosts.yaml. The head stops at once, the workers {orphaned} s later by themselves (see worker_start_ray_commands)."""

_TYPES = f"""\
Two node types, though the machines may be alike: with the one that Ray makes for `local` by itself, its autoscaler counts the head among the
workers and starts one too few. Ray leaves the types alone when one has the name {WORKER_TYPE}. With min_workers a host that was cut off, ended
or was replaced is set up again from the beginning, token and all, as soon as SSH answers there."""

_MOUNTS = "The token goes to every host whenever it is set up, so that a new disk needs no care."

_SETUP = """\
The last one lets `ray down` and `ray exec`, which know no folder, find `ray`; at the end of PATH, so that nothing else of yours is hidden."""

_START = f"""\
As in cluster.yaml: the token on every start; a dead node is found in about 9 s instead of 63 s, and a call to one that was cut off ends in
seconds instead of minutes; the dashboard stays on 127.0.0.1.
`ray down` stops the head alone, though it says `No nodes remaining`. So a worker that has lost its head ends by itself after {ORPHANED} s (Ray's
default: 60), which is also the end of a trial on a host that is cut off; and its `ray start` stays (--block), so that what a raylet
leaves behind when it ends is ended too. It stays in a session of its own; SSH only waits for its first words, which are in ~/.ray/start.log. (--force: a gentle
`ray stop` would leave it.) Whoever runs another Ray as the same user on these hosts loses it."""

_RECORD = """\
The second command tells Ray's autoscaler that the head runs, which it starts no worker without and never finds out by itself here; and that
no worker does, so that each is set up from the beginning. A lost host is ended and asked for again at the same moment, under one address: the autoscaler, which
expects another, takes the new for the old, until it tries both again: after 10 and 30 s (RECONCILE) instead of 5 and 10 minutes."""

#: `ray start --block` for a session that ends before it: {start} is its command.
_STAY = """\
rm -f ~/.ray/start.log;
setsid bash -c '{start}; echo Ended; pkill -KILL -s 0' > ~/.ray/start.log 2>&1 < /dev/null &
for second in $(seq 300); do
if grep -qs 'Ray runtime started' ~/.ray/start.log; then exit 0; fi;
if grep -qs '^Ended' ~/.ray/start.log; then break; fi;
sleep 1; done;
cat ~/.ray/start.log; exit 1"""


def hosts(
    document: Mapping[str, Any],
    *,
    head: str,
    workers: Sequence[str],
    user: str,
    ssh_key: str | None = None,
    environment: str | None = None,
    python: str = "python3",
) -> str:
    """The file's text.

    document: cluster.yaml; head, workers: addresses by which the hosts reach each other and your machine reaches the head; user: who logs in;
    ssh_key: file of the private key for all of them, which the head gets a copy of (None: ssh's own settings, on your machine and the head);
    environment: folder of an installation (bin/ray) that is on every host already (None: one is made in ~/clef_ray/.venv); python: the
    interpreter it is made from. ConfigError for what SSH, the shell or Ray would misunderstand.
    """
    _check(head, workers, user, {"--ssh-key": ssh_key, "--environment": environment, "--python": python})
    path = f"PATH={environment or ENVIRONMENT}/bin:$PATH"
    key = {"ssh_private_key": ssh_key} if ssh_key else {}
    mounts = document["file_mounts"]
    token = {file: source for file, source in mounts.items() if file == "~/.ray/auth_token"}
    setup = [_PRIVATE, *_setup(document, path, environment, python), _on_path(environment)]
    parts = [
        section(
            _HEAD.format(python=python, orphaned=ORPHANED),
            {
                "cluster_name": _cluster_name(document),
                "provider": {"type": "local", "head_ip": head, "worker_ips": list(workers)},
                "auth": {"ssh_user": user, **key},
            },
        ),
        section(_TYPES, _types(len(workers), document)),
        section(_MOUNTS, {"file_mounts": dict(mounts if environment is None else token)}),
        section(
            "",
            {
                "rsync_exclude": list(document.get("rsync_exclude", ())),
                "rsync_filter": [],
                "cluster_synced_files": [],
                "file_mounts_sync_continuously": False,
                "docker": {},
                "initialization_commands": [],
            },
        ),
        section(_SETUP, {"setup_commands": [], "head_setup_commands": setup, "worker_setup_commands": setup}),
        section(f"{_START}\n{_RECORD}", _starts(document, path, head)),
    ]
    return "\n".join(parts)


def _cluster_name(document: Mapping[str, Any]) -> str:
    return f"{document['cluster_name']}-hosts"


def _check(head: str, workers: Sequence[str], user: str, files: Mapping[str, str | None]) -> None:
    for option, name in (("--head", head), *(("--workers", w) for w in workers), ("--user", user)):
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{option} {name}: letters, digits, _, - and . make an address or a name")
    if not workers:
        raise ConfigError("--workers: at least one is needed; on one machine no cluster is")
    if len({head, *workers}) != 1 + len(workers):
        raise ConfigError(f"--head {head} --workers {' '.join(workers)}: a host is named twice")
    for option, file in files.items():
        if file is not None and not _FILE.fullmatch(file):
            raise ConfigError(f"{option} {file}: letters, digits and any of _ ~ / . + @ - are allowed")


def _types(workers: int, document: Mapping[str, Any]) -> dict[str, Any]:
    every: dict[str, Any] = {"resources": {}, "node_config": {}}  # as the machine has
    return {
        "max_workers": workers,
        "idle_timeout_minutes": document["idle_timeout_minutes"],
        "upscaling_speed": document["upscaling_speed"],
        "head_node_type": "head",
        "available_node_types": {
            "head": {**every, "min_workers": 0, "max_workers": 0},
            WORKER_TYPE: {**every, "min_workers": workers, "max_workers": workers},
        },
    }


def _setup(document: Mapping[str, Any], path: str, environment: str | None, python: str) -> list[str]:
    """Commands that install clef_ray as cluster.yaml does, in an environment of its own; none where there is one."""
    if environment is not None:
        return []
    installs = [command for command in document["setup_commands"] if "pip install" in command]
    if not installs:
        raise ConfigError("setup_commands: none of them is a `pip install` of clef_ray")
    made = f"test -x {ENVIRONMENT}/bin/python || {python} -m venv {ENVIRONMENT}"
    return [made, *(f"{path}; {command}" for command in installs)]


def _on_path(environment: str | None) -> str:
    line = f"PATH=$PATH:{environment or ENVIRONMENT}/bin"
    return f"grep -qsxF '{line}' ~/.bashrc || echo '{line}' >> ~/.bashrc"


def _record(name: str, head: str) -> str:
    """The state file of Ray's LocalNodeProvider, with a head that runs: it is read when the autoscaler starts."""
    tags = {"ray-node-type": "head", "ray-user-node-type": "head", "ray-node-status": "up-to-date"}
    state = json.dumps({head: {"tags": tags, "state": "running"}})
    return f"mkdir -p /tmp/ray && echo '{state}' > /tmp/ray/cluster-{name}.state"


def _starts(document: Mapping[str, Any], path: str, address: str) -> dict[str, list[str]]:
    name, value = path.split("=", 1)
    stop = f"{path}; ray stop --force"
    record = _record(_cluster_name(document), address)
    head = start(document, "head").command({name: value, **_AGAIN})
    orphaned = {"RAY_gcs_rpc_server_reconnect_timeout_s": str(ORPHANED)}
    worker = start(document, "worker").command({name: value, **orphaned})
    stay = _STAY.format(start=f"{worker} --block").replace("\n", " ")
    return {
        "head_start_ray_commands": [stop, Folded(record), Folded(head)],
        "worker_start_ray_commands": [stop, Folded(stay)],
    }
