"""An object store on its bad days: what passes is waited for and nothing is lost, what does not is told at once."""

import logging
import pickle
import threading
import time
import uuid

import numpy as np
import pyarrow.parquet as pq
import pytest
from object_store import Fault, Proxy, client
from toy import toy

from clef_ray.errors import ConfigError, StorageError
from clef_ray.remote.system import PATIENCE
from clef_ray.shards import ingest_local, read_rows, read_table
from clef_ray.store import Store

#: Seconds that are enough for a store that fails a few times; with less than 20 pyarrow's client does not try again by itself.
SHORT = 6.0

#: Larger than one request: two parts.
BIG = np.arange(12_000_000 // 4, dtype="<u4").tobytes()


@pytest.fixture
def store(proxy: Proxy) -> Store:
    """A folder of the test's own."""
    return Store(proxy.uri(uuid.uuid4().hex), SHORT)


OPERATIONS = {
    "write": lambda s: s.write_bytes("b", b"12"),
    "read": lambda s: s.read_bytes("a"),
    "digest": lambda s: s.digest("a"),
    "exists": lambda s: s.exists("a"),
    "list": lambda s: s.list(),
    "walk": lambda s: [e.name for e in s.walk()],
    "delete": lambda s: s.delete("a"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_tried_again(store, proxy, name):
    store.write_bytes("a", b"1")
    expected = None if name in ("write", "delete") else OPERATIONS[name](store)
    proxy.times(2, Fault(503) if name in ("write", "list", "delete") else Fault(drop=True))
    assert OPERATIONS[name](store) == expected
    assert store.list() == {"write": ["a", "b"], "delete": []}.get(name, ["a"])


@pytest.mark.parametrize("status", [500, 502, 504, 429])
def test_other_answers_that_pass(store, proxy, status):
    proxy.times(1, Fault(status, body=b""))
    store.write_bytes("a", b"1")
    assert store.read_bytes("a") == b"1"


def test_a_request_without_an_answer_is_given_up_and_made_again(proxy):
    store = Store(proxy.uri("stall"), 1.0)  # which is what a request has, too
    store.write_bytes("a", b"1")
    proxy.times(1, Fault(stall=3.0), lambda r: r.method == "GET")
    assert store.read_bytes("a") == b"1"
    assert [r.method for r in proxy.seen[-3:]] == ["HEAD", "GET", "GET"]


def test_a_body_that_breaks_off_is_read_again(store, proxy):
    store.write_bytes("big", BIG)
    proxy.times(2, Fault(cut=5_000_000), lambda r: r.method == "GET")
    assert store.read_bytes("big") == BIG


@pytest.mark.parametrize("fault", [Fault(drop=True), Fault(503)], ids=["reset", "503"])
def test_a_part_of_a_large_file_that_is_lost_is_sent_again(store, proxy, fault):
    proxy.times(1, fault, lambda r: "partNumber=2" in r.path)
    store.write_bytes("big", BIG)
    assert store.read_bytes("big") == BIG


def test_a_file_that_was_completed_though_nobody_heard_so(store, proxy):
    proxy.times(1, Fault(applied=True), lambda r: r.method == "POST" and "?uploadId=" in r.path)
    store.write_bytes("big", BIG)
    assert store.read_bytes("big") == BIG


def test_a_deletion_that_was_done_though_nobody_heard_so(store, proxy):
    store.write_bytes("a", b"1")
    proxy.times(1, Fault(applied=True), lambda r: r.method == "DELETE")
    store.delete("a")
    assert not store.exists("a")


@pytest.mark.parametrize("where", ["partNumber=2", "?uploadId="])
def test_of_a_write_that_fails_nothing_is_seen(store, proxy, server, where):
    store.write_bytes("big", b"old")
    refused = Fault(403, body=b"<Error><Code>AccessDenied</Code></Error>")
    proxy.fault = lambda r: refused if where in r.path else None
    with pytest.raises(StorageError, match=r"cannot write s3://clef/.*refuses: the credentials"):
        store.write_bytes("big", BIG)
    proxy.fault = lambda r: None
    assert store.read_bytes("big") == b"old"
    key = store.path("big").removeprefix("s3://clef/").partition("?")[0]
    assert client(server).get_object(Bucket="clef", Key=key)["Body"].read() == b"old"


def test_an_outage_is_waited_for_and_told_once(store, proxy, caplog):
    """Many threads meet the same outage."""
    store.write_bytes("a", b"1")
    proxy.down()
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.read_bytes("a"))) for _ in range(4)]
    with caplog.at_level(logging.WARNING, "clef_ray.store"):
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        proxy.up()
        for thread in threads:
            thread.join()
    assert found == [b"1"] * 4
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 2, told
    assert f"storage s3://clef: nothing answers at {proxy.url}" in told[0]
    assert "Trying again for up to 6 s" in told[0]
    assert "answers again" in told[1]


def test_patience_ends(proxy):
    store = Store(proxy.uri("never"), 1.0)
    proxy.fault = lambda request: Fault(503)
    with pytest.raises(StorageError, match=r"asks for fewer requests .*tried \d+ times in 1 s"):
        store.write_bytes("a", b"1")


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(403, error("AccessDenied")), "refuses: the credentials are wrong, or lack the right"),
        (Fault(403, error("InvalidAccessKeyId")), "does not accept these credentials"),
        (Fault(403, error("SignatureDoesNotMatch")), "does not accept these credentials"),
        (Fault(404, error("NoSuchBucket")), "there is no such bucket at http"),
        (Fault(400, error("InvalidRequest")), "PutObject operation: no"),
    ],
)
def test_what_does_not_pass_is_told_at_once(proxy, fault, told):
    """With all the patience that there is, and one request."""
    store = Store(proxy.uri("refused"))
    assert store.patience == PATIENCE
    proxy.fault = lambda request: fault
    with pytest.raises(StorageError, match=told):
        store.write_bytes("a", b"1")
    assert len(proxy.seen) == 1


def test_a_file_that_is_not_there_is_told_at_once(store, proxy):
    with pytest.raises(StorageError, match=r"cannot read s3://clef/.*nothing\.bin"):
        store.read_bytes("nothing.bin")
    assert len(proxy.seen) == 1
    store.delete("nothing.bin")


def test_a_certificate_that_is_not_trusted_does_not_pass():
    from clef_ray.remote.place import passes

    text = "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: {}, ..."
    assert passes(OSError(text.format(7)))
    assert not passes(OSError(text.format(60)))


def test_shards_are_written_and_read_through_a_store_that_fails_now_and_then(proxy, tmp_path):
    """Of thirteen requests one meets a 503 and another one is cut: the same bytes, and what Parquet's reader asks for arrives whole."""
    count = iter(range(10**9))
    proxy.fault = lambda r: {0: Fault(503), 6: Fault(cut=40) if r.method == "GET" else Fault(503)}.get(
        next(count) % 13
    )
    where = proxy.uri("shards-in-a-storm")
    assert ingest_local(toy(), where, 5) == ingest_local(toy(), str(tmp_path), 5)
    assert read_table(where).equals(read_table(str(tmp_path)))
    rows = np.array([11, 0, 5])
    np.testing.assert_array_equal(
        read_rows(where, rows, 100, ("V1",)).raw_NKT, read_rows(str(tmp_path), rows, 100, ("V1",)).raw_NKT
    )


def test_other_libraries_are_handed_the_same_patience(store, proxy, tmp_path):
    """As Ray Train gets it: pickled, equal to itself afterwards, for Parquet and for streams."""
    given, folder = store.filesystem()
    system = pickle.loads(pickle.dumps(given))
    assert system == given
    proxy.times(2, Fault(503))
    with system.open_output_stream(f"{folder}/x/y") as stream:
        stream.write(b"12")
        stream.write(b"3")
    assert store.read_bytes("x/y") == b"123"
    ingest_local(toy(), str(tmp_path), 12)
    store.write_bytes("part", (tmp_path / "part-00000.parquet").read_bytes())
    proxy.times(2, Fault(cut=3), lambda r: r.method == "GET")
    found = pq.read_table(f"{folder}/part", filesystem=system, columns=["record", "age"])
    assert found.equals(pq.read_table(tmp_path / "part-00000.parquet", columns=["record", "age"]))
    system.delete_dir(f"{folder}/x")
    assert store.list() == ["part"]


def test_a_file_is_read_at_any_place(store):
    store.write_bytes("a", bytes(range(100)))
    with store.open_input("a") as file:
        assert file.size() == 100
        file.seek(90)
        assert file.read(4) == bytes(range(90, 94))
        assert file.read() == bytes(range(94, 100))
        assert file.read() == b""
        file.seek(-2, 2)
        assert file.tell() == 98
        assert bytes(file.read_buffer(7)) == bytes([98, 99])


def test_the_address_in_the_uri_comes_before_that_of_the_environment(proxy, monkeypatch):
    Store(proxy.uri("address")).write_bytes("a", b"1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid:1")
    assert Store(proxy.uri("address")).read_bytes("a") == b"1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    assert Store("s3://clef/address").read_bytes("a") == b"1"


def test_a_uri_with_credentials_is_refused_and_not_repeated():
    with pytest.raises(StorageError, match="must not hold credentials") as caught:
        Store("s3://key:topsecret@clef/x").exists()
    assert "topsecret" not in str(caught.value)
    with pytest.raises(ConfigError, match="Did you mean 'endpoint_override'"):
        Store("s3://clef/x?endpoint_overide=h").exists()
    with pytest.raises(StorageError, match="which bucket"):
        Store("s3:///x").exists()
