"""Samples are found where they lie in a part, or not at all: whatever wrote it, what is read is what Parquet's own reader gives."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import toy

from clef_ray.errors import StorageError
from clef_ray.shards import ROW_GROUP, Manifest, corpus, groups, ingest_local, load_corpus, read_rows
from clef_ray.shards.page import HEAD, values_start
from clef_ray.shards.schema import encode
from clef_ray.signal import INVALID_SAMPLE

PLAIN = {"compression": "none", "use_dictionary": False, "write_statistics": False}
#: How else a part may be written, by whoever: what is no plain single page is left to Parquet's reader.
OTHERS = {
    "several pages": {"data_page_size": 1, "write_batch_size": 7},
    "compressed": {"compression": "zstd"},
    "dictionary": {"use_dictionary": ["signal"]},
    "statistics": {"write_statistics": True},
    "pages of version 2": {"data_page_version": "2.0"},
    "byte stream split": {"use_byte_stream_split": ["signal"]},
}
ALIKE = {
    "as we write": {},
    "checksums": {"write_page_checksum": True},
    "page index": {"write_page_index": True},
}


def found_in(data, width, rows):
    """What `values_start` says of the first column of a file that has one row group."""
    file = pq.ParquetFile(pa.BufferReader(data))
    chunk, kind = file.metadata.row_group(0).column(0), file.schema.column(0)
    begin, size = chunk.data_page_offset, chunk.total_compressed_size
    whole = data.to_pybytes()[begin : begin + size]
    start = values_start(whole[:HEAD], size, rows, width, nullable=kind.max_definition_level > 0)
    return None if start is None else whole[start:]


@given(
    st.integers(1, 300),
    st.integers(1, 40),
    st.booleans(),
    st.sets(st.integers(0, 299), max_size=3),
    st.sampled_from([1, 7, 1000]),
    st.sampled_from(["1.0", "2.0"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_values_are_where_they_are_said_to_be(rows, width, nullable, nulls, batch, version, statistics, seed):
    """Found exactly where one page of version 1 holds all values and there are no statistics in its header."""
    values = [np.random.default_rng((seed, n)).bytes(width) for n in range(rows)]
    given = [None if nullable and n in nulls else value for n, value in enumerate(values)]
    field = pa.field("x", pa.binary(width), nullable=nullable)
    sink = pa.BufferOutputStream()
    options = PLAIN | {"write_statistics": statistics, "data_page_version": version}
    table = pa.table([pa.array(given, field.type)], schema=pa.schema([field]))
    pq.write_table(table, sink, data_page_size=1, write_batch_size=batch, **options)
    found = found_in(sink.getvalue(), width, rows)
    if None in given or batch < rows or version == "2.0":
        assert found is None
    elif statistics:
        assert found is None or found == b"".join(values)
    else:
        assert found == b"".join(values)


def header(kind=0, uncompressed=40, compressed=40, count=5, encoding=0, levels=3):
    """A page's header by hand: each number is a byte of kind and step (0x15) and its zigzag value, all below 64 here."""
    first = [0x15, 2 * kind, 0x15, 2 * uncompressed, 0x15, 2 * compressed]
    return bytes([*first, 0x2C, 0x15, 2 * count, 0x15, 2 * encoding, 0x15, 2 * levels, 0x15, 6, 0, 0])


def test_a_header_says_what_the_specification_says():
    """Five values of 8 bytes without levels; then with levels, of which a length of 2 is told."""
    size = len(header())
    assert values_start(header() + bytes(40), size + 40, 5, 8, nullable=False) == size
    told = header(uncompressed=46, compressed=46) + bytes([2, 0, 0, 0])
    assert values_start(told, size + 46, 5, 8, nullable=True) == size + 6
    assert values_start(told, size + 46, 5, 8, nullable=False) is None


@pytest.mark.parametrize(
    "wrong", [{"kind": 2}, {"uncompressed": 41}, {"compressed": 39}, {"count": 4}, {"encoding": 2}]
)
def test_a_page_of_another_kind_or_size_is_none(wrong):
    size = len(header())
    assert values_start(header(**wrong), size + 40, 5, 8, nullable=False) is None
    bits = header(uncompressed=46, compressed=46, levels=4) + bytes([2, 0, 0, 0])
    assert values_start(bits, size + 46, 5, 8, nullable=True) is None, "levels without a length"


@given(st.binary(max_size=HEAD), st.integers(0, 200), st.booleans())
def test_bytes_that_are_no_header_are_none(head, size, nullable):
    """Nor does anything else happen, such as an error or a search without end."""
    assert values_start(head, size, 5, 8, nullable=nullable) is None


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """130 records in two parts, three row groups; a few samples of some are invalid. With them, what they should be read as."""
    folder = tmp_path_factory.mktemp("plain")
    manifest = ingest_local(toy(130), str(folder), records_per_part=80)
    rng, expected = np.random.default_rng(0), []
    for part in manifest.parts:
        table = pq.read_table(folder / part.file)
        shape = (len(table), len(manifest.leads), manifest.samples)
        raw_NCT = rng.integers(-9999, 9999, shape).astype(np.int16)
        for n in range(0, len(table), 3):
            raw_NCT[n, rng.integers(shape[1]), rng.integers(shape[2], size=4)] = INVALID_SAMPLE
        at = table.column_names.index("signal")
        table = table.set_column(at, table.field(at), encode(raw_NCT))
        rewrite(table, folder / part.file, {})
        flat = pd.DataFrame(raw_NCT.reshape(-1, shape[2]).T.astype(float)).replace(INVALID_SAMPLE, np.nan)
        valid = flat.interpolate(limit_direction="both").to_numpy().T.reshape(shape)
        gain_NC = np.array(table["gain"].to_pylist(), dtype=np.float32)
        expected.append((np.rint(valid), gain_NC))
    return folder, manifest, *(np.concatenate(arrays) for arrays in zip(*expected, strict=True))


def rewrite(table, path, options):
    pq.write_table(table, path, row_group_size=ROW_GROUP, **(PLAIN | options))


@pytest.fixture(scope="module", params=[*ALIKE, *OTHERS])
def written(plain, request, tmp_path_factory):
    """The same shards written in another way; whether samples are to be read from where they lie."""
    folder = tmp_path_factory.mktemp("written")
    shutil.copy(plain[0] / "manifest.json", folder)
    for part in plain[1].parts:
        rewrite(pq.read_table(plain[0] / part.file), folder / part.file, (ALIKE | OTHERS)[request.param])
    return str(folder), request.param in ALIKE


@given(data=st.data())
def test_any_records_and_leads_are_read_alike_however_a_part_was_written(plain, written, data):
    _, manifest, raw_NCT, gain_NC = plain
    rows = np.array(data.draw(st.lists(st.integers(0, len(raw_NCT) - 1), min_size=1, max_size=20)))
    leads = data.draw(st.permutations(manifest.leads))[: data.draw(st.integers(1, len(manifest.leads)))]
    picks = st.lists(st.integers(0, len(leads) - 1), min_size=2, max_size=2)
    pick = np.array([data.draw(picks) for _ in rows])
    at = np.array([manifest.leads.index(lead) for lead in leads])
    chosen = read_rows(written[0], rows, manifest.fs, tuple(leads))
    assert np.array_equal(chosen.raw_NKT, raw_NCT[rows][:, at])
    assert np.array_equal(chosen.gain_NK, gain_NC[rows][:, at])
    pairs = read_rows(written[0], rows, manifest.fs, tuple(leads), pick)
    assert np.array_equal(pairs.raw_NKT, raw_NCT[rows[:, None], at[pick]])
    assert np.array_equal(pairs.gain_NK, gain_NC[rows[:, None], at[pick]])


def test_parquets_reader_is_asked_for_samples_only_where_they_do_not_lie_together(
    plain, written, monkeypatch
):
    asked, of_table = [], groups.Encoded.of_table
    monkeypatch.setattr(groups.Encoded, "of_table", lambda *given: asked.append(given) or of_table(*given))
    found = load_corpus(written[0], plain[1].fs).signals
    assert np.array_equal(found.raw_NKT, plain[2])
    assert len(asked) == (0 if written[1] else 3)


def test_what_ingestion_writes_lies_together(tmp_path, monkeypatch):
    monkeypatch.setattr(groups.Encoded, "of_table", None)
    manifest = ingest_local(toy(60), str(tmp_path))
    found = load_corpus(str(tmp_path), manifest.fs).signals
    stored = pq.read_table(tmp_path / manifest.parts[0].file)["signal"]
    assert found.raw_NKT.tobytes() == b"".join(stored.to_pylist())


def test_a_part_without_records_between_others(plain, tmp_path):
    folder, manifest, raw_NCT, _ = plain
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    rewrite(pq.read_table(folder / manifest.parts[0].file).slice(0, 0), tmp_path / "empty.parquet", {})
    about = json.loads((tmp_path / "manifest.json").read_bytes())
    about["parts"].insert(1, about["parts"][0] | {"file": "empty.parquet", "records": 0, "row_groups": 0})
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    assert len(Manifest.load(str(tmp_path)).parts) == 3
    assert np.array_equal(load_corpus(str(tmp_path), manifest.fs).signals.raw_NKT, raw_NCT)


def test_a_file_uri_is_read_like_its_path(plain):
    folder, manifest, raw_NCT, _ = plain
    found = load_corpus(folder.as_uri(), manifest.fs)
    assert np.array_equal(found.signals.raw_NKT, raw_NCT)


@pytest.mark.parametrize("name", [str, lambda folder: folder.as_uri()])
def test_a_part_that_is_lost_or_cut_off_while_it_is_read_is_named(plain, tmp_path, monkeypatch, name):
    folder, manifest, _, _ = plain
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    part, plain_decode = tmp_path / manifest.parts[0].file, corpus.decode_into

    def cut_off(*given):
        os.truncate(part, 1000)
        plain_decode(*given)

    monkeypatch.setattr(corpus, "decode_into", cut_off)
    rows = np.array([70])
    with pytest.raises(StorageError, match=r"part-00000\.parquet: it ends within its records"):
        read_rows(name(tmp_path), rows, manifest.fs, manifest.leads)
    part.unlink()
    with pytest.raises(StorageError, match=r"cannot read .*part-00000\.parquet"):
        read_rows(name(tmp_path), rows, manifest.fs, manifest.leads)
