"""A batch script for Slurm that starts Ray on its allocation, runs one experiment there and ends all, made from cluster.yaml."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from clef_ray.errors import ConfigError
from clef_ray.provision.shared import Start, start

_TIME = re.compile(r"(\d+-)?\d{1,2}:\d{2}:\d{2}")
_WORD = re.compile(r"[A-Za-z0-9_.,+-]+")
_FOLDER = re.compile(r"[A-Za-z0-9_~/.+@-]+")

#: Options of cluster.yaml's `ray start` that a job decides by itself: ports, so that two jobs may share a node, and who listens where.
_OWN = ("--head", "--port", "--object-manager-port", "--autoscaling-config", "--address", "--dashboard-host")

_SCRIPT = """\
#!/bin/bash
# clef_ray on Slurm. Made from cluster.yaml by `clef-ray cluster slurm`: make it again rather than change what stands in both.
#
#   sbatch job.sbatch
#
# Was run: the whole script, with srun and scontrol replaced by programs that start two nodes on one machine (tests/provision). Was NOT run: Slurm.
# Your home must be the same folder on all nodes (the token lies there), and --storage one that all nodes see.
#
# {signal} s before the time is up the experiment is stopped, its finished epochs are in the storage, and the job is put back into the queue:
# it starts again with this same script and goes on. So does a job that is preempted or whose node is lost (--requeue). `scancel` ends it.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{asks}#SBATCH --time={time}
#SBATCH --signal=B:USR1@{signal}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -euo pipefail
umask 077 # logs, spilled objects and the token are the user's own
{path}
# A token of this job alone: nodes and networks are shared with other people. It is in a file, not on a command line or in the log.
keep="$HOME/.clef_ray-$SLURM_JOB_ID"
mkdir -p "$keep"
python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$keep/token"
export RAY_AUTH_TOKEN_PATH="$keep/token"

# As in cluster.yaml: the token is asked for, and a lost node is found in about 9 s.
{settings}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${{nodes[0]}}
on_head=(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" --cpus-per-task="$SLURM_CPUS_PER_TASK")
# The head's first address. Where that is not the fast network, put its own here.
address=$("${{on_head[@]}}" hostname -I | awk '{{print $1}}')
port=$((20000 + SLURM_JOB_ID % 10000 * 4)) # two jobs on one node do not meet
temp=/tmp/ray-$SLURM_JOB_ID # /tmp/ray may be another user's; short, for Ray's sockets
has=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus={gpus} --dashboard-agent-listen-port=0 --min-worker-port=0 --max-worker-port=0)

# shellcheck disable=SC2329 # the trap calls it
finish() {{
    trap - EXIT
    # Not `ray stop`: it would end your other jobs' Ray on these nodes too. srun hands the signal on, and `ray start --block` ends what it started.
    mapfile -t running < <(jobs -pr)
    ((${{#running[@]}} == 0)) || kill -TERM "${{running[@]}}" 2>/dev/null || true
    wait || true
    srun --overlap --ntasks-per-node=1 rm -rf "$temp" || true
    rm -rf "$keep"
}}
trap finish EXIT

# The dashboard is on the head's address, not on 127.0.0.1: trials of several workers ask it from their own nodes, with the token.
"${{on_head[@]}}" ray start --head --block --node-ip-address="$address" --port="$port" --dashboard-port=$((port + 1)) \\
    --dashboard-host="$address" --temp-dir="$temp" --ray-client-server-port=$((port + 2)) "${{has[@]}}" {head_options} &
started=("$!")
up() {{
    local each
    for each in "${{started[@]}}"; do
        kill -0 "$each" 2>/dev/null && continue
        echo "Ray: a node did not start, the head is $head ($address); the reason is above" >&2
        exit 1
    done
}}
export RAY_ADDRESS="$address:$port"
SECONDS=0
until ray status > /dev/null 2>&1; do
    up
    if ((SECONDS > {patience})); then
        echo "Ray: the head on $head ($address) does not answer" >&2
        exit 1
    fi
    sleep 1
done

if ((${{#nodes[@]}} > 1)); then
    srun --overlap --nodes=$((${{#nodes[@]}} - 1)) --ntasks=$((${{#nodes[@]}} - 1)) --ntasks-per-node=1 --exclude="$head" \\
        --cpus-per-task="$SLURM_CPUS_PER_TASK" ray start --block --address="$RAY_ADDRESS" "${{has[@]}}" {worker_options} &
    started+=("$!")
fi
# How many trials run at once is computed from the nodes that are up: all of them first.
python - "${{#nodes[@]}}" {patience} << 'END' &
import sys, time

import ray

wanted, seconds = int(sys.argv[1]), int(sys.argv[2])
ray.init(log_to_driver=False, logging_level="error")
deadline = time.monotonic() + seconds
while (up := sum(node["Alive"] for node in ray.nodes())) < wanted:
    if time.monotonic() > deadline:
        sys.exit(f"Ray: only {{up}} of {{wanted}} nodes joined in {{seconds}} s")
    time.sleep(1)
END
status=0
wait -n "$!" "${{started[@]}}" || status=$?
up
((status == 0)) || exit "$status"

# In the background: bash attends to a signal only when nothing is in the foreground; with -m, or the experiment would not hear of Ctrl-C's signal.
# RAY_ADDRESS tells it where the cluster is.
set -m
{command} &
experiment=$!
set +m
again=
trap 'again=yes; kill -INT "$experiment" 2>/dev/null || true' USR1
trap 'kill -INT "$experiment" 2>/dev/null || true' TERM INT
status=0
wait "$experiment" || status=$?
while kill -0 "$experiment" 2>/dev/null; do # a signal ends `wait` too: the experiment is still writing
    status=0
    wait "$experiment" || status=$?
done
if [[ -n $again ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


def slurm(
    document: Mapping[str, Any],
    *,
    command: Sequence[str],
    nodes: int = 1,
    gpus_per_node: int = 0,
    cpus_per_node: int = 8,
    time: str = "24:00:00",
    partition: str | None = None,
    account: str | None = None,
    environment: str | None = None,
    signal: int = 300,
    patience: int = 300,
) -> str:
    """The script's text.

    document: cluster.yaml, of which Ray's settings and start options are taken. command: the experiment; it needs no --address. nodes,
    gpus_per_node, cpus_per_node: what the job asks for, and what each node offers to Ray. time: of the job, as Slurm writes it ([days-]HH:MM:SS).
    environment: folder of the installation (bin/ray), None: the one that is active where sbatch is called. signal: seconds before the end
    in which the experiment is stopped. patience: seconds for the head to answer, and then for the others to join.
    ConfigError for what Slurm or the shell would misunderstand.
    """
    if not command:
        raise ConfigError(
            "no experiment: give its command after --, such as -- python experiments/ablate_negatives.py"
        )
    _check(nodes, gpus_per_node, cpus_per_node, time, signal, patience)
    for option, word, allowed in (
        ("--partition", partition, _WORD),
        ("--account", account, _WORD),
        ("--environment", environment, _FOLDER),
    ):
        if word is not None and not allowed.fullmatch(word):
            raise ConfigError(f"{option} {word}: letters, digits and some of _ . , + - / ~ @ are allowed")
    head, worker = start(document, "head"), start(document, "worker")
    return _SCRIPT.format(
        name=document["cluster_name"],
        nodes=nodes,
        cpus=cpus_per_node,
        gpus=gpus_per_node,
        asks=_asks({"gpus-per-node": gpus_per_node or None, "partition": partition, "account": account}),
        time=time,
        signal=signal,
        patience=patience,
        path=_path(environment),
        settings="\n".join(f"export {name}={shlex.quote(value)}" for name, value in head.settings.items()),
        head_options=_options(head),
        worker_options=_options(worker),
        command=shlex.join(command),
    )


def _check(nodes: int, gpus: int, cpus: int, time: str, signal: int, patience: int) -> None:
    for option, value, least in (
        ("--nodes", nodes, 1),
        ("--gpus-per-node", gpus, 0),
        ("--cpus-per-node", cpus, 1),
        ("--signal", signal, 1),
        ("--patience", patience, 1),
    ):
        if value < least:
            raise ConfigError(f"{option} {value}: at least {least}")
    if not _TIME.fullmatch(time):
        raise ConfigError(f"--time {time}: [days-]HH:MM:SS, such as 24:00:00 or 2-12:00:00")


def _asks(options: Mapping[str, Any]) -> str:
    return "".join(f"#SBATCH --{name}={value}\n" for name, value in options.items() if value is not None)


def _path(environment: str | None) -> str:
    if environment is None:
        return ""
    folder = environment.replace("~", "$HOME", 1) if environment.startswith("~/") else environment
    return f'export PATH="{folder}/bin:$PATH"\n'


def _options(command: Start) -> str:
    kept = [option for option in command.options if option.partition("=")[0] not in _OWN]
    return " ".join(shlex.quote(option) for option in kept)
