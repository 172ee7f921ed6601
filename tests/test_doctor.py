"""`clef-ray doctor`: every line ok or what to do, and an exit code for scripts."""

import json
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from clef_ray import doctor as module
from clef_ray.doctor import Check, doctor

LINES = ["ray[default]>=2.60,<3", "torch>=2.11", "mlflow>=3.17", "optuna>=5", 'pytest>=999; extra == "dev"']


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(module.importlib.metadata, "requires", lambda _name: LINES)


@pytest.mark.ray
def test_a_ready_machine_is_ok_in_every_line(local_ray, installed, tmp_path, capsys):
    assert doctor(str(tmp_path), None, None) == 0
    printed = capsys.readouterr().out
    for name in ("python", "packages", "shared memory", "storage", "tracking", "ray", "capacity", "gpu"):
        assert f"ok      {name}" in printed
    assert "1 node(s): 2 CPU, 0 GPU" in printed
    assert "problem" not in printed


def test_each_problem_says_what_to_do_and_the_others_are_still_checked(installed, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert doctor(str(blocked / "storage"), "http://127.0.0.1:9", "127.0.0.1:9", as_json=True) == 1
    found = {c["name"]: c for c in json.loads(capsys.readouterr().out)}
    assert found["python"]["ok"]
    assert found["packages"]["ok"]
    for name, option in (("storage", "--storage"), ("tracking", "--tracking-uri"), ("ray", "cluster.yaml")):
        assert not found[name]["ok"]
        assert option in found[name]["remedy"]
    assert "127.0.0.1:9" in found["ray"]["detail"]


def test_problems_are_printed_with_their_remedy(monkeypatch, capsys):
    checks = [Check("a", ok=True, detail="fine"), Check("b", ok=False, detail="broken [x]", remedy="mend it")]
    monkeypatch.setattr(module, "run_checks", lambda *_: iter(checks))
    assert doctor("s", None, None) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines] == ["ok a fine", "problem b broken [x]", "-> mend it"]


def test_remote_storage_without_a_tracking_server_is_a_problem_not_a_crash():
    check = module._tracking("s3://bucket/x", None)
    assert not check.ok
    assert "--tracking-uri" in check.detail


@pytest.mark.parametrize(
    ("line", "said"),
    [("torch>=2.0", ""), ("torch>=99", "is not >=99"), ("no-such-package-at-all", "is missing")],
)
def test_versions_are_held_against_the_projects_own_requirements(line, said):
    assert (said in module._wrong(Requirement(line))) if said else module._wrong(Requirement(line)) == ""


def test_packages_that_are_too_old_or_not_installed(monkeypatch):
    monkeypatch.setattr(module.importlib.metadata, "requires", lambda _name: ["torch>=99"])
    assert not module._packages().ok

    def absent(_name):
        raise module.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(module.importlib.metadata, "requires", absent)
    assert "not installed" in module._packages().detail


def test_little_shared_memory_as_in_a_container(monkeypatch):
    monkeypatch.setattr(module.Path, "is_dir", lambda _self: True)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _folder: SimpleNamespace(total=64e6))
    check = module._shared_memory()
    assert not check.ok
    assert "--shm-size" in check.remedy


def test_a_dashboard_only_the_head_reaches_is_a_note_as_in_cluster_yaml():
    """The shipped cluster.yaml has it on 127.0.0.1: not a problem, but several nodes are told."""
    for url, nodes, noted in (("127.0.0.1", 1, False), ("10.0.0.4", 3, False), ("127.0.0.1", 3, True)):
        check = module._dashboard(f"http://{url}:8265", nodes)
        assert check.ok
        assert not check.remedy
        assert ("--dashboard-host" in check.detail) == noted


def test_a_gpu_that_torch_sees_and_ray_does_not_offer(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(module.Path, "exists", lambda _self: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert module._gpus(2.0).ok
    assert "CUDA_VISIBLE_DEVICES" in module._gpus(1.0).remedy
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "does not see it" in module._gpus(0.0).detail
