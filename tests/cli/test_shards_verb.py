"""`clef-ray shards`."""

import json

import pytest
from toy import Toy, ecg, signal, toy

from clef_ray.cli import main
from clef_ray.shards import Manifest, ingest_local


@pytest.fixture
def folder(tmp_path):
    ingest_local(toy(12, per_patient=2), str(tmp_path / "shards"), 5)
    return tmp_path / "shards"


def test_verify_tells_every_folder_and_fails_where_one_is_wrong(folder, tmp_path, capsys):
    assert main(["shards", "verify", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: ok, 12 records of 6 patients in 3 parts\n"
    part = folder / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    assert main(["shards", "verify", str(folder), str(tmp_path / "none")]) == 1
    printed = capsys.readouterr().out
    assert f"{folder}: 1 problems\n  part-00001.parquet is changed\n" in printed
    assert "no such folder" in printed
    assert main(["shards", "verify", "--json", str(folder)]) == 1
    assert json.loads(capsys.readouterr().out) == {str(folder): ["part-00001.parquet is changed"]}


def test_info_is_a_page_of_counts(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["shards", "info", str(folder)]) == 0
    printed = capsys.readouterr().out
    for told in (
        "12 of 6 patients, in 3 parts",
        "3 leads (I, II, V1), 10 s at 100 Hz",
        "labels kind",
        "8 annotated: NORM 4, AF 4",
        "age 100.0%",
        "dbp 91.7%",
        "amplitude_mv 20.0",
        Manifest.load(str(folder)).fingerprint,
    ):
        assert told in printed, told
    assert "p00" not in printed


def test_merge_says_which_corpus_keeps_a_recording(folder, tmp_path, capsys):
    records = {"a": ("a", signal(ecg(3))), "b": ("b", signal(ecg(50)))}
    ingest_local(Toy(records), str(tmp_path / "more"))
    assert (
        main(["shards", "merge", str(folder), f"more={tmp_path / 'more'}", "--out", str(tmp_path / "out")])
        == 0
    )
    printed = capsys.readouterr().out
    assert "toy: 12 records\nmore: 1 records, 1 set aside: an earlier folder holds them\n" in printed
    assert f"{tmp_path / 'out'}: 13 records of 7 patients in 4 parts" in printed
    assert main(["shards", "info", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "duplicate of another corpus 1" in printed
    assert "more: 1 of 2 records" in printed


@pytest.mark.parametrize(("folds", "count"), [("1-10", 10), ("1-4,9", 5), ("3", 1), ("8,10", 2)])
def test_folds_are_typed_as_ranges_and_numbers(tmp_path, capsys, folds, count):
    records = {f"r{i}": (chr(97 + i), signal(ecg(i))) for i in range(10)}
    ingest_local(Toy(records), str(tmp_path / "ten"))
    typed = ["shards", "split", str(tmp_path / "ten"), "--folds", folds, "--out", str(tmp_path / "out")]
    assert main(typed) == 0
    assert f"{tmp_path / 'out'}: {count} records of {count} patients" in capsys.readouterr().out


def test_what_cannot_be_is_told_in_one_line(folder, tmp_path, capsys):
    for typed, told in (
        (["split", str(folder), "--folds", "a-b", "--out", str(tmp_path / "x")], "--folds a-b: give numbers"),
        (["split", str(folder), "--share", "2", "--out", str(tmp_path / "x")], "--share 2: give a share"),
        (["merge", str(folder), "--out", str(tmp_path / "x")], "1 folder given"),
        (["info", str(tmp_path / "none")], "no such folder"),
    ):
        assert main(["shards", *typed]) == 2
        printed = capsys.readouterr().err
        assert told in printed
        assert printed.count("\n") == 1
