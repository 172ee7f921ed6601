"""Downloads from a local server: complete, resumed, verified, and every way in which it goes wrong."""

import hashlib
import threading

import numpy as np
import pytest
import wfdb
from physionet_server import Server

from clef_ray.datasets import _download
from clef_ray.datasets._download import File, chosen, fetch_all, parse_sums, published_files
from clef_ray.errors import DataError, StorageError

FILES = {
    "RECORDS": b"a/one\na/two\n",
    "table.csv": b"record,age\none,50\n",
    "a/one.hea": b"one 1 500 5\n",
    "a/one.dat": np.random.default_rng(1).bytes(300_000),
    "a/two.dat": np.random.default_rng(2).bytes(50_000),
    "empty.txt": b"",
}
DATABASE = "mydb/1.0.3"


@pytest.fixture
def server(monkeypatch):
    with Server(DATABASE, FILES) as running:
        monkeypatch.setattr(wfdb.io.download.config, "db_index_url", running.url)
        monkeypatch.setattr(_download, "PAUSE", 0.01)
        yield running


def download(root, only=(), limit=None):
    """What `fetch_all` reports by path, and all bytes that came."""
    found, count = {}, []
    files = chosen(published_files(DATABASE, root), only, limit)
    fetch_all(DATABASE, files, root, count.append, lambda one: found.__setitem__(one.file.path, one))
    return found, sum(count)


def on_disk(root):
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and p.name != "SHA256SUMS.txt"
    }


def test_everything_comes_and_is_right(server, tmp_path):
    found, count = download(tmp_path)
    assert on_disk(tmp_path) == FILES
    assert count == sum(map(len, FILES.values()))
    assert not any(one.problem for one in found.values())
    assert set(found) == set(FILES)


def test_a_second_start_verifies_and_fetches_nothing(server, tmp_path):
    download(tmp_path)
    server.asked.clear()
    found, count = download(tmp_path)
    assert count == 0
    assert [path for path, _ in server.asked] == ["SHA256SUMS.txt"]
    assert len(found) == len(FILES)


def test_a_transfer_that_breaks_off_is_gone_on_with_where_it_broke(server, tmp_path):
    server.drop = {"a/one.dat": [100_000, 50_000, 8_192]}
    found, count = download(tmp_path)
    assert on_disk(tmp_path) == FILES
    starts = [start for path, start in server.asked if path == "a/one.dat"]
    assert len(starts) == 4
    assert starts == sorted(starts)
    assert starts[1] > 90_000  # nothing but the broken-off piece's last 4096 bytes is fetched twice
    assert count < sum(map(len, FILES.values())) + 3 * 4096
    assert found["a/one.dat"].problem == ""


def test_a_start_that_was_interrupted_is_gone_on_with_by_the_next(server, tmp_path):
    """As after kill -9: a .part file, and no file of the final name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.dat.part").write_bytes(FILES["a/one.dat"][:123_456])
    _, count = download(tmp_path, only=["a/one.dat"])
    assert ("a/one.dat", 123_456) in server.asked
    assert count == 300_000 - 123_456
    assert on_disk(tmp_path) == {"a/one.dat": FILES["a/one.dat"]}


def test_a_whole_part_file_needs_only_its_name(server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.dat.part").write_bytes(FILES["a/one.dat"])
    _, count = download(tmp_path, only=["a/one.dat"])
    assert count == 0
    assert on_disk(tmp_path) == {"a/one.dat": FILES["a/one.dat"]}


def test_another_clients_unfinished_file_is_gone_on_with(server, tmp_path):
    """wget writes under the final name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.dat").write_bytes(FILES["a/one.dat"][:200_000])
    _, count = download(tmp_path, only=["a/one.dat"])
    assert count == 100_000
    assert on_disk(tmp_path) == {"a/one.dat": FILES["a/one.dat"]}


def test_a_file_that_was_damaged_on_disk_is_fetched_anew(server, tmp_path):
    download(tmp_path)
    damaged = bytearray(FILES["a/one.dat"])
    damaged[1000] ^= 1
    (tmp_path / "a" / "one.dat").write_bytes(bytes(damaged))
    found, count = download(tmp_path)
    assert on_disk(tmp_path) == FILES
    assert count == 300_000
    assert found["a/one.dat"].problem == ""


def test_a_file_that_the_server_has_wrong_is_told_and_not_kept(server, tmp_path):
    server.wrong = {"a/one.dat": FILES["a/one.dat"][::-1]}
    found, _ = download(tmp_path)
    assert "sha256" in found["a/one.dat"].problem
    assert on_disk(tmp_path) == {path: data for path, data in FILES.items() if path != "a/one.dat"}
    assert [path for path, _ in server.asked].count("a/one.dat") == 2


def test_a_file_that_is_listed_and_not_there_is_told_and_leaves_nothing(server, tmp_path):
    server.gone = {"a/two.dat"}
    found, _ = download(tmp_path)
    assert found["a/two.dat"].problem == "not on the server"
    assert on_disk(tmp_path) == {path: data for path, data in FILES.items() if path != "a/two.dat"}


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.ranges, server.drop = False, {"a/one.dat": [100_000]}
    download(tmp_path)
    assert on_disk(tmp_path) == FILES
    assert [path for path, _ in server.asked].count(
        "a/one.dat"
    ) == 2  # written over, not appended and thrown away


def test_a_server_that_is_busy_is_asked_again_and_in_the_end_told(server, tmp_path):
    server.busy = {"table.csv": 2, "a/two.dat": 99}
    found, _ = download(tmp_path)
    assert found["table.csv"].problem == ""
    assert "broke off" in found["a/two.dat"].problem
    assert "503" in found["a/two.dat"].problem


@pytest.mark.parametrize(
    ("how", "words"),
    [({"sums": False}, "not there"), ({"status": 403}, "an account"), ({"status": 500}, "cannot be fetched")],
)
def test_without_the_list_of_checksums_nothing_is_fetched(server, tmp_path, how, words):
    for name, value in how.items():
        setattr(server, name, value)
    with pytest.raises(DataError, match=words) as error:
        download(tmp_path)
    assert "SHA256SUMS.txt" in str(error.value)
    assert on_disk(tmp_path) == {}


def test_a_server_that_is_away_is_told(tmp_path, monkeypatch):
    with Server(DATABASE, {}) as gone:
        url = gone.url
    monkeypatch.setattr(wfdb.io.download.config, "db_index_url", url)
    with pytest.raises(DataError, match="cannot be fetched"):
        download(tmp_path)


def test_patterns_and_a_limit_choose(server, tmp_path):
    found, _ = download(tmp_path, only=["*.csv", "a/*"], limit=2)
    assert sorted(found) == ["a/one.hea", "table.csv"]


def test_a_folder_that_cannot_be_made_is_told(server, tmp_path):
    (tmp_path / "file").write_text("in the way of a folder")
    with pytest.raises(StorageError, match="cannot be written"):
        download(tmp_path / "file" / "data")


def test_a_disk_that_is_full_stops_and_says_that_what_came_is_kept(server, tmp_path, monkeypatch):
    """The first file that cannot be written ends all: the others could not be either."""
    (tmp_path / "a").write_text("in the way of a folder")
    with pytest.raises(StorageError, match="kept"):
        download(tmp_path)


def test_stopping_one_thread_stops_the_others_in_mid_file(server, tmp_path):
    over, seen = threading.Event(), []

    def on_bytes(count):
        seen.append(count)
        over.set()

    file = File("a/one.dat", hashlib.sha256(FILES["a/one.dat"]).hexdigest())
    got = _download.fetch(f"{server.url}{DATABASE}/a/one.dat", file, tmp_path, on_bytes, over)
    assert got.problem == "stopped"
    assert 0 < (tmp_path / "a" / "one.dat.part").stat().st_size == sum(seen) < 300_000


@pytest.mark.parametrize("line", ["../../etc/passwd", "/etc/passwd", "a/../../b"])
def test_a_path_that_leads_out_of_the_folder_is_refused(line):
    with pytest.raises(DataError, match="line 2"):
        parse_sums(f"{'0' * 64} good.txt\n{'0' * 64} {line}\n", "there")


def test_a_list_that_is_none_is_refused():
    with pytest.raises(DataError, match="line 1 is no checksum"):
        parse_sums("<html>Sign in</html>", "there")


def test_lists_may_mark_binary_mode_and_name_files_with_spaces():
    assert parse_sums(f"{'A' * 64} *./my file.dat\n\n", "there") == [File("my file.dat", "a" * 64)]
