"""Whatever moment an ingestion is killed at, the same command goes on, and ends with the same bytes as one that was left alone."""

import multiprocessing
import os
import random
import resource
import shutil
import signal as signals
import sys
import time
from pathlib import Path

import pytest
from toy import Toy, ecg, signal

from clef_ray.datasets import MISSING_FILE, UnreadableError
from clef_ray.errors import DataError, StorageError
from clef_ray.shards import Manifest, ingest_local
from clef_ray.shards.verify import problems
from clef_ray.store import Store

PER_PART = 3


def cohort(pause=0.0):
    """8 records in three parts. In the second part one repeats a recording of the first; in the third one is flat."""
    records = {f"r{i}": (f"p{i}", signal(ecg(i))) for i in range(8)}
    records["r4"] = ("p4", signal(ecg(1), gain=500.0))
    flat = ecg(7)
    flat[1] = 0
    records["r7"] = ("p7", signal(flat))

    class Slow(Toy):
        def signal(self, row):
            time.sleep(pause)
            return super().signal(row)

    Slow.__module__ = "clef_ray.datasets.toy"
    return Slow(records)


def ingest(out, pause=0.0):
    return ingest_local(cohort(pause), str(out), records_per_part=PER_PART, max_bad=0.5)


def contents(folder):
    return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def dies_at(call, out):
    """Ingest in a process of its own that is killed at its `call`-th fsync: a file is written but not named, or named but not yet synced."""
    fsync, calls = os.fsync, iter(range(10_000))

    def killed(descriptor):
        if next(calls) == call:
            os.kill(os.getpid(), signals.SIGKILL)
        fsync(descriptor)

    os.fsync = killed
    ingest(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    manifest = ingest(folder)
    assert manifest.quarantined == {"duplicate of another patient": 1, "flat lead": 1}
    return contents(folder)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported: forks of this one."""
    return multiprocessing.get_context("fork")


def test_killed_at_every_write_it_ends_with_the_same_bytes(processes, whole, tmp_path):
    for call in range(200):
        out = tmp_path / str(call)
        process = processes.Process(target=dies_at, args=(call, out))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signals.SIGKILL
        left = {p.name for p in out.iterdir()}
        ingest(out)
        assert contents(out) == whole, f"killed at fsync {call}, which left {sorted(left)}"
    assert call > 2 * len(whole), "every file is written once, one also without its duplicate"
    assert contents(out) == whole


def test_killed_at_any_time_and_again_it_ends_with_the_same_bytes(processes, whole, tmp_path):
    chance, killed = random.Random(0), 0
    for _ in range(40):
        # 8 records of 0.02 s last longer than the longest wait: the first process is always killed, however fast the machine.
        process = processes.Process(target=ingest, args=(tmp_path / "out", 0.02))
        process.start()
        process.join(chance.uniform(0.02, 0.15))
        process.kill()
        process.join(60)
        killed += process.exitcode != 0
        if process.exitcode == 0:
            break
    ingest(tmp_path / "out")
    assert killed > 0
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize("name", ["part-00001.parquet", "part-00001.json", "part-00002.parquet"])
@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_part_that_is_not_what_its_summary_says_is_made_again(whole, tmp_path, name, damage):
    """Before the manifest is written. Cut short, or as long as it was with another bit."""
    ingest(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    written = []
    ingest_local(cohort(), str(tmp_path), PER_PART, 0.5, on_part=written.append)
    assert [s.part.file[:10] for s in written] == [name[:10]]
    assert contents(tmp_path) == whole


def test_leftovers_of_a_killed_process_go_and_those_of_a_living_one_stay(processes, whole, tmp_path):
    process = processes.Process(target=dies_at, args=(6, tmp_path))
    process.start()
    process.join(60)
    left = [p for p in tmp_path.iterdir() if p.suffix == ".tmp"]
    assert len(left) == 1
    mine = left[0].with_name(left[0].name.replace(f"-{process.pid}.", f"-{os.getpid()}."))
    mine.write_bytes(b"being written")
    ingest(tmp_path)
    assert [p for p in tmp_path.iterdir() if p.suffix == ".tmp"] == [mine]
    mine.unlink()
    assert contents(tmp_path) == whole


def limited(out, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        ingest(out)
    except StorageError as error:
        Path(f"{out}.error").write_text(str(error))
        sys.exit(7)


def test_where_nothing_more_can_be_written_it_says_what_is_kept(processes, whole, tmp_path):
    """A limit on a file's size stands for a full disk: the first part (one record less) fits, a full one does not."""
    out = tmp_path / "out"
    sizes = {name: len(data) for name, data in whole.items()}
    process = processes.Process(target=limited, args=(out, sizes["part-00002.parquet"] - 1))
    process.start()
    process.join(60)
    assert process.exitcode == 7
    told = (tmp_path / "out.error").read_text()
    assert "part-00000.parquet: [Errno 27]" in told
    assert "Kept are 0 of 3 parts, complete; once that is put right, start the same command again" in told
    assert sorted(contents(out)) == ["plan.json"], "nothing half written is left"
    ingest(out)
    assert contents(out) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_keeps_what_is_complete(whole, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=60k tmpfs {disk} 2>/dev/null") != 0:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        with pytest.raises(
            StorageError, match=r"cannot write .*No space left.* Kept are [12] of 3 parts"
        ) as error:
            ingest(disk / "out")
        kept = [p.name for p in (disk / "out").iterdir()]
        assert not [name for name in kept if name.endswith(".tmp")]
        assert f"Kept are {sum(n.endswith('.parquet') for n in kept)} of" in str(error.value)
        shutil.copytree(disk / "out", tmp_path / "out")
    finally:
        os.system(f"umount {disk}")
    ingest(tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_a_folder_that_vanishes_is_told_and_empties_nothing(whole, tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    (root / "file").write_text("")
    dataset = cohort()
    dataset.root = root
    read = dataset.signal

    def vanishing(row):
        if row["record"] == "r6":
            shutil.rmtree(root)
        if not root.exists():
            raise UnreadableError(MISSING_FILE, f"{row['record']}.dat")
        return read(row)

    dataset.signal = vanishing
    with pytest.raises(DataError, match=rf"the folder {root} is gone or empty.*start the same command again"):
        ingest_local(dataset, str(tmp_path / "out"), PER_PART, 0.5)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.parquet")) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    ingest(tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_an_empty_folder_in_place_of_a_disk_is_gone_too(tmp_path):
    (tmp_path / "mount").mkdir()
    dataset = Toy({"r0": ("p0", UnreadableError(MISSING_FILE, "r0.dat"))})
    dataset.root = tmp_path / "mount"
    with pytest.raises(DataError, match="is gone or empty"):
        ingest_local(dataset, str(tmp_path / "out"))


def test_a_manifest_over_a_lost_part_is_taken_back_until_the_part_is_there(whole, tmp_path):
    ingest(tmp_path)
    (tmp_path / "part-00002.parquet").unlink()
    dataset = cohort()
    dataset.signal = lambda row: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        ingest_local(dataset, str(tmp_path), PER_PART, 0.5)
    with pytest.raises(DataError, match="not finished"):
        Manifest.load(str(tmp_path))
    ingest(tmp_path)
    assert contents(tmp_path) == whole
    assert problems(str(tmp_path)) == []


def test_a_store_sweeps_only_its_own_kind(tmp_path):
    names = ["x.tmp", "part.0123abcd.tmp", "part.00000000-99999999.0123abcd.tmp"]
    for name in names:
        (tmp_path / name).write_text("")
    Store(str(tmp_path)).sweep()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names), "another host's may be at work"
    os.utime(tmp_path / names[2], (0, 0))
    Store(str(tmp_path)).sweep()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[:2])
