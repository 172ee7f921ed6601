"""Our reader of WFDB annotation files against wfdb's: whatever wfdb writes is read alike."""

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clef_ray.datasets import UnreadableError
from clef_ray.datasets._annotations import read_annotations

MARKS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 1100), st.integers(0, 3_000_000)),  # beyond 1,023 samples a SKIP is needed
        # Not '"': wfdb takes notes at sample 0 for its own remarks and leaves them out (see below).
        st.sampled_from(["N", "V", "S", "A", "a", "Q", "/", "+", "~", "s", "|", "!"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9),
        st.integers(0, 3),  # subtype, channel, number: a word each where they change
    ),
    min_size=1,
    max_size=30,
)


def agree(path):
    ours, theirs = read_annotations(path), wfdb.rdann(str(path), "atr")
    np.testing.assert_array_equal(ours.sample_N, theirs.sample)
    assert ours.symbol_N.tolist() == theirs.symbol
    notes = {i: text.rstrip("\0") for i, text in enumerate(theirs.aux_note) if text.rstrip("\0")}
    assert {i: text for i, text in ours.notes.items() if text} == notes


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(marks=MARKS)
def test_what_wfdb_writes_is_read_as_wfdb_reads_it(tmp_path, marks):
    gaps, symbols, notes, extra = zip(*marks, strict=True)
    wfdb.wrann(
        "x",
        "atr",
        np.cumsum(gaps),
        symbol=list(symbols),
        aux_note=list(notes),
        subtype=np.array(extra),
        chan=np.array(extra),
        num=np.array(extra),
        write_dir=str(tmp_path),
    )
    agree(tmp_path / "x")


@pytest.mark.realdata
def test_the_real_file_is_read_as_wfdb_reads_it(realdata):
    agree(realdata / "mitdb" / "100")
    assert len(read_annotations(realdata / "mitdb" / "100").sample_N) == 2274


def test_the_note_on_the_rate_shifts_nothing(tmp_path):
    wfdb.wrann("x", "atr", np.array([5, 2000]), symbol=["N", "V"], fs=250, write_dir=str(tmp_path))
    found = read_annotations(tmp_path / "x")
    beats = found.symbol_N != '"'  # wfdb keeps the rate in a note at sample 0, which its reader takes out
    assert found.sample_N[beats].tolist() == [5, 2000]
    assert found.symbol_N[beats].tolist() == ["N", "V"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "missing file"), (b"\x01\x04\x00", "annotations"), (b"\x01\x04\x05\xfcab", "annotations")],
)
def test_a_file_that_is_missing_or_cut_off_is_told(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "x.atr").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"x\.atr") as caught:
        read_annotations(tmp_path / "x")
    assert caught.value.reason == reason


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_told(tmp_path, content):
    (tmp_path / "x.atr").write_bytes(content)
    try:
        found = read_annotations(tmp_path / "x")
    except UnreadableError:
        return
    assert len(found.sample_N) == len(found.symbol_N)
    assert all(0 <= position < len(found.sample_N) for position in found.notes)


def test_an_empty_file_has_no_annotations(tmp_path):
    (tmp_path / "x.atr").write_bytes(b"")
    found = read_annotations(tmp_path / "x")
    assert len(found.sample_N) == len(found.symbol_N) == len(found.notes) == 0
