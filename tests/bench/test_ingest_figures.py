"""`clef-ray bench ingest`: the corpus it measures on is what it says, all sides see the same records, and every figure is there."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb

from clef_ray.bench import ingest
from clef_ray.datasets._header import parse
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards import ingest_local


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wfdb")
    ingest.write_files(folder, 6)
    return folder


def test_the_files_are_the_synthetic_cohort_as_plain_format_16(files):
    cohort = Synthetic(patients=6, records_per_patient=1)
    for n, row in enumerate(cohort.table().to_dict("records")):
        assert parse((files / f"{n:05d}.hea").read_bytes()) is not None
        stored = wfdb.rdrecord(str(files / f"{n:05d}"))
        np.testing.assert_allclose(stored.p_signal.T, cohort.signal(row).millivolts(), atol=1e-5)


def test_records_beyond_the_files_are_others(files):
    """So that no more of them are duplicates than a real corpus has."""
    corpus = ingest.Corpus(str(files), 6, 15)
    rows = corpus.table().to_dict("records")
    first, again = corpus.signal(rows[1]).raw_CT, corpus.signal(rows[7]).raw_CT
    np.testing.assert_array_equal(again[:, 47:], first[:, :-47])
    assert len({corpus.signal(row).raw_CT.tobytes() for row in rows}) == 15


def test_the_corpus_is_ingested_whole(files, tmp_path):
    manifest = ingest_local(ingest.Corpus(str(files), 6, 15), str(tmp_path / "shards"))
    assert (manifest.records, manifest.quarantined) == (15, {})


def test_the_limit_moves_the_bytes_that_a_part_holds(files, tmp_path):
    sides = ingest._sides(files, str(tmp_path), ingest.Sizes(6, 2, 1, 4, 8))
    counts = {name: side() for name, side in sides.items()}
    assert counts == {name: 2 if name == "plain" else 6 for name in sides}
    assert (tmp_path / "limit").stat().st_size == 6 * 12 * 5000 * 2
    part = pq.read_table(tmp_path / "ours" / ingest.PART)
    assert b"".join(part["signal"].to_pylist())[:2] == (tmp_path / "limit").read_bytes()[:2]


def test_every_figure_is_there_and_the_stages_add_up_to_the_whole():
    figures = ingest.ingest(ingest.Sizes(records=6, plain=2, rounds=2, few=4, many=8), lambda _: None)
    assert [f.unit for f in figures] == [*["records/s"] * 2, *["us/record"] * 7, "MiB"]
    by_core, by_clock, *stages, memory = figures
    for figure in (by_core, by_clock):
        assert min(figure.ours, figure.plain, figure.limit, figure.ratio) > 0
    assert by_core.met is (by_core.ours >= ingest.ASKED)
    assert sum(f.ours for f in stages) * by_core.ours == pytest.approx(1e6, rel=0.5)
    assert memory.ours > 0
    assert memory.limit > 0


def test_a_side_is_measured_per_record_and_after_one_turn_that_does_not_count():
    calls = []
    found = ingest.turns({name: lambda n=name: calls.append(n) or 100_000 for name in "ab"}, rounds=3)
    assert "".join(calls) == "ab" * 4
    assert all(len(each) == 3 and all(0 <= turn.wall < 1e-3 for turn in each) for each in found.values())
