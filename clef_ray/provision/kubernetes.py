"""A RayCluster, or a RayJob that brings its own, for Kubernetes with the KubeRay operator (ray.io/v1), made from cluster.yaml."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from clef_ray.errors import ConfigError
from clef_ray.provision.shared import section, start

#: Where a head finds what its cluster may grow to (clef_ray/cluster/growth.py reads it: the operator's numbers are out of a job's reach).
TYPES = "CLEF_RAY_NODE_TYPES"

#: Seconds that the workers of one trial may wait for a pod; Ray Train's own 60 are too few for a node that has to be started.
GROUP_SECONDS = 900

_QUANTITY = re.compile(r"[1-9][0-9]*[KMGT]i")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,45}[a-z0-9])?")

_HEAD = """\
clef_ray on Kubernetes. Made from cluster.yaml by `clef-ray cluster kubernetes`: make it again rather than change what stands in both.

Was checked: every key and its type after KubeRay's and Kubernetes' own definitions, and what Ray's autoscaler reads from it (tests/provision).
Was NOT run: Kubernetes.

Needs the KubeRay operator, 1.5.1 or newer: older ones know no authOptions, and `kubectl apply` refuses the file. With authOptions the operator makes
a token, keeps it in a Secret of the cluster's name, and gives it to every Ray container as RAY_AUTH_TOKEN with RAY_AUTH_MODE=token.
The dashboard listens on the pod's address, where the operator reaches it; let a NetworkPolicy keep other namespaces away.

Once: the image that {image} stands for, from this Dockerfile in the project's folder (the Ray of cluster.yaml, the versions of constraints.txt):
  FROM {base}
  COPY --chown=ray . /home/ray/clef_ray
  RUN python -m pip install --constraint /home/ray/clef_ray/constraints.txt /home/ray/clef_ray

{use}
Workers come with the work, at most {most}, and go after {idle} idle seconds. Whether they run on spot or on-demand machines is a matter of the
Kubernetes cluster's node pools. A pod asks for one CPU less than its machine has, which the machine keeps for itself.
What does not fit into shared memory spills to /tmp/ray, on the node's disk. Nothing that lasts is in a pod: give an object store and an MLflow
server (storage/README.md)."""

_JOB = """\
An experiment, on a cluster of its own that goes away with it; the same file again goes on with what is unfinished:
  kubectl apply -f job.yaml
  kubectl logs -f job/{name}
  kubectl delete -f job.yaml                       ends it, or clears it away
"""

_CLUSTER = """\
A cluster that stays, and an experiment on it:
  kubectl apply -f cluster.k8s.yaml
  kubectl port-forward service/{name}-head-svc 8265:8265          leave it running; then, in a second terminal
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN="$(kubectl get secret {name} -o jsonpath='{{.data.auth_token}}' | base64 -d)"
  ray job submit --address http://127.0.0.1:8265 -- python /home/ray/clef_ray/experiments/ablate_negatives.py --address auto ...
  kubectl delete -f cluster.k8s.yaml               the end
"""


def kubernetes(
    document: Mapping[str, Any],
    *,
    image: str,
    command: Sequence[str] = (),
    memory: str = "24Gi",
    spill: str = "100Gi",
    service_account: str | None = None,
    env_secret: str | None = None,
) -> str:
    """The manifest's text.

    document: cluster.yaml. image: holds clef_ray and this Ray. command: of an experiment, which makes a RayJob; none makes a RayCluster. memory,
    spill: of each pod, and what its /tmp/ray may take on the node's disk, as Kubernetes writes sizes (24Gi). service_account: whose rights
    the pods have, on the bucket for one. env_secret: a Secret all of whose keys become environment variables (a database's password).
    ConfigError for sizes and names that Kubernetes would refuse, and for node types that do not say what they have.
    """
    for option, size in (("--memory", memory), ("--spill", spill)):
        if not _QUANTITY.fullmatch(size):
            raise ConfigError(f"{option} {size}: a whole number and Ki, Mi, Gi or Ti, such as 24Gi")
    name = str(document["cluster_name"])
    if not _NAME.fullmatch(name):
        raise ConfigError(f"cluster_name {name}: a-z, 0-9 and -, at most 47, make a name in Kubernetes")
    pods = _Pods(document, image, memory, spill, service_account, env_secret)
    cluster = pods.cluster()
    spec = cluster if not command else _job(cluster, command)
    use = (_JOB if command else _CLUSTER).format(name=name)
    told = _HEAD.format(
        image=image,
        base=document["docker"]["worker_image"],
        use=use,
        most=document["max_workers"],
        idle=cluster["autoscalerOptions"]["idleTimeoutSeconds"],
    )
    kind = "RayJob" if command else "RayCluster"
    top = {"apiVersion": "ray.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return section(told, top)


def _job(cluster: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    return {
        "entrypoint": shlex.join(command),
        "submissionMode": "K8sJobMode",
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "backoffLimit": 2,  # a lost head: the same command on a new cluster goes on from the storage
        "rayClusterSpec": cluster,
    }


class _Pods:
    """The pods of one cluster: one group of workers for all node types whose machines are alike."""

    def __init__(
        self,
        document: Mapping[str, Any],
        image: str,
        memory: str,
        spill: str,
        service_account: str | None,
        env_secret: str | None,
    ) -> None:
        self.document, self.image, self.memory, self.spill = document, image, memory, spill
        self.service_account, self.env_secret = service_account, env_secret
        types = dict(document["available_node_types"])
        self.head = _resources(document["head_node_type"], types.pop(document["head_node_type"]))
        self.groups = _groups(types, document["max_workers"])

    def cluster(self) -> dict[str, Any]:
        """The RayClusterSpec."""
        return {
            "rayVersion": _version(self.document["docker"]["worker_image"]),
            "authOptions": {"mode": "token"},
            "enableInTreeAutoscaling": True,
            "autoscalerOptions": {
                "idleTimeoutSeconds": round(self.document["idle_timeout_minutes"] * 60),
                "upscalingMode": "Default",
            },
            "headGroupSpec": {
                "rayStartParams": {"dashboard-host": "0.0.0.0"},  # noqa: S104 - the operator asks from its own pod
                "template": self._template("ray-head", "head", self.head, {TYPES: json.dumps(self._types())}),
            },
            "workerGroupSpecs": [
                {
                    "groupName": group["name"],
                    "replicas": group["min_workers"],
                    "minReplicas": group["min_workers"],
                    "maxReplicas": group["max_workers"],
                    "rayStartParams": {},
                    "template": self._template("ray-worker", "worker", group["resources"], {}),
                }
                for group in self.groups
            ],
        }

    def _types(self) -> dict[str, Any]:
        kinds = {
            g["name"]: {"resources": g["resources"], "max_workers": g["max_workers"]} for g in self.groups
        }
        return {"max_workers": self.document["max_workers"], "available_node_types": kinds}

    def _template(
        self, name: str, kind: Any, resources: Mapping[str, int], more: Mapping[str, str]
    ) -> dict[str, Any]:
        settings = {**start(self.document, kind).settings, **more}
        settings.pop("RAY_AUTH_MODE", None)  # the operator sets it, together with the token
        settings["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(GROUP_SECONDS)
        has: dict[str, str] = {"cpu": str(resources["CPU"]), "memory": self.memory}
        gpus = resources.get("GPU", 0)
        if gpus:
            has["nvidia.com/gpu"] = str(gpus)
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "env": [{"name": key, "value": value} for key, value in settings.items()],
            "resources": {"requests": has, "limits": has},
            "volumeMounts": [{"name": "spill", "mountPath": "/tmp/ray"}],  # noqa: S108 - Ray's own folder
            "securityContext": {"allowPrivilegeEscalation": False},
        }
        if self.env_secret:
            container["envFrom"] = [{"secretRef": {"name": self.env_secret}}]
        spec: dict[str, Any] = {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "fsGroup": 1000,
            },  # Ray's images' user
            "containers": [container],
            "volumes": [{"name": "spill", "emptyDir": {"sizeLimit": self.spill}}],
        }
        if self.service_account:
            spec["serviceAccountName"] = self.service_account
        if gpus:
            spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        return {"spec": spec}


def _resources(name: str, kind: Mapping[str, Any]) -> dict[str, int]:
    """CPUs that are left of a machine for its pod, and its GPUs."""
    has = kind["resources"]
    if has.get("CPU", 0) < 2:
        raise ConfigError(
            f"available_node_types.{name}.resources: CPU, 2 or more, is needed to size its pods"
        )
    return {"CPU": has["CPU"] - 1, **({"GPU": has["GPU"]} if has.get("GPU") else {})}


def _groups(types: Mapping[str, Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, kind in types.items():
        resources = _resources(name, kind)
        least, limit = kind.get("min_workers", 0), kind.get("max_workers", most)
        same = next((group for group in found if group["resources"] == resources), None)
        if same is None:
            same = {
                "name": name.replace("_", "-"),
                "resources": resources,
                "min_workers": 0,
                "max_workers": 0,
            }
            found.append(same)
        same["min_workers"] += least
        same["max_workers"] = min(same["max_workers"] + limit, most)
    return found


def _version(image: str) -> str:
    found = re.search(r":(\d+\.\d+\.\d+)", image)
    if found is None:
        raise ConfigError(
            f"docker.worker_image {image}: no version of Ray in its tag, as in rayproject/ray:2.60.0"
        )
    return found[1]
