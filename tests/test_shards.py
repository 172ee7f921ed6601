"""Shards: what is stored is what was read; bad records are set aside; a second start repeats nothing; the same data, the same bytes."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from ptbxl_folder import lr, samples, write_ptbxl, write_record

from clef_ray.datasets import COVARIATES, covariates_of
from clef_ray.datasets.ptbxl import Ptbxl
from clef_ray.errors import ConfigError, DataError
from clef_ray.shards import (
    Manifest,
    Plan,
    decode,
    ingest_local,
    load_corpus,
    read_rows,
    read_table,
    row_groups,
)
from clef_ray.shards.check import check_table
from clef_ray.shards.schema import encode
from clef_ray.signal import INVALID_SAMPLE


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_ptbxl(tmp_path_factory.mktemp("ptbxl"), n=20)


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory):
    """20 records in parts of 8, 8, 4."""
    out = tmp_path_factory.mktemp("shards")
    ingest_local(Ptbxl(str(source)), str(out), records_per_part=8)
    return out


def _damaged(root):
    """Eight records of which five cannot be used, each for another reason."""
    folder = write_ptbxl(root, n=8)
    with lr(folder, 1).with_suffix(".dat").open("r+b") as file:
        file.truncate(1000)
    lr(folder, 2).with_suffix(".dat").unlink()
    raw = samples(3)
    raw[100:200, 4] = INVALID_SAMPLE
    write_record(folder, "records100/00000/00003_lr", raw)
    raw = samples(4)
    raw[:, 6] = 12
    write_record(folder, "records100/00000/00004_lr", raw)
    write_record(folder, "records100/00000/00005_lr", samples(5)[:900])
    return folder


def _times(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_decoded_signals_are_wfdbs_physical_signals(source, shards):
    corpus = load_corpus(str(shards), fs=100)
    expected = [wfdb.rdrecord(str(lr(source, i))).p_signal.T for i in range(1, 21)]
    np.testing.assert_allclose(corpus.signals.millivolts(), expected, atol=1e-6)
    assert corpus.signals.raw_NKT.dtype == np.int16
    assert corpus.leads[3] == "aVR"


def test_the_table_comes_back_as_the_dataset_gave_it(source, shards):
    given = Ptbxl(str(source)).table()
    read = read_table(str(shards))
    assert read["record"].tolist() == given["record"].tolist()
    assert read["fold"].tolist() == given["fold"].tolist()
    for name in COVARIATES:
        np.testing.assert_array_equal(read[name], given[name])  # NaN where NaN
    for name in ("superclass", "subclass", "rhythm", "form", "diagnostic"):
        assert read[f"label_{name}"].tolist() == given[f"label_{name}"].tolist()
    assert not read[["patient", "fold"]].drop_duplicates()["patient"].duplicated().any()


def test_findings_count_the_classes_that_are_not_normal(shards):
    """Of the headline label set; a record that is not annotated for it has an unknown count, not 0."""
    read = read_table(str(shards))
    assert read["label_superclass"].tolist()[:4] == [["MI", "CD"], None, ["STTC", "HYP"], ["NORM"]]
    np.testing.assert_array_equal(read["findings"][:4], [2, np.nan, 2, 0])
    assert read["findings"].dtype == float
    assert load_corpus(str(shards), fs=100).table["findings"].equals(read["findings"])


def test_what_a_score_reads_is_every_covariate_and_the_findings_where_they_are(source, shards):
    read = read_table(str(shards))
    found = covariates_of(read)
    assert list(found) == [*COVARIATES, "findings"]
    for name, values in found.items():
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, read[name])
    assert list(covariates_of(Ptbxl(str(source)).table())) == list(COVARIATES)


def test_shards_from_before_a_covariate_was_stored_have_it_unknown(shards, tmp_path):
    """What version 1 wrote: the same parts without the six columns added since."""
    added = list(COVARIATES[12:])
    for file in shards.iterdir():
        if file.name.startswith("part-") and file.suffix == ".parquet":
            pq.write_table(pq.read_table(file).drop_columns(added), tmp_path / file.name)
    about = json.loads((shards / "manifest.json").read_bytes()) | {"schema_version": 1}
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    old, new = read_table(str(tmp_path)), read_table(str(shards))
    assert old[added].isna().all(axis=None)
    assert (old[added].dtypes == "float64").all()
    pd.testing.assert_frame_equal(old, new, check_dtype=True)


def test_stored_signals_are_raw_int16_without_a_copy(source, shards):
    table = pq.read_table(shards / "part-00000.parquet")
    assert table.schema.field("signal").type == pa.binary(2 * 12 * 1000)
    stored = np.frombuffer(table["signal"][2].as_py(), dtype="<i2").reshape(12, 1000)
    np.testing.assert_array_equal(stored, samples(3).T)
    about = json.loads(table.schema.metadata[b"clef_ray"])
    assert (about["fs"], about["leads"][0], about["samples"]) == (100.0, "I", 1000)
    assert (
        pq.ParquetFile(shards / "part-00000.parquet").metadata.row_group(0).column(0).compression
        == "UNCOMPRESSED"
    )


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 12), data=st.data())
def test_any_slice_and_any_chunks_decode_like_the_whole(n, data):
    """Offsets into the buffer are respected: an explicit loop over the records is the reference."""
    rng = np.random.default_rng(n)
    raw_NCT = rng.integers(-9999, 9999, size=(n, 3, 5)).astype(np.int16)
    gain, baseline = rng.uniform(50, 2000, (2, n, 3)).astype(np.float32)
    per_lead = pa.list_(pa.float32(), 3)
    table = pa.table(
        {
            "signal": encode(raw_NCT),
            "gain": pa.array(gain.tolist(), per_lead),
            "baseline": pa.array(baseline.tolist(), per_lead),
        }
    )
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    cut = data.draw(st.integers(start, stop))
    chunks = pa.concat_tables([table.slice(start, cut - start), table.slice(cut, stop - cut)])
    shape = SimpleNamespace(fs=5.0, samples=5, leads=("I", "II", "V1"), label_sets={})
    mv_NCT = decode(chunks, shape, np.tile([2, 0], (chunks.num_rows, 1))).millivolts()
    assert mv_NCT.shape == (stop - start, 2, 5)
    for row, i in enumerate(range(start, stop)):
        for column, lead in enumerate((2, 0)):
            expected = (raw_NCT[i, lead].astype(np.float64) - baseline[i, lead]) / gain[i, lead]
            np.testing.assert_allclose(mv_NCT[row, column], expected, rtol=1e-5, atol=1e-5)


def test_few_invalid_samples_are_interpolated_within_their_lead(tmp_path):
    """pandas' linear interpolation is the reference; the ends take the nearest valid value."""
    folder = write_ptbxl(tmp_path / "in", n=2)
    raw = samples(1)
    raw[:5, 1] = raw[300:340, 1] = raw[995:, 1] = INVALID_SAMPLE
    write_record(folder, "records100/00000/00001_lr", raw)
    ingest_local(Ptbxl(str(folder)), str(tmp_path / "out"))
    physical = pd.DataFrame(wfdb.rdrecord(str(lr(folder, 1))).p_signal)
    assert physical.isna().sum().sum() == 50
    expected = physical.interpolate(limit_direction="both").to_numpy().T
    found = load_corpus(str(tmp_path / "out"), 100).signals.millivolts()[0]
    np.testing.assert_allclose(
        found, expected, atol=0.5 / 200 + 1e-6
    )  # rounded to a raw unit, at most 1/200 mV


def test_what_cannot_be_used_is_set_aside_with_its_reason(tmp_path):
    folder, out = _damaged(tmp_path / "in"), tmp_path / "out"
    manifest = ingest_local(Ptbxl(str(folder)), str(out), records_per_part=3, max_bad=0.7)
    reasons = {
        "flat lead": 1,
        "header and signal disagree": 1,
        "invalid samples": 1,
        "length": 1,
        "missing file": 1,
    }
    assert manifest.quarantined == reasons
    assert (manifest.records, manifest.patients) == (3, 3)
    quarantine = pq.read_table(out / "quarantine.parquet").to_pandas().set_index("record")
    assert quarantine["reason"].tolist() == [
        "header and signal disagree", "missing file", "invalid samples", "flat lead", "length",
    ]  # fmt: skip
    assert quarantine.loc["00003", "detail"] == "aVL"
    assert quarantine.loc["00004", ["patient", "detail"]].tolist() == ["5004", "V1"]
    corpus = load_corpus(str(out), 100)
    assert corpus.table["record"].tolist() == ["00006", "00007", "00008"]
    np.testing.assert_allclose(
        corpus.signals.millivolts()[1], wfdb.rdrecord(str(lr(folder, 7))).p_signal.T, atol=1e-6
    )
    np.testing.assert_array_equal(
        read_rows(str(out), np.array([2, 0]), 100, ("II",)).millivolts(),
        corpus.signals.millivolts()[[2, 0], 1:2],
    )


def test_too_many_bad_records_stop_ingestion_and_nothing_is_lost(tmp_path):
    dataset, out = Ptbxl(str(_damaged(tmp_path / "in"))), tmp_path / "out"
    with pytest.raises(
        DataError, match=r"5 of 8 records \(62\.5%\).*5\.0% allowed.*flat lead 1.*quarantine\.parquet"
    ):
        ingest_local(dataset, str(out), records_per_part=4)
    with pytest.raises(DataError, match="not finished"):
        Manifest.load(str(out))
    before = _times(out)
    manifest = ingest_local(dataset, str(out), records_per_part=4, max_bad=0.7)
    assert manifest.records == 3
    complete = ("part-00001.parquet", "part-00001.json")  # the first part lacks a file, and is tried again
    assert [_times(out)[name] for name in complete] == [before[name] for name in complete]


def test_files_that_arrive_after_a_stop_are_read_by_the_same_command(tmp_path):
    """A download was incomplete, then completed: the same folder as if it had been complete; other parts are left alone."""
    folder, out = write_ptbxl(tmp_path / "in", n=8), tmp_path / "out"
    missing = [lr(folder, i).with_suffix(".dat") for i in (1, 2)]
    held = [path.read_bytes() for path in missing]
    for path in missing:
        path.unlink()
    with pytest.raises(DataError, match=r"start the same command again.*--max-bad") as stopped:
        ingest_local(Ptbxl(str(folder)), str(out), records_per_part=4)
    assert f"--out {out} " in str(stopped.value)
    for path, data in zip(missing, held, strict=True):
        path.write_bytes(data)
    written = []
    manifest = ingest_local(Ptbxl(str(folder)), str(out), records_per_part=4, on_part=written.append)
    assert [summary.part.file for summary in written] == ["part-00000.parquet"]
    assert manifest == ingest_local(Ptbxl(str(folder)), str(tmp_path / "complete"), records_per_part=4)
    assert pq.read_table(out / "quarantine.parquet").num_rows == 0


def test_a_finished_folder_is_verified_and_not_read_again(tmp_path):
    folder, out = write_ptbxl(tmp_path / "in", n=8), tmp_path / "out"
    path = lr(folder, 2).with_suffix(".dat")
    held = path.read_bytes()
    path.unlink()
    first = ingest_local(Ptbxl(str(folder)), str(out), records_per_part=4, max_bad=0.2)
    path.write_bytes(held)
    assert ingest_local(Ptbxl(str(folder)), str(out), records_per_part=4, max_bad=0.2) == first
    part = out / "part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[5000] ^= 1
    part.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"1 of 2 parts.*part-00001\.parquet; delete these parts and start"):
        ingest_local(Ptbxl(str(folder)), str(out), records_per_part=4)
    part.unlink()
    assert ingest_local(Ptbxl(str(folder)), str(out), records_per_part=4, max_bad=0.2) == first


def test_a_second_ingestion_rewrites_nothing(source, tmp_path):
    written = []
    first = ingest_local(Ptbxl(str(source)), str(tmp_path), 8, on_part=written.append)
    assert [summary.part.records for summary in written] == [8, 8, 4]
    before = _times(tmp_path)
    again = ingest_local(Ptbxl(str(source)), str(tmp_path), 8, on_part=written.append)
    assert (again, len(written), _times(tmp_path)) == (first, 3, before)


@pytest.mark.parametrize("lost", ["part-00001.parquet", "part-00001.json"])
def test_ingestion_goes_on_where_it_stopped(source, tmp_path, lost):
    """Killed in a part: the manifest is not there and neither is the part, or its summary."""
    first = ingest_local(Ptbxl(str(source)), str(tmp_path), 8)
    before = _times(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "part-00001.parquet.0123abcd.tmp").write_bytes(b"half")
    written = []
    assert ingest_local(Ptbxl(str(source)), str(tmp_path), 8, on_part=written.append) == first
    assert [summary.part.file for summary in written] == ["part-00001.parquet"]
    assert _times(tmp_path)["part-00000.parquet"] == before["part-00000.parquet"]


def test_the_same_data_give_the_same_bytes_and_fingerprint_anywhere(source, tmp_path):
    elsewhere = write_ptbxl(tmp_path / "copy", n=20)
    one = ingest_local(Ptbxl(str(source)), str(tmp_path / "one"), 8)
    two = ingest_local(Ptbxl(str(elsewhere)), str(tmp_path / "deeper" / "two"), 8)
    assert one == two
    for file in ("part-00000.parquet", "part-00002.parquet", "quarantine.parquet", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "deeper" / "two" / file).read_bytes()


def test_one_changed_sample_changes_the_fingerprint(source, tmp_path, shards):
    changed = write_ptbxl(tmp_path / "in", n=20)
    raw = samples(9)
    raw[500, 3] += 1
    write_record(changed, "records100/00000/00009_lr", raw)
    manifest = ingest_local(Ptbxl(str(changed)), str(tmp_path / "out"), 8)
    before = Manifest.load(str(shards))
    assert manifest.fingerprint != before.fingerprint
    assert [a == b for a, b in zip(manifest.parts, before.parts, strict=True)] == [True, False, True]


def test_other_parameters_into_the_same_folder_are_refused_and_named(source, shards, tmp_path):
    with pytest.raises(DataError, match="records_per_part is 8 there and 5 here"):
        ingest_local(Ptbxl(str(source)), str(shards), records_per_part=5)
    with pytest.raises(DataError, match=r"parameters\.fs is 100\.0 there and 500\.0 here"):
        ingest_local(Ptbxl(str(source), fs=500), str(shards), records_per_part=8)
    (tmp_path / "thesis.docx").write_text("")
    with pytest.raises(DataError, match=r"not empty \(thesis\.docx"):
        ingest_local(Ptbxl(str(source)), str(tmp_path))
    with pytest.raises(ConfigError, match="records_per_part"):
        ingest_local(Ptbxl(str(source)), str(tmp_path / "x"), records_per_part=0)


def test_the_manifest_says_what_is_there(shards):
    manifest = Manifest.load(str(shards))
    assert (manifest.dataset, manifest.records, manifest.patients, manifest.headline) == (
        "ptbxl",
        20,
        19,
        "superclass",
    )
    assert manifest.coverage["age"] == 0.95
    assert manifest.coverage["bmi"] == 0.9
    assert manifest.coverage["sbp"] == 0.0
    assert [(part.file, part.records, part.row_groups) for part in manifest.parts] == [
        ("part-00000.parquet", 8, 1),
        ("part-00001.parquet", 8, 1),
        ("part-00002.parquet", 4, 1),
    ]
    assert str(shards) not in json.dumps(manifest.to_dict())


def test_verify_names_the_part_that_changed(source, tmp_path):
    manifest = ingest_local(Ptbxl(str(source)), str(tmp_path), 8)
    manifest.verify(str(tmp_path))
    part = tmp_path / "part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[5000] ^= 1
    part.write_bytes(bytes(data))
    (tmp_path / "part-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"2 of 3 parts.*part-00001\.parquet, part-00002\.parquet"):
        manifest.verify(str(tmp_path))


def test_what_is_not_a_shard_folder_says_so(tmp_path, shards):
    with pytest.raises(DataError, match="no such folder"):
        Manifest.load(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="empty folder"):
        Manifest.load(str(tmp_path))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match="not a shard folder"):
        Manifest.load(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Manifest.load(str(tmp_path))
    newer = dataclasses.replace(Manifest.load(str(shards)), schema_version=99)
    (tmp_path / "manifest.json").write_text(json.dumps(newer.to_dict()))
    with pytest.raises(DataError, match=r"schema version 99.*up to 3"):
        Manifest.load(str(tmp_path))


def test_rows_in_any_order_are_the_corpus_rows(shards):
    corpus = load_corpus(str(shards), fs=50, leads=("V6", "I"))
    assert corpus.signals.millivolts().shape == (20, 2, 500)
    rows = np.array([19, 0, 7, 8, 7, 15])
    np.testing.assert_array_equal(
        read_rows(str(shards), rows, 50, ("V6", "I")).millivolts(), corpus.signals.millivolts()[rows]
    )
    assert read_rows(str(shards), rows[:0], 50, ("I",)).raw_NKT.shape == (0, 1, 500)
    with pytest.raises(ConfigError, match="unknown lead 'V9'"):
        load_corpus(str(shards), fs=50, leads=("V9",))


def test_rows_are_found_in_their_row_groups(tmp_path):
    """More than one row group a part: 60 records in parts of 55."""
    folder = write_ptbxl(tmp_path / "in", n=60)
    manifest = ingest_local(Ptbxl(str(folder)), str(tmp_path / "out"), records_per_part=55)
    assert [part.row_groups for part in manifest.parts] == [2, 1]
    groups = row_groups(manifest)
    assert np.bincount(groups).tolist() == [50, 5, 5]
    corpus = load_corpus(str(tmp_path / "out"), 100)
    np.testing.assert_array_equal(corpus.groups, groups)
    rows = np.random.default_rng(0).permutation(60)
    np.testing.assert_array_equal(
        read_rows(str(tmp_path / "out"), rows, 100, corpus.leads).millivolts(),
        corpus.signals.millivolts()[rows],
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="sbp"), "lacks sbp"),
        (lambda t: t.iloc[:0], "no records"),
        (lambda t: pd.concat([t, t.iloc[:2]]), "2 records twice"),
        (lambda t: t.assign(fold=0), "outside 1..10"),
        (lambda t: t.assign(fold=range(1, 9)), "1 patients in more than one fold"),
        (lambda t: t.assign(label_rhythm=[["SR", "XX"]] * 8), "label set 'rhythm': XX"),
    ],
)
def test_a_table_that_breaks_the_contract_is_refused(source, spoil, message):
    dataset = Ptbxl(str(source))
    with pytest.raises(DataError, match=message):
        check_table(dataset, spoil(dataset.table().iloc[:8]))


def test_the_plan_covers_every_record_once(source):
    plan = Plan(Ptbxl(str(source)), 7)
    assert [len(plan.rows(file)) for file in plan.files] == [7, 7, 6]
    assert pd.concat([plan.rows(file) for file in plan.files])["record"].is_unique


@pytest.mark.realdata
def test_real_ecgs_come_through(realdata, tmp_path):
    """100 real 500 Hz records in a published layout: physical values as wfdb's, nothing quarantined."""
    subset = realdata / "ptbxl_subset"
    pd.read_csv(subset / "ptbxl_database.csv").head(100).to_csv(tmp_path / "ptbxl_database.csv", index=False)
    for name in ("scp_statements.csv", "records500"):
        (tmp_path / name).symlink_to(subset / name)
    dataset = Ptbxl(str(tmp_path), fs=500)
    manifest = ingest_local(dataset, str(tmp_path / "out"))
    assert (manifest.records, manifest.quarantined) == (100, {})
    corpus = load_corpus(str(tmp_path / "out"), 500)
    for i in (0, 42, 99):
        expected = wfdb.rdrecord(str(tmp_path / dataset.table()["file"].iloc[i])).p_signal.T
        np.testing.assert_allclose(corpus.signals.millivolts()[i], expected, atol=1e-6)
