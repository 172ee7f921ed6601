"""Shards that a stranger made: the names in their manifest reach no file outside their folder."""

import json

import pytest
from toy import toy

from clef_ray.errors import StorageError
from clef_ray.shards import Manifest, ingest_local, load_corpus, read_table
from clef_ray.shards.verify import problems


@pytest.mark.parametrize("name", ["../secret.parquet", "/etc/passwd", "a/../../secret.parquet"])
def test_a_part_outside_the_folder_is_not_read(tmp_path, name):
    folder = tmp_path / "shards"
    ingest_local(toy(), str(folder), 5)
    (tmp_path / "secret.parquet").write_bytes((folder / "part-00000.parquet").read_bytes())
    about = json.loads((folder / "manifest.json").read_bytes())
    about["parts"][0]["file"] = name
    (folder / "manifest.json").write_text(json.dumps(about))
    manifest = Manifest.load(str(folder))
    for read in (
        lambda: read_table(str(folder)),
        lambda: load_corpus(str(folder), 100),
        lambda: problems(str(folder)),
        lambda: manifest.verify(str(folder)),
    ):
        with pytest.raises(StorageError, match="is no name for a file in"):
            read()
