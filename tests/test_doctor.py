"""`clef-ray doctor`: each trap is really laid, and each time the line says what to do; on a ready machine every line is ok."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from clef_ray.doctor import doctor, machine, packages, services, show
from clef_ray.doctor.check import Check

ROOT = Path(__file__).resolve().parent.parent
LINES = ["ray[default]>=2.60,<3", "torch>=2.11", "mlflow>=3.17", "optuna>=5", 'pytest>=999; extra == "dev"']


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(packages.importlib.metadata, "requires", lambda _name: LINES)


def python(code, tmp_path, *, before="", timeout=120, **env):
    """Run code in a fresh interpreter; its last line as JSON."""
    done = subprocess.run(
        ["bash", "-c", f'{before} exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def whole(storage, *arguments, **options):
    """Code that runs the doctor as the command does, and prints its lines by name, and its exit code."""
    call = ", ".join([repr(str(storage)), *map(repr, arguments), *(f"{k}={v!r}" for k, v in options.items())])
    return (
        "import json, io, contextlib\nfrom clef_ray.doctor import doctor\nout = io.StringIO()\n"
        f"with contextlib.redirect_stdout(out):\n    code = doctor({call}, as_json=True)\n"
        "found = {c['name']: c for c in json.loads(out.getvalue())}\nprint(json.dumps([code, found]))"
    )


@pytest.mark.ray
def test_a_ready_machine_is_ok_in_every_line(local_ray, installed, tmp_path, capsys):
    assert doctor(str(tmp_path), None, None) == 0
    printed = capsys.readouterr().out
    assert "✗" not in printed
    for group in ("machine", "packages", "storage", "tracking", "studies", "ray"):
        assert f"\n{group}\n" in printed
    for name in (
        "open files",
        "loopback",
        "python",
        "packages",
        "ray[default]",
        "disk space",
        "tracking",
        "studies",
        "ray",
        "capacity",
    ):
        assert f"  ✓ {name} " in printed
    assert "1 node(s): 2 CPU, 0 GPU" in printed
    assert "Ready." in printed


def test_each_problem_says_what_to_do_and_the_others_are_still_checked(installed, tmp_path, capsys):
    """Nothing answers anywhere: told within seconds, and no password in the text."""
    blocked, begin = tmp_path / "file", time.monotonic()
    blocked.write_text("")
    study = "postgresql://me:secret@127.0.0.1:9/optuna"
    options = {"study_uri": study, "as_json": True}
    assert doctor(str(blocked / "storage"), "http://127.0.0.1:9", "127.0.0.1:9", **options) == 1
    assert time.monotonic() - begin < 60
    text = capsys.readouterr().out
    found = {c["name"]: c for c in json.loads(text)}
    assert "secret" not in text
    assert found["python"] == {
        "group": "packages",
        "name": "python",
        "ok": True,
        "level": "ok",
        "detail": found["python"]["detail"],
        "remedy": "",
    }
    remedies = {
        "storage": "--storage",
        "tracking": "--tracking-uri",
        "studies": "--study-uri",
        "ray": "cluster.yaml",
    }
    for name, option in remedies.items():
        assert (found[name]["ok"], found[name]["level"]) == (False, "problem")
        assert option in found[name]["remedy"]
    assert "127.0.0.1:9" in found["ray"]["detail"]


@pytest.mark.parametrize("kind", ["tracking", "studies"])
def test_a_server_that_accepts_and_says_nothing_is_given_up(kind, tmp_path):
    """A port that is open, and nobody there: libpq and urllib would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, begin = silent.getsockname()[1], time.monotonic()
        if kind == "tracking":
            (check,) = services.tracking(str(tmp_path), f"http://127.0.0.1:{port}")
        else:
            (check,) = services.studies(str(tmp_path), f"postgresql://127.0.0.1:{port}/optuna")
    assert check.level == "problem"
    assert time.monotonic() - begin < 15


def test_lines_on_a_terminal_are_wrapped_beside_their_name(monkeypatch, capsys):
    monkeypatch.setattr(show, "Console", lambda **_: show_console())
    checks = [
        Check("a", "ok", "fine"),
        Check("ray[default]", "problem", "broken [x] " * 12, "mend it"),
        Check("b", "warning", "slow", "wait"),
    ]
    with show.Page() as page:
        page.begin("machine")
        for check in checks:
            page.line(check)
    lines = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", capsys.readouterr().out).splitlines()
    lines = [line.rpartition("\r")[2] for line in lines]
    assert all(len(line) <= 60 for line in lines)
    beside = [line for line in lines if line.startswith(" " * 20) and "broken" in line]
    assert len(beside) >= 2
    assert any(line.startswith("  ✗ ray[default]") for line in lines)
    assert lines[-1] == "1 problem, 1 warning"


def show_console():
    from rich.console import Console

    return Console(width=60, force_terminal=True, color_system=None, highlight=False, force_interactive=False)


def test_a_command_is_in_one_piece_where_there_is_no_terminal(capsys):
    with show.Page() as page:
        page.line(Check("b", "warning", "x" * 200, "y" * 200))
    printed = capsys.readouterr().out
    assert "x" * 200 in printed
    assert "y" * 200 in printed
    assert "Ready. 1 warning" in printed


# ---- machine


def test_little_shared_memory_as_in_docker(tmp_path):
    """A mount of 64 MB over /dev/shm, in a namespace of its own. Ray works there (measured), from disk: a warning."""
    if os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, timeout=10).returncode:
        pytest.skip("mounting needs root and `unshare -m`")
    code = "import json; from clef_ray.doctor.machine import _shared_memory as s; c = s(); print(json.dumps([c.level, c.detail, c.remedy]))"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$0" -c "$1"', sys.executable, code],
        capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
    )  # fmt: skip
    level, detail, remedy = json.loads(done.stdout)
    assert (level, "--shm-size" in remedy) == ("warning", True)
    assert "0.067 GB" in detail
    assert machine.shared_memory(4 << 30).level == "ok"


def test_few_open_files(tmp_path):
    """Under `ulimit -n 256` of a real shell."""
    code = "import json, resource; from clef_ray.doctor import machine as m; c = m.open_files(*resource.getrlimit(resource.RLIMIT_NOFILE)); print(json.dumps([c.level, c.remedy]))"
    level, remedy = python(code, tmp_path, before="ulimit -Sn 256;")
    assert level == "warning"
    assert remedy.startswith("ulimit -n ")
    level, remedy = python(code, tmp_path, before="ulimit -n 256;")
    assert "limits.conf" in remedy
    assert machine.open_files(-1, -1).level == "ok"
    assert machine.open_files(4096, 4096).level == "ok"
    assert "65536" in machine.open_files(256, -1).remedy


def test_a_proxy_for_the_loopback(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    check = machine.loopback()
    assert (check.level, "NO_PROXY" in check.remedy) == ("warning", True)
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert machine.loopback().level == "ok"


def test_folders_of_dead_sessions_and_only_those(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
    for name in ("clef-ray-dead0000", "clef-ray-young000", "clef-ray-used0000", "clef-ray-else"):
        (tmp_path / name).mkdir()
        if "young" not in name:
            os.utime(tmp_path / name, (1e9, 1e9))
    raylet = tmp_path / "raylet"
    raylet.symlink_to("/bin/sleep")
    process = subprocess.Popen([raylet, "60", "0"], executable=raylet)
    process.terminate()
    process.wait(10)
    monkeypatch.setattr(
        machine,
        "_commands",
        lambda name: [f"raylet --x={tmp_path}/clef-ray-used0000/s"] if name == "raylet" else [],
    )
    rays, old = machine._rays()
    assert rays.level == "ok"
    assert old.remedy == f"rm -r {tmp_path}/clef-ray-dead0000"


def test_another_ray_of_this_machine_is_seen_by_its_process(tmp_path):
    """A process that is called what Ray's is called."""
    program = tmp_path / "gcs_server"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    before = len(list(machine._commands("gcs_server")))
    process = subprocess.Popen([program, "60"])
    try:
        deadline = time.monotonic() + 5
        while len(list(machine._commands("gcs_server"))) <= before and time.monotonic() < deadline:
            time.sleep(0.05)
        check = next(machine._rays())
    finally:
        process.kill()
        process.wait(10)
    assert check.level == "warning"
    assert "ray stop" in check.remedy


def test_a_port_that_something_else_has(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(machine, "UI_PORT", taken.getsockname()[1])
        check = machine._ui_port()
    assert (check.level, check.remedy) == ("warning", "make ui PORT=5001")
    assert machine._ui_port().level == "ok"


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        ((False, None, None, 0, ""), "ok", "none here"),
        ((False, "13.0", (13, 0), 0, ""), "ok", "none here"),
        ((True, None, (13, 0), 0, ""), "problem", "built for CPUs only"),
        ((True, "13.0", None, 0, ""), "problem", "no driver library"),
        ((True, "13.0", (12, 4), 0, ""), "problem", "the driver serves up to 12.4"),
        (
            (True, "12.8", (12, 4), 1, ""),
            "ok",
            "computes on 1",
        ),  # minor versions are compatible within a major one
        ((True, "12.8", (13, 0), 0, ""), "problem", "sees none"),
        ((True, "12.8", (13, 0), 2, "no kernel image is available"), "problem", "no kernel image"),
        ((True, "12.8", (13, 0), 2, ""), "ok", "computes on 2"),
    ],
)
def test_what_is_wrong_with_a_gpu(facts, level, said):
    check = machine.gpu(*facts)
    assert check.level == level
    assert said in check.detail
    assert bool(check.remedy) == (level != "ok")


def test_the_driver_is_asked_through_its_own_library(tmp_path):
    """A library that answers as the driver's does, compiled here; without a compiler only its absence is tested."""
    assert machine.driver_cuda(["no-such-library.so"]) is None
    source, library = tmp_path / "cuda.c", tmp_path / "libcuda.so.1"
    source.write_text("int cuDriverGetVersion(int *v) { *v = 12040; return 0; }")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    assert machine.driver_cuda(["no-such-library.so", str(library)]) == (12, 4)


@pytest.mark.gpu
def test_the_gpu_of_this_machine_computes():
    check = machine._gpu()
    assert check.level == "ok"
    assert "computes on" in check.detail


# ---- packages


def test_a_minimal_ray_is_found(tmp_path):
    """`pip install ray` without [default]: aiohttp_cors is not there. The doctor says so; Ray is not started."""
    code = "import sys; sys.modules['aiohttp_cors'] = None\n" + whole(tmp_path, None, None)
    status, found = python(code, tmp_path)
    assert status == 1
    assert found["ray[default]"]["level"] == "problem"
    assert "aiohttp_cors" in found["ray[default]"]["detail"]
    assert "pip install" in found["ray[default]"]["remedy"]
    assert "aiohttp_cors" in found["ray"]["detail"]


@pytest.mark.parametrize(
    ("line", "said"),
    [("torch>=2.0", ""), ("torch>=99", "is not >=99"), ("no-such-package-at-all", "is missing")],
)
def test_versions_are_held_against_the_projects_own_requirements(line, said):
    assert (said in packages._wrong(Requirement(line))) if said else packages._wrong(Requirement(line)) == ""


def test_packages_that_are_too_old_or_not_installed(monkeypatch):
    monkeypatch.setattr(packages.importlib.metadata, "requires", lambda _name: ["torch>=99"])
    assert packages._packages().level == "problem"

    def absent(_name):
        raise packages.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(packages.importlib.metadata, "requires", absent)
    assert "not installed" in packages._packages().detail


# ---- storage, tracking, studies


@pytest.mark.parametrize(("gigabytes", "level"), [(0.1, "problem"), (2, "warning"), (50, "ok")])
def test_room_that_is_left(gigabytes, level):
    check = services.room(int(gigabytes * 1e9), "storage")
    assert check.level == level
    assert ("clef-ray gc" in check.remedy) == (level != "ok")


def test_a_full_disk(tmp_path):
    """A file system of 1 MB of its own."""
    if os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, timeout=10).returncode:
        pytest.skip("mounting needs root and `unshare -m`")
    code = f"import json; from clef_ray.doctor import services; print(json.dumps([(c.name, c.level) for c in services.storage({str(tmp_path)!r})]))"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec "$0" -c "$1"', sys.executable, code],
        capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
    )  # fmt: skip
    assert json.loads(done.stdout) == [["storage", "ok"], ["disk space", "problem"]]


@pytest.mark.parametrize("services_of", [services.tracking, services.studies])
def test_remote_storage_without_a_server_is_a_problem_not_a_crash(services_of):
    (check,) = services_of("s3://bucket/x", None)
    assert check.level == "problem"
    assert "-uri" in check.detail


@pytest.mark.parametrize("revision", ["451aebb31d03", "ffffffffffff"])
def test_an_mlflow_database_of_another_version(tmp_path, revision):
    """Its tables say a version that is old, or one that this MLflow has never heard of."""
    code = (
        f"import json; from clef_ray.doctor import services; (c,) = services.tracking({str(tmp_path)!r}, None); "
        "print(json.dumps([c.level, c.detail, c.remedy]))"
    )
    assert python(code, tmp_path)[0] == "ok"
    with closing(sqlite3.connect(tmp_path / "mlflow" / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    level, detail, remedy = python(code, tmp_path)  # a process of its own: MLflow looks once
    assert level == "problem"
    assert revision in detail
    assert "mlflow db upgrade" in remedy


def test_a_server_with_another_mlflow():
    assert services.served("3.17.9", "3.17.2", "http://x").level == "ok"
    check = services.served("2.9.0", "3.17.2", "http://x")
    assert (check.level, "mlflow==2.9.0" in check.remedy) == ("warning", True)


def test_a_database_of_studies_that_is_not_one(tmp_path):
    (tmp_path / "optuna").mkdir()
    (tmp_path / "optuna" / "optuna.db").write_text("no database at all, but text " * 40)
    (check,) = services.studies(str(tmp_path), None)
    assert check.level == "problem"
    assert "--study-uri" in check.remedy
