"""What --data may name."""

import pytest
from ptbxl_folder import write_ptbxl

from clef_ray.cli import actions, main
from clef_ray.cli.data import Raw, find
from clef_ray.errors import ConfigError, DataError


def test_a_dataset_by_name_takes_options():
    found = find("synthetic:patients=7,effect=0", 100)
    assert isinstance(found, Raw)
    assert (found.options["patients"], found.options["effect"]) == (7, 0.0)


def test_the_default_folder_follows_from_the_content(tmp_path):
    one, other = find("synthetic:patients=7", 100), find("synthetic:patients=8", 100)
    assert one.default_folder("s") == find("synthetic:patients=7,seed=0", 500).default_folder("s")
    assert one.default_folder("s") != other.default_folder("s")


def test_what_is_neither_a_path_nor_a_name_is_told_with_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown dataset 'syntetic'.*Did you mean 'synthetic'"):
        find("syntetic", 100)
    with pytest.raises(DataError, match="no such path"):
        find(str(tmp_path / "nowhere"), 100)
    with pytest.raises(DataError, match="is empty"):
        find(str(tmp_path), 100)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"holds notes\.txt, neither shards.*ptbxl_database\.csv"):
        find(str(tmp_path), 100)
    with pytest.raises(ConfigError, match="'patients' is no key=value"):
        find("synthetic:patients", 100)
    with pytest.raises(ConfigError, match=r"--data ptbxl: give ptbxl:root=\.\.\."):
        find("ptbxl", 100)
    with pytest.raises(ConfigError, match="Did you mean 'patients'"):
        find("synthetic:patient=3", 100)


@pytest.mark.parametrize(("fs", "stored"), [(50.0, 100), (100.0, 100), (250.0, 500), (500.0, 500)])
def test_the_runs_rate_picks_between_a_datasets_rates(tmp_path, fs, stored):
    folder = str(write_ptbxl(tmp_path, n=1))
    for data in (folder, f"ptbxl:root={folder}"):
        assert find(data, fs) == Raw("ptbxl", {"root": folder, "fs": stored})
    assert find(f"ptbxl:root={folder},fs=100", fs).options["fs"] == 100, "what is given counts"


def test_a_folder_is_recognised_by_the_datasets_own_files(tmp_path):
    (tmp_path / "ptbxl_labels_42.csv").write_text("")
    found = find(str(tmp_path), 100)
    assert isinstance(found, Raw)
    assert found.name == "ptbxl"


@pytest.mark.parametrize(("typed", "rate"), [([], {}), (["--fs", "500"], {"fs": 500})])
def test_ingest_names_a_rate_only_where_one_is_given(monkeypatch, typed, rate):
    """A dataset with one rate has no such option."""
    given = {}
    monkeypatch.setattr(actions, "_ingest", lambda _, options, *__, **___: given.update(options) or 0)
    assert main(["ingest", "ptbxl", "--root", "in", "--out", "out", *typed]) == 0
    assert given == {"root": "in", **rate}
