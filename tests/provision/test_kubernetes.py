"""The Kubernetes manifest: its keys and types against KubeRay's and Kubernetes' own, what Ray's autoscaler reads from it, what it shares."""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from clef_ray.cluster.growth import TYPES, still_to_come
from clef_ray.errors import ConfigError
from clef_ray.provision import kubernetes as module
from clef_ray.provision.kubernetes import kubernetes

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((Path(__file__).parent / "kuberay_v1.json").read_text(encoding="utf-8"))
IMAGE = "registry.example.org/clef_ray:0.1.0"
COMMAND = [
    "python",
    "/home/ray/clef_ray/experiments/ablate_negatives.py",
    "--address",
    "auto",
    "--data",
    "s3://b/a b",
]


def problems(manifest):
    schema = {**SCHEMA, "$ref": f"#/definitions/{manifest['kind']}"}
    return [f"{list(e.absolute_path)}: {e.message}" for e in Draft7Validator(schema).iter_errors(manifest)]


def made(**options):
    return yaml.safe_load(kubernetes(DOCUMENT, image=IMAGE, **options))


def containers(cluster):
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"command": COMMAND},
        {"command": COMMAND, "service_account": "clef-ray", "env_secret": "clef-ray-env"},
    ],
)
def test_kubernetes_knows_every_key_and_its_type(options):
    assert problems(made(**options)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(autoscaling=True),
        lambda spec: spec["workerGroupSpecs"][0].update(maxReplicas="8"),
        lambda spec: spec["workerGroupSpecs"][0].pop("groupName"),
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0].update(cpu=1),
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0]["resources"]["limits"].update(cpu="8 cores"),
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"].append({"name": "A", "value": 1}),
        lambda spec: spec["authOptions"].update(mode="tokens"),
    ],
)  # fmt: skip
def test_the_schema_refuses_what_kubernetes_would(spoil):
    manifest = made()
    spoil(manifest["spec"])
    assert problems(manifest) != []


def test_rays_own_autoscaler_reads_what_cluster_yaml_says():
    """Ray derives its configuration from the RayCluster and validates it by the schema of `ray up`'s files."""
    manifest = made()
    manifest["metadata"]["namespace"] = "default"
    read = _derive_autoscaling_config_from_ray_cr(manifest)
    assert read["idle_timeout_minutes"] == DOCUMENT["idle_timeout_minutes"]
    assert read["max_workers"] == DOCUMENT["max_workers"]
    kinds = read["available_node_types"]
    (worker,) = (kind for name, kind in kinds.items() if name != read["head_node_type"])
    machine = DOCUMENT["available_node_types"]["gpu"]["resources"]
    assert (worker["resources"]["CPU"], worker["resources"]["GPU"]) == (machine["CPU"] - 1, machine["GPU"])
    assert (worker["min_workers"], worker["max_workers"]) == (0, 8)
    assert "GPU" not in kinds[read["head_node_type"]]["resources"]


def test_a_job_on_the_head_learns_how_far_the_cluster_may_grow():
    (head, *_) = containers(made()["spec"])
    (told,) = (pair["value"] for pair in head["env"] if pair["name"] == TYPES)
    assert module.TYPES == TYPES
    assert still_to_come(json.loads(told), {}, gpus=True) == [{"CPU": 7.0, "GPU": 1.0}] * 8


def test_every_container_has_the_settings_of_cluster_yaml_and_the_token_from_the_operator():
    spec = made()["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    for container in containers(spec):
        env = {pair["name"]: pair["value"] for pair in container["env"]}
        assert env["RAY_health_check_period_ms"] == "1000"
        assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & set(env), "the operator sets both"
        assert container["image"] == IMAGE
        assert [m["mountPath"] for m in container["volumeMounts"]] == ["/tmp/ray"]


def test_the_experiment_is_the_jobs_entrypoint():
    spec = made(command=COMMAND)["spec"]
    assert shlex.split(spec["entrypoint"]) == COMMAND
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["rayClusterSpec"] == made()["spec"]


def test_rights_and_passwords_come_from_kubernetes():
    spec = made(service_account="clef-ray", env_secret="clef-ray-env")["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["serviceAccountName"] == "clef-ray"
        assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "clef-ray-env"}}]
    assert "env" + "From" not in str(made()["spec"])


def test_the_comment_names_the_image_it_is_built_from():
    text = kubernetes(DOCUMENT, image=IMAGE)
    assert f"#   FROM {DOCUMENT['docker']['worker_image']}\n" in text
    assert made()["spec"]["rayVersion"] in DOCUMENT["docker"]["worker_image"]
    assert "kubectl logs -f job/clef-ray" in kubernetes(DOCUMENT, image=IMAGE, command=COMMAND)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, {"memory": "24 GB"}, "--memory 24 GB"),
        ({}, {"spill": "0Gi"}, "--spill 0Gi"),
        ({"cluster_name": "Clef_Ray"}, {}, "cluster_name Clef_Ray"),
        ({"docker": {"worker_image": "rayproject/ray:nightly"}}, {}, "no version of Ray"),
    ],
)
def test_what_kubernetes_would_refuse_is_told(change, options, said):
    with pytest.raises(ConfigError, match=said):
        kubernetes({**DOCUMENT, **change}, image=IMAGE, **options)


def test_a_node_type_that_does_not_say_what_it_has_is_told():
    types = {**DOCUMENT["available_node_types"], "gpu": {"resources": {}, "node_config": {}}}
    with pytest.raises(ConfigError, match=r"available_node_types\.gpu\.resources: CPU"):
        kubernetes({**DOCUMENT, "available_node_types": types}, image=IMAGE)


def test_unequal_machines_are_groups_of_their_own():
    big = {"resources": {"CPU": 48, "GPU": 4}, "node_config": {}, "min_workers": 1, "max_workers": 2}
    types = {**DOCUMENT["available_node_types"], "big_gpu": big}
    spec = yaml.safe_load(kubernetes({**DOCUMENT, "available_node_types": types}, image=IMAGE))["spec"]
    found = {g["groupName"]: (g["minReplicas"], g["maxReplicas"]) for g in spec["workerGroupSpecs"]}
    assert found == {"gpu": (0, 8), "big-gpu": (1, 2)}
