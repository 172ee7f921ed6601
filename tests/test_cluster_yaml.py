"""cluster.yaml: accepted by Ray's own validation, pinned to the tested versions, closed to strangers. Offline; AWS is never contacted."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from clef_ray.provision.shared import start

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "cluster.yaml").read_text(encoding="utf-8")


@pytest.fixture
def config():
    return yaml.safe_load(TEXT)


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def start_commands(config):
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    return [command for command in commands if "ray start" in command]


def test_ray_accepts_it(config):
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu"]["max_workers"] == 8


@pytest.mark.parametrize("place", [(), ("docker",), ("available_node_types", "gpu")])
def test_ray_refuses_a_key_it_does_not_know(config, place):
    """Otherwise the test above would accept a misspelt option."""
    section = config
    for key in place:
        section = section[key]
    section["min_worker_nodes"] = 1
    with pytest.raises(ValidationError):
        validate_config(prepare_config(config))


def test_the_versions_are_those_of_the_constraints(config):
    for key in ("head_image", "worker_image"):
        assert re.fullmatch(
            rf"rayproject/ray:{re.escape(pinned()['ray'])}-py311(-gpu)?", config["docker"][key]
        )
    (install,) = config["setup_commands"]
    assert "--constraint ~/clef_ray/constraints.txt" in install
    assert config["file_mounts"]["~/clef_ray/constraints.txt"] == "constraints.txt"


def test_everything_that_is_sent_exists_and_suffices_to_install(config):
    sent = [source for source in config["file_mounts"].values() if not source.startswith("~")]
    assert all((ROOT / source).exists() for source in sent)
    assert {"pyproject.toml", "README.md", "LICENSE", "clef_ray"} <= set(sent)


def test_every_ray_start_asks_for_the_token_and_the_dashboard_stays_inside(config):
    commands = start_commands(config)
    assert len(commands) == 2
    assert all("env RAY_AUTH_MODE=token " in command for command in commands)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "--include-dashboard=true --dashboard-host=127.0.0.1" in commands[0]


def test_head_and_workers_are_started_with_the_same_settings(config):
    """They stand twice, since commands cannot share a part in YAML; the made files take them from here."""
    head, worker = start(config, "head"), start(config, "worker")
    assert head.settings == worker.settings
    assert head.before == worker.before
    period, timeout, failures = (
        int(head.settings[f"RAY_health_check_{name}"])
        for name in ("period_ms", "timeout_ms", "failure_threshold")
    )
    assert (period + timeout) * failures < 10_000, "a dead node is found in less than ten seconds"
    for kind, found in (("head", head), ("worker", worker)):
        assert found.command({}) == " ".join(config[f"{kind}_start_ray_commands"][-1].split())


def test_it_holds_no_secret():
    """No token (64 hexadecimal digits), no AWS key, no password."""
    assert not re.search(r"[0-9a-f]{32,}", TEXT)
    assert not re.search(r"AKIA[0-9A-Z]{16}", TEXT)
    assert not re.search(r"(?i)(secret|password|token)\s*[:=]\s*['\"]?[A-Za-z0-9+/]{16,}", TEXT)


def test_the_constraints_pin_every_direct_requirement():
    """One version each, at least the minimum that pyproject.toml asks for, without a build tag that exists for one machine only."""
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    have = {canonicalize_name(name): version for name, version in pinned().items()}
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["team"], *extras["dev"]]:
        needed = Requirement(line)
        if needed.name == project["name"]:  # one extra within another
            continue
        assert needed.specifier.contains(have[canonicalize_name(needed.name)]), line
    assert not any("+" in version for version in have.values())
    assert have["torch"] == "2.13.0"
