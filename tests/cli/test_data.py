"""What --data may name."""

import pytest

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
    with pytest.raises(ConfigError, match="Did you mean 'patients'"):
        find("synthetic:patient=3", 100)
