"""Storage: atomic local files, and errors that name the place."""

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.errors import StorageError
from clef_ray.store import Store


def test_bytes_come_back_and_names_are_listed(tmp_path):
    store = Store(str(tmp_path / "new"))
    assert not store.exists()
    assert store.list() == []
    store.write_bytes("a/b.bin", b"123")
    store.write_bytes("a/b.bin", b"45")
    assert store.read_bytes("a/b.bin") == b"45"
    assert store.list() == ["a"]
    assert store.list("a") == ["b.bin"], "no temporary file is left"
    assert store.child("a").exists("b.bin")
    assert Store(f"file://{tmp_path}/new").read_bytes("a/b.bin") == b"45"


def test_a_digest_is_sha256_of_all_bytes(tmp_path):
    data = bytes(range(256)) * 40_000  # more than is read at a time
    Store(str(tmp_path)).write_bytes("x", data)
    assert Store(str(tmp_path)).digest("x") == hashlib.sha256(data).hexdigest()
    with pytest.raises(StorageError, match="cannot read"):
        Store(str(tmp_path)).digest("y")


def test_a_write_reaches_the_disk_before_its_name_does(tmp_path, monkeypatch):
    """The file is synced under a temporary name, then named, then its folder is synced."""
    seen, fsync = [], os.fsync
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (
            seen.append((stat.S_ISDIR(os.fstat(fd).st_mode), sorted(p.suffix for p in tmp_path.iterdir())))
            or fsync(fd)
        ),
    )
    Store(str(tmp_path)).write_bytes("x.bin", b"1")
    assert seen == [(False, [".tmp"]), (True, [".bin"])]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"cannot read .*nothing\.bin"):
        Store(str(tmp_path)).read_bytes("nothing.bin")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write .*/file/"):
        Store(str(tmp_path / "file")).check_writable()


def test_a_place_that_cannot_be_asked_is_named(tmp_path):
    too_long = "x" * 300
    with pytest.raises(StorageError, match=f"cannot look at {tmp_path}/{too_long}: "):
        Store(str(tmp_path)).exists(too_long)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=f"cannot list {tmp_path}/file: "):
        Store(str(tmp_path)).list("file")


def test_check_writable_leaves_nothing_behind(tmp_path):
    Store(str(tmp_path)).check_writable()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_of_uri_is_refused():
    with pytest.raises(StorageError, match="cannot open storage 'nonsense://x'"):
        Store("nonsense://x").exists("y")


def test_every_file_below_a_folder_with_its_size_and_age(tmp_path):
    store = Store(str(tmp_path / "new"))
    assert list(store.walk()) == []
    begin = time.time()
    for name, size in (("a.bin", 3), ("b/c/d.bin", 4), ("b/e.bin", 0)):
        store.write_bytes(name, b"x" * size)
    found = {e.name: e for e in store.walk()}
    assert {name: e.size for name, e in found.items()} == {"a.bin": 3, "b/c/d.bin": 4, "b/e.bin": 0}
    assert all(abs(e.modified - begin) < 60 for e in found.values())
    assert {e.name for e in store.walk("b")} == {"b/c/d.bin", "b/e.bin"}
    assert {e.name for e in store.walk("b", recursive=False)} == {"b/e.bin"}
    with pytest.raises(StorageError, match="cannot list"):
        list(store.walk("a.bin"))


def test_files_and_folders_are_deleted_and_a_link_without_what_it_names(tmp_path):
    store, other = Store(str(tmp_path / "new")), Store(str(tmp_path / "other"))
    for name in ("a.bin", "b/c/d.bin"):
        store.write_bytes(name, b"1")
    other.write_bytes("kept", b"1")
    (tmp_path / "new" / "link").symlink_to(tmp_path / "other")
    for name in ("a.bin", "b", "link", "never there"):
        store.delete(name)
    assert store.list() == []
    assert other.exists("kept")


@pytest.mark.parametrize(
    "uri", ["/data/x", "s3://bucket/x?endpoint_override=http://host:1", "file:///data/x"]
)
def test_the_folder_of_a_file_is_the_one_that_gave_its_path(uri):
    assert Store.holding(Store(uri).path("b/c.txt")) == (Store(uri).child("b"), "c.txt")
    assert Store.holding("c.txt") == (Store("."), "c.txt")


#: Every operation that takes a name.
NAMED = {
    "at": lambda store, name: store.exists(name),
    "list": lambda store, name: store.list(name),
    "walk": lambda store, name: list(store.walk(name)),
    "open": lambda store, name: store.open_input(name),
    "reading": lambda store, name: store.reading(name).__enter__(),
    "read": lambda store, name: store.read_bytes(name),
    "digest": lambda store, name: store.digest(name),
    "write": lambda store, name: store.write_bytes(name, b""),
    "delete": lambda store, name: store.delete(name),
    "path": lambda store, name: store.path(name),
    "child": lambda store, name: store.child(name),
}


@pytest.mark.parametrize("uri", ["/data/x", "file:///data/x", "s3://bucket/x"])
@pytest.mark.parametrize("operation", NAMED)
@pytest.mark.parametrize("name", ["..", "../y", "a/../../y", "a/..", "/etc/passwd", "a\0b"])
def test_no_operation_takes_a_name_that_leads_out(uri, operation, name):
    with pytest.raises(StorageError, match="is no name for a file in"):
        NAMED[operation](Store(uri, patience=0.0), name)


@pytest.mark.parametrize("name", ["x?endpoint_override=elsewhere", "x#y", "%2e%2e/y"])
def test_a_name_does_not_change_what_a_uri_means(name):
    with pytest.raises(StorageError, match="is no name for a file"):
        Store("s3://bucket/x").child(name)
    assert Store("/data").path(name) == f"/data/{name}", "in a folder they are letters as others are"


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["..", ".", "a", "b.c", "..a", "a..", "", "...", "\0", "~"]), max_size=6))
def test_whatever_the_name_it_stays_in_the_folder_or_is_refused(parts):
    """Oracle: where the system itself would go."""
    name, root = "/".join(parts), "/data/store"
    leaves = "\0" in name or name.startswith("/") or ".." in Path(name).parts
    try:
        place = Store(root).path(name)
    except StorageError:
        assert leaves
    else:
        assert not leaves
        assert os.path.normpath(place).startswith(root)
