"""Plain WFDB records: our own path against the package wfdb, on generated headers and on every real record; windows; comments."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray.datasets import UnreadableError, _wfdb, lead_name
from clef_ray.datasets._header import parse
from clef_ray.datasets._wfdb import Header, read_header, read_wfdb
from clef_ray.signal import INVALID_SAMPLE

UNITS = {"mV": 1.0, "MV": 1.0, "uV": 1e3, "nV": 1e6, "V": 1e-3, "": 1.0}


@pytest.fixture
def plain_only(monkeypatch):
    """Whatever steps aside for wfdb is an error."""

    def aside(path, *_):
        raise AssertionError(f"{path.name} went through wfdb")

    monkeypatch.setattr(_wfdb, "read_any", aside)
    monkeypatch.setattr(_wfdb, "read_any_header", aside)


def assert_as_wfdb(path):
    ours, header = read_wfdb(path), read_header(path)
    theirs = wfdb.rdrecord(str(path), physical=False)
    leads = tuple(lead_name(name) for name in theirs.sig_name)
    np.testing.assert_array_equal(ours.raw_CT, theirs.d_signal.T)
    assert ours.raw_CT.dtype == np.int16
    assert ours.raw_CT.flags.c_contiguous
    assert (ours.fs, ours.leads) == (theirs.fs, leads)
    np.testing.assert_array_equal(ours.baseline_C, np.float32(theirs.baseline))
    if {unit.lower() for unit in theirs.units} == {"mv"}:
        np.testing.assert_array_equal(ours.gain_C, np.float32(theirs.adc_gain))
    assert header == Header(
        theirs.record_name, float(theirs.fs), theirs.sig_len, leads, tuple(theirs.comments)
    )


@st.composite
def records(draw):
    """(samples [T, C], header lines) in every spelling that counts as plain."""
    leads, samples = draw(st.integers(1, 13)), draw(st.integers(1, 40))
    numbers = st.integers(-32768, 32767)
    raw_TC = np.array(draw(st.lists(numbers, min_size=leads * samples, max_size=leads * samples)))
    raw_TC = raw_TC.reshape(samples, leads).astype("<i2")
    gap = draw(st.sampled_from([" ", "  ", "\t", " \t "]))
    offset = draw(st.sampled_from([0, 24, 7]))
    kind = draw(st.sampled_from(["16", "16x1"])) + (f"+{offset}" if offset else "")
    signed = draw(st.booleans())
    fs = draw(st.sampled_from(["500", "250.0", "128.5", "1000"]))
    lines = [
        gap.join(["r", str(leads), fs, str(samples)]) + draw(st.sampled_from(["", " 12:30:00 01/02/2003"]))
    ]
    for c in range(leads):
        total = int(raw_TC[:, c].sum(dtype=np.int64)) % 65536
        total = total - 65536 if signed and total > 32767 else total
        baseline = draw(st.sampled_from(["", "(0)", "(-30)", "(1024)"]))
        gain = draw(st.sampled_from(["1000", "200.5", "4.88e2", "1000.0"])) + baseline
        unit = draw(st.sampled_from(sorted(UNITS)))
        name = draw(st.sampled_from(["I", "AVR", "v1", "MLII", "ECG lead 1", "a/b (c)"]))
        fields = [
            "r.dat",
            kind,
            gain + (f"/{unit}" if unit else ""),
            "16",
            draw(st.sampled_from(["0", "-7"])),
        ]
        lines.append(gap.join([*fields, str(raw_TC[0, c]), str(total), "0", name]))
    comments = draw(st.lists(st.sampled_from(["#Age: 53", "# Sex: Female ", "#", "  #Dx: 1,2"]), max_size=3))
    return raw_TC, offset, lines + comments, draw(st.sampled_from(["\n", "\r\n", "\n\n"]))


def write(folder, raw_TC, offset, lines, end):
    (folder / "r.dat").write_bytes(b"\x01" * offset + raw_TC.tobytes())
    (folder / "r.hea").write_bytes((end.join(lines) + end).encode())
    return folder / "r"


@settings(max_examples=40)
@given(record=records())
def test_plain_records_are_what_wfdb_reads_whatever_their_spelling(tmp_path_factory, record):
    path = write(tmp_path_factory.mktemp("wfdb"), *record)
    assert parse(path.with_suffix(".hea").read_bytes()) is not None
    assert_as_wfdb(path)


@settings(max_examples=40)
@given(record=records(), data=st.data())
def test_a_window_is_that_part_of_the_record(tmp_path_factory, record, data):
    path = write(tmp_path_factory.mktemp("wfdb"), *record)
    whole = read_wfdb(path).raw_CT
    start = data.draw(st.integers(0, whole.shape[1] - 1))
    stop = data.draw(st.none() | st.integers(start + 1, whole.shape[1]))
    np.testing.assert_array_equal(read_wfdb(path, start, stop).raw_CT, whole[:, start:stop])


@settings(max_examples=40)
@given(record=records())
def test_units_become_millivolts(tmp_path_factory, record):
    """Against wfdb's own physical values, converted by hand."""
    path = write(tmp_path_factory.mktemp("wfdb"), *record)
    theirs = wfdb.rdrecord(str(path))
    per_mv = np.array([UNITS[unit] for unit in theirs.units])
    np.testing.assert_allclose(
        read_wfdb(path).millivolts(), theirs.p_signal.T / per_mv[:, None], rtol=1e-5, atol=1e-9
    )


@pytest.fixture
def folder(tmp_path):
    raw_TC = np.arange(60, dtype="<i2").reshape(20, 3)
    lines = ["r 3 500 20"]
    lines += [
        f"r.dat 16 1000/mV 16 0 {raw_TC[0, c]} {raw_TC[:, c].sum()} 0 {name}" for c, name in enumerate("abc")
    ]
    return write(tmp_path, raw_TC, 0, lines, "\n").parent


@pytest.mark.usefixtures("plain_only")
def test_a_window_reads_only_its_own_bytes(folder):
    """What lies outside may be damaged: the checksum is a promise about all samples."""
    data = bytearray((folder / "r.dat").read_bytes())
    data[0] ^= 1
    (folder / "r.dat").write_bytes(data)
    assert read_wfdb(folder / "r", 5, 7).raw_CT.tolist() == [[15, 18], [16, 19], [17, 20]]
    with pytest.raises(UnreadableError, match="checksum: r: lead a"):
        read_wfdb(folder / "r")


@pytest.mark.parametrize("window", [(0, 21), (20, None), (5, 5), (7, 3), (-3, None)])
def test_a_window_that_is_not_there_is_a_matter_of_length(folder, window):
    with pytest.raises(UnreadableError, match="20 samples, asked for") as caught:
        read_wfdb(folder / "r", *window)
    assert caught.value.reason == "length"


def test_only_zeros_for_checksums_are_none_but_one_zero_is(folder):
    """Every header of CinC2017 has 0 there."""
    header = (folder / "r.hea").read_text()
    sums = [f" {sum(range(c, 60, 3))} 0 " for c in range(3)]
    none, one = header, header.replace(sums[1], " 0 0 ")
    for told in sums:
        none = none.replace(told, " 0 0 ")
    (folder / "r.hea").write_text(none)
    assert read_wfdb(folder / "r").raw_CT.shape == (3, 20)
    (folder / "r.hea").write_text(one)
    with pytest.raises(UnreadableError, match="checksum: r: lead b"):
        read_wfdb(folder / "r")


def test_a_micro_sign_is_no_volt(folder):
    """Left out, as what is not ASCII is elsewhere, it would make the signal a million times as large. In a comment it is harmless."""
    header = (folder / "r.hea").read_text()
    for encoding in ("utf-8", "latin-1"):
        (folder / "r.hea").write_bytes(header.replace("/mV", "/µV").encode(encoding))
        with pytest.raises(UnreadableError, match="header: r: a signal line has characters"):
            read_wfdb(folder / "r")
    (folder / "r.hea").write_bytes((header + "#Größe: 180\n").encode())
    assert read_header(folder / "r").comments == ("Gre: 180",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r 3 500 20", "r/1 3 500 20"),  # segments
        ("r 3 500 20", "r 3 500/1000 20"),  # a counter
        ("r 3 500 20", "r 3 500"),  # no length
        ("r 3 500 20", "r 3 0 20"),
        ("r 3 500 20", "r 2 500 20"),
        (" 16 1000", " 16x2 1000"),  # samples per frame
        (" 16 1000", " 16:3 1000"),  # skew
        ("1000/mV", "0/mV"),
        ("1000/mV", "-1000/mV"),
        ("1000/mV", "1000/mmHg"),
        (" 0 a", ""),  # no lead
        ("r.dat", "~"),
        ("r.dat", "../r.dat"),
    ],
)
def test_what_is_unusual_is_left_to_wfdb(folder, old, new):
    header = (folder / "r.hea").read_text()
    assert parse(header.encode()) is not None
    assert parse(header.replace(old, new).encode()) is None


@pytest.mark.realdata
@pytest.mark.usefixtures("plain_only")
@pytest.mark.parametrize(
    ("corpus", "count"),
    [
        ("ptbxl_subset/records500", 500),
        ("ptbxl_subset/records100/00000", 999),
        ("challenge2021_multisource", 33),
        ("cinc2017_subset", 120),
        ("code15_subset", 30),
    ],
)
def test_real_records_are_plain_and_what_wfdb_reads(realdata: Path, corpus, count):
    headers = sorted((realdata / corpus).rglob("*.hea"))
    assert len(headers) == count
    for header in headers[:: 1 + count // 40]:
        assert_as_wfdb(header.with_suffix(""))


def test_an_invalid_sample_stays_one(folder):
    raw_TC = np.frombuffer((folder / "r.dat").read_bytes(), dtype="<i2").copy()
    raw_TC[4] = INVALID_SAMPLE
    (folder / "r.dat").write_bytes(raw_TC.tobytes())
    assert np.argwhere(np.isnan(read_wfdb(folder / "r", 0, 19).millivolts())).tolist() == [[1, 1]]
