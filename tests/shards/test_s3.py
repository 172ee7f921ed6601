"""Shards in an object store: a local server that speaks S3's protocol, the store's address in the URI or in the environment."""

import json

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from toy import toy

from clef_ray.cli import main
from clef_ray.errors import DataError, StorageError
from clef_ray.shards import Manifest, groups, ingest_local, load_corpus, read_rows, read_table
from clef_ray.shards.split import split
from clef_ray.shards.verify import problems
from clef_ray.store import Store


@pytest.fixture(scope="module")
def address():
    """The address of an empty server with one bucket, `clef`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in keys.items():
            environment.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="clef")
        yield f"{host}:{port}"
    server.stop()


def uri(address, name):
    return f"s3://clef/{name}?scheme=http&endpoint_override={address}&region=us-east-1"


@pytest.fixture(scope="module")
def shards(address, tmp_path_factory):
    """The same 12 records in the store and on disk."""
    folder = tmp_path_factory.mktemp("local")
    there = ingest_local(toy(), uri(address, "shards/toy"), 5)
    assert ingest_local(toy(), str(folder), 5) == there
    return uri(address, "shards/toy"), folder


def test_the_store_holds_the_same_bytes_as_a_disk(shards):
    store, folder = Store(shards[0]), shards[1]
    assert store.list() == sorted(p.name for p in folder.iterdir())
    for path in folder.iterdir():
        assert store.read_bytes(path.name) == path.read_bytes()
        assert store.digest(path.name) == Store(str(folder)).digest(path.name)


def test_everything_is_read_from_the_store_as_from_a_disk(shards):
    remote, local = shards[0], str(shards[1])
    assert Manifest.load(remote) == Manifest.load(local)
    assert read_table(remote).equals(read_table(local))
    np.testing.assert_array_equal(
        load_corpus(remote, 100).signals.millivolts(), load_corpus(local, 100).signals.millivolts()
    )
    rows = np.array([11, 0, 5])
    np.testing.assert_array_equal(
        read_rows(remote, rows, 50, ("V1",)).millivolts(), read_rows(local, rows, 50, ("V1",)).millivolts()
    )


def test_samples_are_read_from_the_store_where_they_lie(shards, monkeypatch):
    """Not through Parquet's reader; of any records and leads as from a disk."""
    monkeypatch.setattr(groups.Encoded, "of_table", None)
    rows, pick = np.array([11, 0, 5, 0]), np.array([[1, 0], [0, 1], [1, 1], [2, 0]])
    read = [read_rows(str(where), rows, 100, ("V1", "I", "II"), pick) for where in shards]
    np.testing.assert_array_equal(read[0].raw_NKT, read[1].raw_NKT)
    np.testing.assert_array_equal(read[0].gain_NK, read[1].gain_NK)


def test_a_second_start_verifies_and_a_lost_part_is_made_again(address):
    where = uri(address, "shards/again")
    first, written = ingest_local(toy(), where, 5), []
    assert ingest_local(toy(), where, 5, on_part=written.append) == first
    assert written == []
    Store(where).delete("part-00001.parquet")
    assert problems(where) == ["part-00001.parquet is missing"]
    assert ingest_local(toy(), where, 5, on_part=written.append) == first
    assert [s.part.file for s in written] == ["part-00001.parquet"]
    Store(where).write_bytes("part-00002.parquet", b"torn")
    with pytest.raises(DataError, match=r"part-00002\.parquet; delete these parts"):
        ingest_local(toy(), where, 5)


def test_shards_are_split_from_the_store_to_a_disk_and_back(shards, address, tmp_path):
    (here,) = split(shards[0], str(tmp_path / "here"), share=0.5)
    (there,) = split(str(shards[1]), uri(address, "shards/half"), share=0.5)
    assert here == there
    assert problems(uri(address, "shards/half")) == []


def test_the_command_line_takes_the_uri(shards, capsys):
    assert main(["shards", "verify", shards[0]]) == 0
    assert "ok, 12 records" in capsys.readouterr().out
    assert main(["shards", "info", "--json", shards[0]]) == 0
    assert json.loads(capsys.readouterr().out)[shards[0]]["records"] == 12


def test_the_address_may_stand_in_the_environment(shards, address, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert Manifest.load("s3://clef/shards/toy").records == 12


def test_a_bucket_that_is_not_there_is_named(address):
    with pytest.raises(StorageError, match=r"cannot write s3://nobucket/x/.*plan\.json"):
        ingest_local(toy(), f"s3://nobucket/x?scheme=http&endpoint_override={address}&region=us-east-1", 5)
    assert not Store(uri(address, "nothing")).exists()


def test_options_of_a_uri_stay_at_its_end():
    store = Store("s3://bucket/a/?scheme=http&endpoint_override=host:1")
    assert store.child("b").uri == "s3://bucket/a/b?scheme=http&endpoint_override=host:1"
    assert store.path("b/c") == "s3://bucket/a/b/c?scheme=http&endpoint_override=host:1"
    assert store.path() == "s3://bucket/a?scheme=http&endpoint_override=host:1"
    assert Store("/data/what?/x").child("y").uri == "/data/what?/x/y"
    assert Store("file:///data").path("y") == "file:///data/y"
