"""Ingestion on Ray: the same folder as without it."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from ptbxl_folder import lr, write_ptbxl

from clef_ray.cluster import ingest as module
from clef_ray.cluster.ingest import ingest
from clef_ray.datasets.ptbxl import Ptbxl
from clef_ray.errors import ConfigError, StorageError
from clef_ray.shards import ingest_local, load_corpus


@pytest.mark.ray
def test_ray_writes_the_same_folder_as_one_process(local_ray, tmp_path, capfd):
    source = write_ptbxl(tmp_path / "in", n=20)
    lr(source, 7).with_suffix(".dat").unlink()
    alone = ingest_local(Ptbxl(str(source)), str(tmp_path / "alone"), 4)
    capfd.readouterr()
    together = ingest("ptbxl", {"root": str(source), "fs": "100"}, str(tmp_path / "ray"), records_per_part=4)
    printed = capfd.readouterr()
    assert (printed.out, "ingest" in printed.err) == ("", False), "no bar outside a terminal"
    assert together == alone
    assert together.quarantined == {"missing file": 1}
    names = sorted(p.name for p in (tmp_path / "alone").iterdir())
    assert sorted(p.name for p in (tmp_path / "ray").iterdir()) == names
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()

    (tmp_path / "ray" / "part-00003.parquet").unlink()
    times = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "ray").glob("part-0000[0-2]*")}
    assert ingest("ptbxl", {"root": str(source)}, str(tmp_path / "ray"), records_per_part=4) == alone
    assert times == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "ray").glob("part-0000[0-2]*")}


@pytest.mark.ray
def test_an_error_in_a_task_reaches_the_user_as_itself(local_ray, tmp_path):
    source, out = write_ptbxl(tmp_path / "in", n=4), tmp_path / "out"
    ingest_local(Ptbxl(str(source)), str(out), 2)
    (out / "part-00001.json").unlink()
    (out / "part-00001.parquet").unlink()
    (out / "part-00001.parquet").mkdir()  # nothing can be written in its place
    with pytest.raises(StorageError, match=r"cannot write.*part-00001\.parquet"):
        ingest("ptbxl", {"root": str(source)}, str(out), records_per_part=2)


def test_wrong_options_are_refused_before_anything_starts(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'root'"):
        ingest("ptbxl", {"rot": "x"}, str(tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"Available: 100, 500"):
        ingest("ptbxl", {"root": "x", "fs": 250}, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def work_elsewhere(tmp_path, monkeypatch):
    """The driver is in tmp_path, and a task in tmp_path/worker."""
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path)

    def elsewhere(plan, files, task, progress):
        os.chdir(tmp_path / "worker")
        for file in files:
            assert task({"file": file, "rows": pickle.dumps(plan.rows(file))})["error"] == b""
        os.chdir(tmp_path)

    monkeypatch.setattr(module, "_write_parts", elsewhere)


def test_relative_paths_count_from_the_driver_and_not_from_the_worker(tmp_path, monkeypatch):
    write_ptbxl(tmp_path / "in", n=4)
    work_elsewhere(tmp_path, monkeypatch)
    assert ingest("ptbxl", {"root": "in"}, "out").records == 4
    assert len(load_corpus("out", 100).table) == 4
    assert list(Path("worker").iterdir()) == []


def test_a_map_names_its_own_root(tmp_path, monkeypatch):
    """`ingest generic --map sub/my.yaml`: an option root that is not given is not the working folder."""
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub" / "one.npy", np.random.default_rng(1).normal(0, 0.1, (2, 5000)))
    (tmp_path / "sub" / "my.yaml").write_text("record: '*.npy'\nformat: npy\nleads: [I, II]\nrate: 500\n")
    work_elsewhere(tmp_path, monkeypatch)
    with pytest.warns(UserWarning, match="no `patient` column"):
        assert ingest("generic", {"map": "sub/my.yaml"}, "out").records == 1
