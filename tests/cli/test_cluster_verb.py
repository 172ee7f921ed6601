"""`clef-ray cluster hosts`: a file that Ray takes as it stands, made of cluster.yaml's own parts; its shell does what it says."""

import shlex
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.local.node_provider import ClusterState
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

from clef_ray.cli import main

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "cluster.yaml"
HOSTS = ["--head", "10.0.0.1", "--workers", "10.0.0.2", "10.0.0.3", "--user", "ubuntu"]


@pytest.fixture
def printed(capsys):
    def run(*options):
        assert main(["cluster", "hosts", "--from", str(SOURCE), *HOSTS, *options]) == 0
        return capsys.readouterr().out

    return run


def started(command):
    """Settings and options of the `ray start` in a line of shell."""
    words = shlex.split(command[command.index("env ") :].partition("; echo Ended")[0])
    at = words.index("ray")
    return dict(word.split("=", 1) for word in words[1:at]), words[at + 2 :]


def test_ray_takes_the_file_as_it_stands(printed):
    """Ray would otherwise put its one node type in the place of ours."""
    made = yaml.safe_load(printed())
    prepared = prepare_config(made)
    assert prepared == made
    validate_config(prepared)
    types = AutoscalingConfig(prepared, skip_content_hash=True).get_node_type_configs()
    assert {name: t.min_worker_nodes for name, t in types.items()} == {"head": 0, "local.cluster.node": 2}
    assert types["local.cluster.node"].max_worker_nodes == 2
    assert made["provider"] == {
        "type": "local",
        "head_ip": "10.0.0.1",
        "worker_ips": ["10.0.0.2", "10.0.0.3"],
    }


def test_a_misspelt_key_would_be_refused(printed):
    made = yaml.safe_load(printed())
    made["head_start_ray_comands"] = []
    with pytest.raises(Exception, match="head_start_ray_comands"):
        validate_config(prepare_config(made))


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_ray_is_started_as_cluster_yaml_says(kind, printed):
    source, made = yaml.safe_load(SOURCE.read_text()), yaml.safe_load(printed())
    key = f"{kind}_start_ray_commands"
    settings, options = started(source[key][-1])
    now, given = started(made[key][-1])
    more = {"worker": "gcs_rpc_server_reconnect", "head": "RECONCILE"}[kind]
    assert all(name == "PATH" or more in name for name in now.keys() - settings.keys())
    assert {name: now[name] for name in settings} == settings
    assert settings["RAY_AUTH_MODE"] == "token"
    assert given == [*options, *(["--block"] if kind == "worker" else [])]
    assert "ray stop --force" in made[key][0]


def test_what_is_sent_is_what_cluster_yaml_sends_or_the_token_alone(printed):
    source, made = yaml.safe_load(SOURCE.read_text()), yaml.safe_load(printed("--python", "python3.11"))
    assert made["file_mounts"] == source["file_mounts"]
    commands = made["worker_setup_commands"]
    assert commands == made["head_setup_commands"]
    assert "python3.11 -m venv" in commands[1]
    assert [c.partition("; ")[2] for c in commands if "pip" in c] == [
        c for c in source["setup_commands"] if "pip" in c
    ]
    there = yaml.safe_load(printed("--environment", "/opt/clef", "--ssh-key", "~/.ssh/lab"))
    assert there["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    assert not any("pip" in command for command in there["worker_setup_commands"])
    assert "PATH=/opt/clef/bin:$PATH" in there["head_start_ray_commands"][-1]
    assert there["auth"] == {"ssh_user": "ubuntu", "ssh_private_key": "~/.ssh/lab"}


def test_the_autoscaler_is_told_that_the_head_runs(printed, tmp_path):
    """By the file that Ray's own class for such hosts reads."""
    made, state = yaml.safe_load(printed()), tmp_path / "ray" / "cluster-clef-ray-hosts.state"
    assert made["cluster_name"] == "clef-ray-hosts"
    record = made["head_start_ray_commands"][1].replace("/tmp/ray", str(tmp_path / "ray"))
    subprocess.run(["bash", "-c", record], check=True)
    found = ClusterState(str(tmp_path / "lock"), str(state), made["provider"]).get()
    assert {address: node["state"] for address, node in found.items()} == {
        "10.0.0.1": "running",
        "10.0.0.2": "terminated",
        "10.0.0.3": "terminated",
    }
    assert found["10.0.0.1"]["tags"]["ray-user-node-type"] == made["head_node_type"]


def start_worker(printed, home, ray):
    """The worker's start command with a `ray` of our own, as SSH runs it."""
    made = yaml.safe_load(printed("--environment", str(home)))
    (home / "bin").mkdir()
    (home / ".ray").mkdir()
    (home / "bin" / "ray").write_text(f"#!/bin/bash\n{ray}\n")
    (home / "bin" / "ray").chmod(0o755)
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "RAY_HEAD_IP": "10.0.0.1"}
    command = ["bash", "-c", made["worker_start_ray_commands"][-1]]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        start_new_session=True,
    )


def test_a_worker_stays_and_takes_everything_with_it_when_it_ends(printed, tmp_path):
    ray = f"""echo "$@" > {tmp_path}/given; sleep 600 & echo $! > {tmp_path}/child
    echo 'Ray runtime started.'; while [ ! -e {tmp_path}/end ]; do sleep 0.1; done"""
    assert start_worker(printed, tmp_path, ray).returncode == 0
    assert (tmp_path / "given").read_text().split()[:2] == ["start", "--address=10.0.0.1:6379"]
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    assert child.exists(), "the session that started it is over, and it lives"
    (tmp_path / "end").touch()
    deadline = time.monotonic() + 30
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(process):
    """Not even as a dead process whose parent has not looked yet."""
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_cannot_start_says_why(printed, tmp_path):
    done = start_worker(printed, tmp_path, "echo 'wrong token'; exit 3")
    assert done.returncode == 1
    assert "wrong token" in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--head", "10.0.0.2"], "named twice"),
        (["--head", "10.0.0.1; reboot"], "--head 10.0.0.1; reboot"),
        (["--user", "-oProxyCommand=x"], "--user"),
        (["--ssh-key", "a b"], "--ssh-key a b"),
        (["--environment", "$(id)"], "--environment"),
        (["--from", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_what_the_shell_or_ray_would_misunderstand_is_refused(options, told, capsys):
    shown = [text.replace("--user", "--user=") if text == "--user" else text for text in options]
    joined = [f"{shown[0].rstrip('=')}={shown[1]}"]
    assert main(["cluster", "hosts", "--from", str(SOURCE), *HOSTS, *joined]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: !!python/object/apply:os.system [id]", "is not YAML"),
        ("- 1", "holds no `key: value` pairs"),
        ("cluster_name: x\nfile_mounts: {}\nsetup_commands: []", "setup_commands: none of them"),
    ],
)
def test_a_file_that_is_none_is_refused(text, told, tmp_path, capsys):
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    assert main(["cluster", "hosts", *HOSTS, "--from", str(file)]) == 2
    assert told in capsys.readouterr().err
