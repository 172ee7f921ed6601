"""The index of a corpus: its headline label set first, findings counted in it, covariates that older shards lack unknown; parts one after the other."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clef_ray.bench.index import shape_of
from clef_ray.datasets import COVARIATES
from clef_ray.shards import read_table
from clef_ray.shards.manifest import Part
from clef_ray.shards.schema import part_schema, table_columns
from clef_ray.store import Store

KINDS = [["NORM"], ["MI", "NORM"], None, [], ["MI", "STTC"]]
RHYTHMS = [["AF"], None, ["AF"], ["AF"], []]


def test_the_index_of_two_parts(tmp_path):
    sets = {"rhythm": ("AF",), "kind": ("NORM", "MI", "STTC")}
    shape = replace(shape_of(5, ()), label_sets=sets, headline="kind")
    late = COVARIATES[-1]  # of a later version than these shards
    names = [name for name in table_columns(shape) if name != late]
    assert names.index("label_rhythm") < names.index("label_kind"), "so that the order is read_table's doing"
    rows = {
        "record": [f"r{n}" for n in range(5)],
        "patient": ["a", "a", "b", "c", "d"],
        "fold": [1, 1, 2, 3, 4],
        "label_rhythm": RHYTHMS,
        "label_kind": KINDS,
    } | {name: [50.0, None, 52.0, 53.0, 54.0] for name in COVARIATES}
    schema = pa.schema([part_schema(shape).field(name) for name in names])
    parts = []
    for file, chosen in (("part-00000.parquet", slice(0, 2)), ("part-00001.parquet", slice(2, 5))):
        table = pa.table({name: rows[name][chosen] for name in names}, schema=schema)
        pq.write_table(table, tmp_path / file)
        parts.append(Part(file, len(table), "0" * 64, 1))
    replace(shape, parts=tuple(parts)).save(Store(str(tmp_path)))

    found = read_table(str(tmp_path))
    assert [name for name in found if name.startswith("label_")] == ["label_kind", "label_rhythm"]
    assert found["record"].tolist() == rows["record"]
    assert found["label_kind"].tolist() == KINDS
    assert found["label_rhythm"].tolist() == RHYTHMS
    assert isinstance(found["label_kind"][0], list)
    np.testing.assert_array_equal(found["age"], [50, np.nan, 52, 53, 54])
    assert found[late].isna().all()
    np.testing.assert_array_equal(found["findings"], [0, 1, np.nan, 0, 2])
    assert found["fold"].dtype == np.int8
