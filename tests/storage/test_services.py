"""The definition of the shared services: what compose.yaml promises, its first script and the backups against a real PostgreSQL."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml
from fakes import FACTS, nothing_known, search, silent, slices, work
from postgres import postgres

from clef_ray.store import Store
from clef_ray.studies.book import Book

SERVICES = Path(__file__).resolve().parents[2] / "storage" / "services"
README = (SERVICES.parent / "README.md").read_text(encoding="utf-8")
TEXT = (SERVICES / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
REQUIRED = set(re.findall(r"\$\{(\w+):\?[^}]+\}", TEXT))
TIMEOUT = 300


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_is_pinned_watched_and_knows_no_password(name):
    service = COMPOSE["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    if build := service.get("build"):
        assert "--constraint" in build["dockerfile_inline"], "its packages are those that the tests use"
        image = build["dockerfile_inline"].split()[1]
    else:
        image = service["image"]
    assert re.search(r":\d+\.\d+", image), image
    for port in service["ports"]:
        assert port.startswith("127.0.0.1:" if name == "dashboard" else "${CLEF_BIND:-127.0.0.1}:")
    for key, value in service["environment"].items():
        if re.search("PASSWORD|SECRET|KEY", key):
            assert re.fullmatch(r"\$\{CLEF_\w+:\?see storage/README.md\}", value), key
    for other, how in service.get("depends_on", {}).items():
        assert (other in COMPOSE["services"], how["condition"]) == (True, "service_healthy")
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]
    for config in service.get("configs", []):
        assert config["source"] in COMPOSE["configs"]


def test_no_uri_holds_a_password_and_git_takes_none():
    assert not re.search(r"://[^/\s\"]+:[^/\s\"]+@", TEXT)
    assert ".env" in (SERVICES / ".gitignore").read_text().split()


def test_the_page_names_every_password_and_makes_the_file_with_them():
    assert len(REQUIRED) == 7
    loop = re.search(r"for name in (.*?); do", README.replace("\\\n", " "))
    assert {f"CLEF_{name}" for name in loop[1].split()} == REQUIRED


@pytest.fixture(scope="module")
def services():
    """PostgreSQL as compose.yaml makes it; the value is the environment in which its programs reach it."""
    if shutil.which("pg_dump") is None:
        pytest.skip("no pg_dump here (Debian: postgresql-client)")
    with postgres() as server:
        with psycopg.connect(server.uri, autocommit=True) as connection:
            connection.execute("CREATE ROLE postgres LOGIN SUPERUSER PASSWORD 'secret-word'")
        known = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": "secret-word",
        }
        known |= {
            "CLEF_MLFLOW_DB_PASSWORD": 'it\'s "odd" $HOME',
            "CLEF_OPTUNA_DB_PASSWORD": "other-word",
            "PGDATABASE": "postgres",
        }
        environment = {**os.environ, **known}
        script = COMPOSE["configs"]["databases"]["content"].replace("$$", "$")
        subprocess.run(
            ["sh", "-eu", "-c", script], env=environment, check=True, timeout=TIMEOUT, capture_output=True
        )
        yield environment


def connect(environment, role, password, database):
    return psycopg.connect(
        host="127.0.0.1",
        port=environment["PGPORT"],
        user=role,
        password=password,
        dbname=database,
        autocommit=True,
    )


@pytest.mark.postgres
def test_each_program_has_a_role_that_sees_its_databases_alone(services):
    mlflow, optuna = services["CLEF_MLFLOW_DB_PASSWORD"], services["CLEF_OPTUNA_DB_PASSWORD"]
    for role, password, database in (
        ("mlflow", mlflow, "mlflow"),
        ("mlflow", mlflow, "mlflow_auth"),
        ("optuna", optuna, "optuna"),
    ):
        with connect(services, role, password, database) as connection:
            connection.execute("CREATE TABLE own (number INTEGER)")
            connection.execute("DROP TABLE own")
    for role, password, database in (
        ("mlflow", mlflow, "optuna"),
        ("optuna", optuna, "mlflow"),
        ("optuna", optuna, "mlflow_auth"),
    ):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(services, role, password, database)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(services, "optuna", mlflow, "optuna")


def counts(environment, database):
    """table -> rows."""
    with connect(environment, "postgres", "secret-word", database) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in names}


@pytest.mark.postgres
@pytest.mark.slow
def test_what_was_backed_up_is_restored_and_nothing_is_overwritten(services, tmp_path, monkeypatch):
    bucket = tmp_path / "bucket"
    programs = f"{Path(sys.executable).parent}{os.pathsep}{services['PATH']}"
    environment = {**services, "PATH": programs, "CLEF_PG": "", "CLEF_BUCKET": str(bucket)}
    monkeypatch.setenv("PGPASSWORD", services["CLEF_OPTUNA_DB_PASSWORD"])
    uri = f"postgresql://optuna@127.0.0.1:{services['PGPORT']}/optuna"
    book = Book.of_search(search(), "d1a7a", uri, FACTS, nothing_known, silent)
    work(book)
    book.close()
    with connect(services, "mlflow", services["CLEF_MLFLOW_DB_PASSWORD"], "mlflow") as connection:
        connection.execute("CREATE TABLE runs (id SERIAL PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO runs (name) VALUES ('a'), ('b')")
    Store(str(bucket)).write_bytes("storage/runs/0a1b/encoder.pt", b"weights")
    before, rows = (
        {d: counts(services, d) for d in ("mlflow", "mlflow_auth", "optuna")},
        slices(uri, book.name),
    )

    def run(name, folder):
        command = ["sh", str(SERVICES / name), str(folder)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    assert (done := run("backup", tmp_path / "copy")).returncode == 0, done.stderr
    assert "secret-word" not in done.stdout + done.stderr
    assert (tmp_path / "copy" / "optuna.dump").stat().st_mode & 0o077 == 0
    refused = run("restore", tmp_path / "copy")
    assert (refused.returncode, "database mlflow holds 1 tables already" in refused.stderr) == (2, True)
    assert {d: counts(services, d) for d in before} == before
    with connect(services, "postgres", "secret-word", "postgres") as connection:
        for database, owner in (("mlflow", "mlflow"), ("mlflow_auth", "mlflow"), ("optuna", "optuna")):
            connection.execute(f"DROP DATABASE {database}")
            connection.execute(f"CREATE DATABASE {database} OWNER {owner}")
    shutil.rmtree(bucket)
    assert run("restore", tmp_path / "absent").returncode == 2
    assert (done := run("restore", tmp_path / "copy")).returncode == 0, done.stderr
    assert {d: counts(services, d) for d in before} == before
    assert slices(uri, book.name) == rows
    assert Store(str(bucket)).read_bytes("storage/runs/0a1b/encoder.pt") == b"weights"
    with connect(services, "mlflow", services["CLEF_MLFLOW_DB_PASSWORD"], "mlflow") as connection:
        assert connection.execute("INSERT INTO runs (name) VALUES ('c') RETURNING id").fetchone() == (3,)
