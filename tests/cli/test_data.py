"""What --data may name."""

from typing import Literal

import pytest
from ptbxl_folder import write_ptbxl

from clef_ray.cli.data import Raw, _rate, find
from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import Registry


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
    with pytest.raises(DataError, match=r"holds notes\.txt: no shards.*--data NAME:root=.*ptbxl"):
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


class Resampling:
    """Its records are resampled to any rate, and read at two."""

    def __init__(self, root: str, fs: float = 360.0, source: Literal[250, 1000] = 1000) -> None: ...


class Several:
    def __init__(self, fs: Literal[1000, 250, 500] = 1000) -> None: ...


@pytest.mark.parametrize(("fs", "stored"), [(50, 250), (250, 250), (251, 500), (1000, 1000), (2000, 1000)])
def test_of_published_rates_the_lowest_that_holds_the_runs_is_read(monkeypatch, fs, stored):
    monkeypatch.setattr(Registry, "get", lambda *_: Several)
    assert _rate("several", fs) == {"fs": stored}


def test_a_rate_to_which_everything_is_resampled_stays_the_datasets_own(monkeypatch):
    monkeypatch.setattr(Registry, "get", lambda *_: Resampling)
    assert _rate("resampling", 100) == {}
