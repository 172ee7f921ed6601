"""The verb about clusters: cluster hosts|kubernetes|slurm. It prints the file that starts one, made from cluster.yaml."""

import argparse
from typing import Any

from clef_ray.cli import Parser

Subparsers = Any  # argparse keeps its type private

_ABOUT = """\
The file that starts a cluster, made from cluster.yaml (which itself is for AWS): what they share stands there once.

The file is printed. Its first lines say how it is used and what it needs."""

_EXAMPLES = """\
examples:
  clef-ray cluster hosts --head 10.0.0.1 --workers 10.0.0.2 10.0.0.3 --user ubuntu > hosts.yaml
  ray up hosts.yaml
  clef-ray cluster kubernetes --image registry.example.org/clef_ray:0.1.0 > cluster.k8s.yaml
  clef-ray cluster slurm --nodes 4 --gpus-per-node 4 -- python experiments/ablate_negatives.py --storage /shared/clef > job.sbatch"""


def add(actions: Subparsers) -> None:
    """The verb with its kinds of cluster."""
    parser = actions.add_parser(
        "cluster",
        help="Make the file of a cluster that is not AWS.",
        description=_ABOUT,
        epilog=_EXAMPLES,
    )
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True, parser_class=Parser)
    _add_hosts(kinds)
    _add_kubernetes(kinds)
    _add_slurm(kinds)


def _kind(kinds: Subparsers, name: str, action: Any, about: str, example: str) -> Any:
    parser = kinds.add_parser(name, help=about, description=about, epilog=f"example:\n  {example}")
    parser.set_defaults(action=action)
    parser.add_argument(
        "--from",
        dest="source",
        default="cluster.yaml",
        metavar="FILE",
        help="what it is made from (default: cluster.yaml)",
    )
    return parser.add_argument


def _add_hosts(kinds: Subparsers) -> None:
    option = _kind(
        kinds,
        "hosts",
        _hosts,
        "A file for `ray up` on machines that are there already, over SSH.",
        "clef-ray cluster hosts --head 10.0.0.1 --workers 10.0.0.2 10.0.0.3 --user ubuntu --ssh-key ~/.ssh/id_ed25519 > hosts.yaml",
    )
    option("--head", required=True, metavar="ADDRESS", help="the host that leads")
    option("--workers", required=True, nargs="+", metavar="ADDRESS", help="the other hosts")
    option("--user", required=True, metavar="NAME", help="who logs in on all of them")
    option(
        "--ssh-key",
        metavar="FILE",
        help="private key for all of them; the head gets a copy, to start the workers (default: what ssh finds, here and on the head)",
    )
    option(
        "--environment",
        metavar="DIR",
        help="folder of an installation of clef_ray (bin/ray) that is on every host, of one version (default: ~/clef_ray/.venv is made)",
    )
    option(
        "--python",
        default="python3",
        metavar="PROGRAM",
        help="that it is made from, the same version on all (default: python3)",
    )


def _hosts(arguments: argparse.Namespace) -> int:
    from clef_ray.provision.hosts import hosts
    from clef_ray.provision.shared import load

    print(
        hosts(
            load(arguments.source),
            head=arguments.head,
            workers=arguments.workers,
            user=arguments.user,
            ssh_key=arguments.ssh_key,
            environment=arguments.environment,
            python=arguments.python,
        ),
        end="",
    )
    return 0


def _add_kubernetes(kinds: Subparsers) -> None:
    option = _kind(
        kinds,
        "kubernetes",
        _kubernetes,
        "A manifest for Kubernetes with the KubeRay operator: a RayCluster, or with an experiment's command a RayJob.",
        "clef-ray cluster kubernetes --image registry.example.org/clef_ray:0.1.0 --service-account clef-ray --env-secret clef-ray-env -- \\\n"
        "    python /home/ray/clef_ray/experiments/ablate_negatives.py --address auto --gpus-per-worker 1 --storage s3://bucket/clef > job.yaml",
    )
    option(
        "--image", required=True, help="that holds clef_ray; the manifest's first lines say how it is built"
    )
    option("--memory", default="24Gi", metavar="SIZE", help="of each pod (default: 24Gi)")
    option(
        "--spill",
        default="100Gi",
        metavar="SIZE",
        help="that objects may take on a node's disk when memory is full (default: 100Gi)",
    )
    option("--service-account", metavar="NAME", help="whose rights, on the bucket for one, the pods have")
    option(
        "--env-secret",
        metavar="NAME",
        help="a Secret whose keys become environment variables: passwords of services",
    )
    option(
        "command", nargs="*", metavar="COMMAND", help="an experiment, after --; none: a cluster that stays"
    )


def _kubernetes(arguments: argparse.Namespace) -> int:
    from clef_ray.provision.kubernetes import kubernetes
    from clef_ray.provision.shared import load

    print(
        kubernetes(
            load(arguments.source),
            image=arguments.image,
            command=arguments.command,
            memory=arguments.memory,
            spill=arguments.spill,
            service_account=arguments.service_account,
            env_secret=arguments.env_secret,
        ),
        end="",
    )
    return 0


def _add_slurm(kinds: Subparsers) -> None:
    option = _kind(
        kinds,
        "slurm",
        _slurm,
        "A batch script for Slurm that starts Ray on its nodes, runs one experiment there, and is queued again until that has ended.",
        "clef-ray cluster slurm --nodes 4 --gpus-per-node 4 --cpus-per-node 32 --environment ~/clef_ray/.venv -- \\\n"
        "    python experiments/ablate_negatives.py --gpus-per-worker 1 --cpus-per-worker 8 --storage /shared/clef > job.sbatch",
    )
    option("--nodes", type=int, default=1, metavar="N", help="(default: 1)")
    option("--gpus-per-node", type=int, default=0, metavar="N", help="(default: 0)")
    option("--cpus-per-node", type=int, default=8, metavar="N", help="(default: 8)")
    option(
        "--time",
        default="24:00:00",
        metavar="[D-]HH:MM:SS",
        help="until the job is queued again (default: 24:00:00)",
    )
    option("--partition", metavar="NAME", help="of the cluster (default: its own)")
    option("--account", metavar="NAME", help="that pays (default: yours)")
    option(
        "--environment",
        metavar="DIR",
        help="folder of the installation of clef_ray (bin/ray), which all nodes see (default: what is active where sbatch is called)",
    )
    option("command", nargs="+", metavar="COMMAND", help="the experiment, after --; it needs no --address")


def _slurm(arguments: argparse.Namespace) -> int:
    from clef_ray.provision.shared import load
    from clef_ray.provision.slurm import slurm

    print(
        slurm(
            load(arguments.source),
            command=arguments.command,
            nodes=arguments.nodes,
            gpus_per_node=arguments.gpus_per_node,
            cpus_per_node=arguments.cpus_per_node,
            time=arguments.time,
            partition=arguments.partition,
            account=arguments.account,
            environment=arguments.environment,
        ),
        end="",
    )
    return 0
