"""Shards: a dataset as Parquet parts plus a manifest, written once and read by every run.

    <folder>/plan.json            what is being ingested; written first, so that a second start knows what it continues
    <folder>/part-00000.parquet   up to 500 records; part-00000.json beside it (digest, counts, quarantine) says it is complete
    <folder>/quarantine.parquet   records that cannot be used: record, patient, reason, detail
    <folder>/manifest.json        written last: only with it a folder is a shard folder, and nothing is read anew

A record's signal is its raw int16 samples, little-endian, row-major [leads, samples], as one fixed-size binary value, with gain and
baseline per lead: `(raw - baseline) / gain` is mV. Covariates and targets are float64 with NaN for unknown; scores are never stored. `signature`
finds copies of a recording. fs, leads, label sets and targets are the same for all records and stand in the manifest (and in each part's
schema). Parts hold the same bytes on every machine.

schema.py: columns. fit.py: a record into the dataset's shape. writer.py: one part. check.py: the table. aside.py, census.py: copies and the
quarantine. resume.py: going on after a kill. ingest.py: from a dataset to a manifest. manifest.py: the manifest. page.py, groups.py, decode.py,
corpus.py: reading.
verify.py, info.py: is it whole, what is it. merge.py, unite.py, split.py, derive.py: shards from shards. Nothing here needs Ray;
`clef_ray.cluster.ingest` runs the same steps in parallel.
"""

from clef_ray.shards.corpus import (
    Corpus,
    OnDisk,
    Records,
    load_corpus,
    part_rows,
    read_rows,
    read_table,
    row_groups,
)
from clef_ray.shards.decode import Stored, decode
from clef_ray.shards.ingest import Plan, ingest_local
from clef_ray.shards.manifest import Manifest, Part
from clef_ray.shards.schema import ROW_GROUP, SCHEMA_VERSION
from clef_ray.shards.writer import PartSummary, Quarantined, write_part

__all__ = [
    "ROW_GROUP",
    "SCHEMA_VERSION",
    "Corpus",
    "Manifest",
    "OnDisk",
    "Part",
    "PartSummary",
    "Plan",
    "Quarantined",
    "Records",
    "Stored",
    "decode",
    "ingest_local",
    "load_corpus",
    "part_rows",
    "read_rows",
    "read_table",
    "row_groups",
    "write_part",
]
