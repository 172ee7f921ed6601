"""Is a folder what its manifest says?"""

import dataclasses
import json

import pyarrow.parquet as pq
import pytest
from toy import toy

from clef_ray.errors import DataError
from clef_ray.shards import Manifest, ingest_local, read_table
from clef_ray.shards.info import describe
from clef_ray.shards.manifest import Part, digest
from clef_ray.shards.schema import ROW_GROUP
from clef_ray.shards.verify import problems


@pytest.fixture
def folder(tmp_path):
    ingest_local(toy(), str(tmp_path), 5)
    return tmp_path


def resigned(folder, table, file="part-00001.parquet"):
    """Write another table in place of a part, and its digest into the manifest: only what is inside tells."""
    pq.write_table(table, folder / file, row_group_size=ROW_GROUP)
    manifest = Manifest.load(str(folder))
    sha = digest((folder / file).read_bytes())
    parts = tuple(dataclasses.replace(p, sha256=sha) if p.file == file else p for p in manifest.parts)
    dataclasses.replace(manifest, parts=parts).to_dict()
    (folder / "manifest.json").write_text(json.dumps(dataclasses.replace(manifest, parts=parts).to_dict()))


def test_a_whole_folder_has_no_problems(folder):
    assert problems(str(folder)) == []


def test_changed_and_missing_parts_are_told_apart(folder):
    path = folder / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(bytes(data))
    (folder / "part-00002.parquet").unlink()
    assert problems(str(folder)) == ["part-00001.parquet is changed", "part-00002.parquet is missing"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.drop_columns("sbp"), "part-00001.parquet: column sbp is missing"),
        (lambda t: t.drop_columns("signature"), "part-00001.parquet: column signature is missing"),
        (lambda t: t.slice(1), "part-00001.parquet: 4 records in 1 row groups"),
        (
            lambda t: t.set_column(t.column_names.index("age"), "age", t["age"].cast("float32")),
            "part-00001.parquet: column age is float",
        ),
        (
            lambda t: t.replace_schema_metadata({"clef_ray": json.dumps({"fs": 500.0})}),
            "part-00001.parquet: its fs is not the manifest's",
        ),
    ],
)
def test_what_a_digest_cannot_tell_is_told(folder, spoil, told):
    resigned(folder, spoil(pq.read_table(folder / "part-00001.parquet")))
    assert told in problems(str(folder))


def test_reading_a_damaged_part_names_it_and_what_to_do(folder):
    path = folder / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"part-00001\.parquet cannot be read.*clef-ray shards verify"):
        read_table(str(folder))


def test_records_that_do_not_add_up_are_told(folder):
    manifest = dataclasses.replace(Manifest.load(str(folder)), records=13)
    (folder / "manifest.json").write_text(json.dumps(manifest.to_dict()))
    assert problems(str(folder)) == ["the parts hold 12 records, and the manifest says 13"]


def test_shards_of_version_2_still_load_and_verify(folder):
    """What version 2 wrote: no signature, no targets, and a manifest without what was added."""
    manifest = Manifest.load(str(folder))
    parts = []
    for part in manifest.parts:
        table = pq.read_table(folder / part.file).drop_columns(["signature", "target_dbp"])
        about = json.loads(table.schema.metadata[b"clef_ray"])
        about = {k: v for k, v in about.items() if k != "targets"} | {"schema_version": 2}
        pq.write_table(table.replace_schema_metadata({"clef_ray": json.dumps(about)}), folder / part.file)
        parts.append(
            Part(part.file, part.records, digest((folder / part.file).read_bytes()), part.row_groups)
        )
    added = ("targets", "fitted", "hints", "quality", "filters", "source", "made_from")
    old = {k: v for k, v in manifest.to_dict().items() if k not in added} | {
        "schema_version": 2,
        "parts": [{k: v for k, v in dataclasses.asdict(p).items() if k != "size"} for p in parts],
    }
    (folder / "manifest.json").write_text(json.dumps(old))
    loaded = Manifest.load(str(folder))
    assert (loaded.targets, loaded.fitted, loaded.made_from) == ({}, {}, ())
    assert problems(str(folder)) == []
    assert len(read_table(str(folder))) == 12
    assert describe(str(folder))["known_targets"] == {}


def test_a_folder_that_is_none_is_an_error(tmp_path):
    with pytest.raises(DataError, match="empty folder"):
        problems(str(tmp_path))


def test_the_description_is_counts_only(folder):
    about = describe(str(folder))
    assert about["labels"] == {"kind": {"NORM": 4, "AF": 4}}
    assert about["annotated"] == {"kind": 8}
    assert about["known_targets"] == {"dbp": round(11 / 12, 6)}
    assert sum(about["folds"].values()) == 12
    assert about["parts"] == 3
    assert about["bytes"] == sum(p.stat().st_size for p in folder.glob("part-*.parquet"))
    text = json.dumps(about)
    assert "p00" not in text
