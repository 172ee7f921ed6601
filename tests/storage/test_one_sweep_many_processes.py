"""One sweep, several processes, everything in a team's services: the lease in an object store, the study in PostgreSQL."""

import subprocess
import sys
from pathlib import Path

import boto3
import optuna
import psycopg
import pytest
from fakes import slices
from moto.server import ThreadedMotoServer
from postgres import postgres

from clef_ray.studies.storage import close_storage, open_storage

KEEPER = Path(__file__).with_name("keeper.py")
TIMEOUT = 300


@pytest.fixture
def services(monkeypatch):
    """(storage, the URI of a fresh database of studies)."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    known = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    known |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="clef")
    with postgres() as database:
        with psycopg.connect(database.uri, autocommit=True) as connection:
            connection.execute("CREATE DATABASE optuna")
        yield "s3://clef/storage", database.database("optuna")
    server.stop()


@pytest.mark.postgres
@pytest.mark.slow
def test_of_three_that_begin_at_the_same_moment_one_works_and_nothing_is_done_twice(services, tmp_path):
    """Shop refuses a run that is trained twice, so a keeper that shared the work would fail."""
    storage, uri = services
    go, shop = tmp_path / "go", tmp_path / "shop"
    line = [sys.executable, str(KEEPER), storage, uri, str(shop), str(go), "0.1"]
    keepers = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)
    ]
    go.touch()
    said = [keeper.communicate(timeout=TIMEOUT)[0] for keeper in keepers]
    codes = [keeper.returncode for keeper in keepers]
    # A keeper that comes when the first has ended finds everything done: the others are refused or idle, never at work.
    assert set(codes) <= {0, 3}, said
    assert 0 in codes
    assert all("already" in text for text, code in zip(said, codes, strict=True) if code == 3)
    asked = open_storage(uri)
    (name,) = optuna.get_all_study_names(asked)
    close_storage(asked)
    assert [row.state for row in slices(uri, name)] == ["COMPLETE"] * 6
    assert len(list(shop.iterdir())) == 12
