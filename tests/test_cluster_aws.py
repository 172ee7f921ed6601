"""cluster.yaml against AWS's own descriptions, offline: RunInstances as botocore has it, instance types as moto's copy of AWS's list has them."""

import copy
import gzip
import json
import re
from pathlib import Path

import botocore.session
import moto
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
DOCUMENT = yaml.safe_load(TEXT)
TYPES = DOCUMENT["available_node_types"]
WORKERS = {name: kind for name, kind in TYPES.items() if name != DOCUMENT["head_node_type"]}


@pytest.fixture(scope="module")
def run_instances():
    """What RunInstances takes, as the EC2 client checks it before it sends anything."""
    model = botocore.session.get_session().get_service_model("ec2")
    shape = model.operation_model("RunInstances").input_shape

    def problems(node_config):
        counts = {"MinCount": 1, "MaxCount": 1}  # Ray adds them, and the subnet that it finds
        return ParamValidator().validate({**counts, **node_config}, shape).generate_report()

    return problems


@pytest.fixture(scope="module")
def instance_types():
    (file,) = (Path(moto.__file__).parent / "ec2" / "resources").glob("instance_types.json.gz")
    return json.loads(gzip.decompress(file.read_bytes()))


@pytest.mark.parametrize("name", TYPES)
def test_ec2_accepts_every_node_config(run_instances, name):
    assert run_instances(TYPES[name]["node_config"]) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"InstanceMarketOption": {"MarketType": "spot"}},
        {"InstanceMarketOptions": None},
        {"IamInstanceProfile": "clef-ray-head"},
        {"MetadataOptions": {"HttpToken": "required"}},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": "200"}}]},
    ],
)
def test_ec2_would_refuse_what_is_misspelt(run_instances, wrong):
    """Otherwise the test above would accept anything."""
    assert run_instances({**TYPES["gpu"]["node_config"], **wrong}) != ""


@pytest.mark.parametrize("name", TYPES)
def test_the_resources_are_those_of_the_instance_type(instance_types, name):
    told = instance_types[TYPES[name]["node_config"]["InstanceType"]]
    gpus = sum(gpu["Count"] for gpu in told.get("GpuInfo", {}).get("Gpus", []))
    has = TYPES[name]["resources"]
    assert (has["CPU"], has.get("GPU", 0)) == (told["VCpuInfo"]["DefaultVCpus"], gpus)
    market = TYPES[name]["node_config"].get("InstanceMarketOptions", {}).get("MarketType", "on-demand")
    assert market in told["SupportedUsageClasses"]


def test_what_the_comments_say_of_the_instance_types(instance_types):
    small, large = instance_types["g6.2xlarge"], instance_types["g6.12xlarge"]
    assert small["InstanceStorageInfo"]["TotalSizeInGB"] == 450
    assert [(gpu["Name"], gpu["Count"]) for gpu in small["GpuInfo"]["Gpus"]] == [("L4", 1)]
    assert (large["VCpuInfo"]["DefaultVCpus"], large["GpuInfo"]["Gpus"][0]["Count"]) == (48, 4)
    assert "cluster" in small["PlacementGroupInfo"]["SupportedStrategies"]


def test_the_head_has_no_gpu_and_every_worker_has_one():
    assert "GPU" not in TYPES["head"]["resources"]
    assert all(kind["resources"]["GPU"] >= 1 for kind in WORKERS.values())


def test_spot_comes_first_leaves_room_for_on_demand_and_no_worker_runs_without_work():
    config = AutoscalingConfig(prepare_config(copy.deepcopy(DOCUMENT)), skip_content_hash=True)
    kinds = config.get_node_type_configs()  # as Ray's autoscaler reads the file
    spot, sure = kinds["gpu_spot"], kinds["gpu"]
    assert DOCUMENT["available_node_types"]["gpu_spot"]["node_config"]["InstanceMarketOptions"] == {
        "MarketType": "spot"
    }
    assert "InstanceMarketOptions" not in DOCUMENT["available_node_types"]["gpu"]["node_config"]
    assert spot.resources == sure.resources, "only between equal nodes does the priority decide"
    assert spot.priority > sure.priority
    assert spot.max_worker_nodes < config.get_max_num_worker_nodes() <= sure.max_worker_nodes
    assert (spot.min_worker_nodes, sure.min_worker_nodes) == (0, 0)
    assert config.get_idle_timeout_s() == 15 * 60


def test_no_key_lies_on_a_machine_and_every_disk_is_encrypted():
    for kind in TYPES.values():
        node = kind["node_config"]
        assert set(node["IamInstanceProfile"]) == {"Name"}, "no account's number"
        assert node["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in node["BlockDeviceMappings"])
    assert not re.search(r"\d{12}|AKIA|aws_secret", TEXT)


def test_spilled_objects_go_to_the_folder_that_is_made_before_docker():
    (made,) = DOCUMENT["initialization_commands"]
    folder = made.split()[-1]
    assert (
        f"--volume {folder}:/tmp/ray" in DOCUMENT["docker"]["run_options"]
    )  # Ray's own folder: no --temp-dir
    starts = [*DOCUMENT["head_start_ray_commands"], *DOCUMENT["worker_start_ray_commands"]]
    assert not any("--temp-dir" in start or "--object-spilling-directory" in start for start in starts)


def test_ray_accepts_the_file_and_would_not_accept_a_misspelt_priority():
    validate_config(prepare_config(copy.deepcopy(DOCUMENT)))
    wrong = copy.deepcopy(DOCUMENT)
    wrong["available_node_types"]["gpu_spot"]["prority"] = 1
    with pytest.raises(Exception, match="prority"):
        validate_config(prepare_config(wrong))
