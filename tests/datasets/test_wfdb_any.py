"""WFDB records that are not plain, each against what the package wfdb makes of them or against numbers laid down by hand; broken ones."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from clef_ray.datasets import UnreadableError
from clef_ray.datasets._wfdb import read_header, read_wfdb
from clef_ray.signal import INVALID_SAMPLE

#: Format -> the largest sample it holds, and the value that marks an invalid one.
LIMITS = {
    "80": (127, -128),
    "212": (2047, -2048),
    "310": (511, -512),
    "311": (511, -512),
    "16": (32767, -32768),
    "24": (8_000_000, -(2**23)),
    "32": (2_000_000_000, -(2**31)),
}


def pack_310(flat):
    """Three samples of 10 bits in two words of 16: bits 1-10 of each hold one, bit 11-15 of both the third."""
    a, b, c = np.concatenate([flat, np.zeros(-len(flat) % 3, dtype=int)]).reshape(-1, 3).T & 1023
    words = np.stack([a << 1 | (c & 31) << 11, b << 1 | (c >> 5) << 11], axis=1)
    return words.astype("<u2").tobytes()


def pack_311(flat):
    """Three samples of 10 bits in a word of 32, from the lowest bit on."""
    a, b, c = np.concatenate([flat, np.zeros(-len(flat) % 3, dtype=int)]).reshape(-1, 3).T & 1023
    return (a | b << 10 | c << 20).astype("<u4").tobytes()


#: Formats that wfdb does not write.
PACKED = {"310": pack_310, "311": pack_311}


def samples(limit, leads=3, length=301):
    return np.random.default_rng(0).integers(-limit, limit + 1, size=(length, leads))


def write(folder, raw_TC, formats, *, files=None, gain=1000.0, units="mV", **more):
    """A record of one or several files, by wfdb itself."""
    leads = raw_TC.shape[1]
    record = wfdb.Record(
        record_name="r",
        n_sig=leads,
        fs=360,
        sig_len=len(raw_TC),
        file_name=files or ["r.dat"] * leads,
        fmt=formats if isinstance(formats, list) else [formats] * leads,
        adc_gain=[gain] * leads,
        baseline=[3] * leads,
        units=[units] * leads,
        sig_name=["MLII", "v1", "AVF"][:leads],
        d_signal=raw_TC,
        **more,
    )
    record.set_d_features()
    record.set_defaults()
    record.wrheader(write_dir=str(folder))
    if isinstance(formats, str) and formats in PACKED:
        (folder / "r.dat").write_bytes(PACKED[formats](raw_TC.ravel()))
    else:
        record.wr_dats(expanded=False, write_dir=str(folder))
    return folder / "r"


@pytest.mark.parametrize("kind", ["80", "212", "310", "311"])
@pytest.mark.parametrize("length", [300, 301, 302])
def test_formats_of_at_most_16_bits_stay_raw(tmp_path, kind, length):
    limit, mark = LIMITS[kind]
    raw_TC = samples(limit, length=length)
    raw_TC[5, 1] = mark
    path = write(tmp_path, raw_TC, kind)
    signal = read_wfdb(path)
    expected_TC = np.where(raw_TC == mark, INVALID_SAMPLE, raw_TC)
    np.testing.assert_array_equal(signal.raw_CT, expected_TC.T)
    assert signal.raw_CT.dtype == np.int16
    assert (signal.fs, signal.leads) == (360, ("MLII", "V1", "aVF"))
    np.testing.assert_allclose(signal.millivolts(), wfdb.rdrecord(str(path)).p_signal.T, rtol=1e-6)
    np.testing.assert_array_equal(read_wfdb(path, 7, 100).raw_CT, expected_TC.T[:, 7:100])


@pytest.mark.parametrize("kind", ["24", "32"])
def test_wider_formats_come_in_microvolts(tmp_path, kind):
    limit, mark = LIMITS[kind]
    raw_TC = samples(limit)
    raw_TC[5, 1] = mark
    path = write(tmp_path, raw_TC, kind, gain=limit / 10)  # +-10 mV
    signal = read_wfdb(path)
    expected_CT = wfdb.rdrecord(str(path)).p_signal.T
    assert np.argwhere(np.isnan(signal.millivolts())).tolist() == [[1, 5]]
    np.testing.assert_allclose(signal.millivolts(), expected_CT, atol=0.0005001)
    assert signal.gain_C.tolist() == [1000.0] * 3


def test_format_8_of_differences_gives_the_same_window_as_the_whole(tmp_path):
    raw_TC = np.cumsum(np.random.default_rng(0).integers(-100, 101, size=(301, 2)), axis=0)
    differences_TC = np.diff(raw_TC, axis=0, prepend=raw_TC[:1]).astype("<i1")
    (tmp_path / "r.dat").write_bytes(differences_TC.tobytes())
    lines = [f"r.dat 8 200/mV 12 0 {raw_TC[0, c]} {raw_TC[:, c].sum() % 65536} 0 lead{c}" for c in (0, 1)]
    (tmp_path / "r.hea").write_text("\n".join(["r 2 250 301", *lines]))
    whole_CT = read_wfdb(tmp_path / "r").millivolts()
    np.testing.assert_allclose(whole_CT, raw_TC.T / 200, atol=1e-6)
    np.testing.assert_array_equal(read_wfdb(tmp_path / "r", 100, 150).millivolts(), whole_CT[:, 100:150])


def test_several_signal_files_of_several_formats(tmp_path):
    raw_TC = samples(500)
    path = write(tmp_path, raw_TC, ["16", "212", "212"], files=["r.dat", "r.xyz", "r.xyz"])
    np.testing.assert_array_equal(read_wfdb(path).raw_CT, raw_TC.T)
    (tmp_path / "r.xyz").unlink()
    with pytest.raises(UnreadableError, match=r"missing file: r\.xyz"):
        read_wfdb(path)


def test_several_samples_per_frame_are_averaged_and_an_invalid_one_makes_the_mean_invalid(tmp_path):
    """Two samples of the first lead for each of the second, laid down by hand."""
    frames = np.array([[10, 20, 5], [30, INVALID_SAMPLE, 6], [-10, 0, 7]], dtype="<i2")
    (tmp_path / "r.dat").write_bytes(frames.tobytes())
    header = "r 2 100 3\nr.dat 16x2 1000(0)/mV 16 0 0 0 0 I\nr.dat 16 1000(0)/uV 16 0 0 0 0 II\n"
    (tmp_path / "r.hea").write_text(header)
    signal = read_wfdb(tmp_path / "r")
    assert signal.raw_CT.tolist() == [[15, INVALID_SAMPLE, -5], [0, 0, 0]]
    assert (signal.fs, signal.gain_C.tolist()) == (100, [1000, 1000])
    assert read_wfdb(tmp_path / "r", 2, 3).raw_CT.tolist() == [[-5], [0]]


def test_skewed_leads_are_aligned(tmp_path):
    frames = np.arange(20, dtype="<i2").reshape(10, 2)
    (tmp_path / "r.dat").write_bytes(frames.tobytes())
    header = "r 2 100 10\nr.dat 16 1000(0)/mV 16 0 0 0 0 I\nr.dat 16:2 1000(0)/mV 16 0 1 0 0 II\n"
    (tmp_path / "r.hea").write_text(header)
    expected = [list(range(0, 20, 2)), [*range(5, 20, 2), INVALID_SAMPLE, INVALID_SAMPLE]]
    assert read_wfdb(tmp_path / "r").raw_CT.tolist() == expected


def test_segments_and_the_gap_between_them(tmp_path):
    raw_TC = samples(1000, leads=1, length=40)
    for name, part in (("a", raw_TC[:25]), ("b", raw_TC[25:])):
        (tmp_path / f"{name}.dat").write_bytes(part.astype("<i2").tobytes())
        (tmp_path / f"{name}.hea").write_text(
            f"{name} 1 100 {len(part)}\n{name}.dat 16 1000(0)/mV 16 0 0 0 0 I\n"
        )
    (tmp_path / "layout.hea").write_text("layout 1 100 0\n~ 0 1000(0)/mV 16 0 0 0 0 I\n")
    (tmp_path / "r.hea").write_text("r/4 1 100 50\nlayout 0\na 25\n~ 10\nb 15\n")
    expected = [*raw_TC[:25, 0], *[INVALID_SAMPLE] * 10, *raw_TC[25:, 0]]
    assert read_wfdb(tmp_path / "r").raw_CT.tolist() == [expected]
    assert read_wfdb(tmp_path / "r", 20, 40).raw_CT.tolist() == [expected[20:40]]
    header = read_header(tmp_path / "r")
    assert (header.samples, header.leads) == (50, ("I",))
    text = (tmp_path / "b.hea").read_text()
    (tmp_path / "b.hea").write_text(text.replace("1000(0)/mV", "0"))
    with pytest.raises(UnreadableError, match="not calibrated"):
        read_wfdb(tmp_path / "r")
    (tmp_path / "b.hea").unlink()
    with pytest.raises(UnreadableError, match=r"missing file: b\.hea"):
        read_wfdb(tmp_path / "r")


def test_a_header_without_a_length_takes_the_files(tmp_path):
    raw_TC = samples(1000)
    path = write(tmp_path, raw_TC, "16")
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("r 3 360 301", "r 3 360"))
    np.testing.assert_array_equal(read_wfdb(path).raw_CT, raw_TC.T)
    np.testing.assert_array_equal(read_wfdb(path, 10, 20).raw_CT, raw_TC.T[:, 10:20])
    with pytest.raises(UnreadableError, match="header: r: no number of samples"):
        read_header(path)
    path.with_suffix(".dat").write_bytes(b"")
    with pytest.raises(UnreadableError) as caught:
        read_wfdb(path)
    assert caught.value.reason == "length"


def replace_header(old, new):
    def damage(path):
        text = path.with_suffix(".hea").read_text()
        assert old in text
        path.with_suffix(".hea").write_text(text.replace(old, new))

    return damage


def change_data(change):
    def damage(path):
        data = path.with_suffix(".dat")
        data.write_bytes(change(bytearray(data.read_bytes())))

    return damage


def _cut(fields):
    """Every signal line with its first fields only."""

    def damage(path):
        first, *lines = path.with_suffix(".hea").read_text().splitlines()
        path.with_suffix(".hea").write_text(
            "\n".join([first, *(" ".join(line.split()[:fields]) for line in lines)])
        )

    return damage


def flip(data):
    data[10] ^= 1
    return data


BROKEN = {
    "no header": (lambda path: path.with_suffix(".hea").unlink(), "missing file"),
    "no samples file": (lambda path: path.with_suffix(".dat").unlink(), "missing file"),
    "another file's name": (replace_header("r.dat", "s.dat"), "missing file"),
    "truncated": (change_data(lambda data: data[:-3]), "header and signal disagree"),
    "no bytes": (change_data(lambda _: b""), "header and signal disagree"),
    "one bit flipped": (change_data(flip), "checksum"),
    "no samples": (replace_header("r 3 360 301", "r 3 360 0"), "length"),
    "more samples than memory": (
        replace_header("r 3 360 301", "r 3 360 99999999999999"),
        "header and signal disagree",
    ),
    "fewer leads": (replace_header("r 3 360", "r 2 360"), "header"),
    "no leads": (replace_header("r 3 360", "r 0 360"), "header"),
    "no rate": (replace_header("r 3 360", "r 3 0"), "header"),
    "a rate that is no number": (replace_header("r 3 360", "r 3 abc"), "header"),
    "a gain of 0": (replace_header(" 1000.0(3)/mV", " 0(3)/mV"), "header"),
    "an unknown unit": (replace_header("/mV", "/mmHg"), "header"),
    "an unknown format": (replace_header(".dat ", ".dat 9"), "header"),
    "no lead names": (_cut(-1), "header"),
    "nothing but file and format": (_cut(2), "header"),
    "nothing": (lambda path: path.with_suffix(".hea").write_bytes(b""), "header"),
    "garbage": (lambda path: path.with_suffix(".hea").write_bytes(bytes(range(256))), "header"),
}


@pytest.mark.parametrize("kind", ["16", "212", "24"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_is_told_with_its_reason_on_both_paths(tmp_path, kind, case):
    path = write(tmp_path, samples(LIMITS["212"][0]), kind)
    read_wfdb(path)
    damage, reason = BROKEN[case]
    damage(path)
    with pytest.raises(UnreadableError) as caught:
        read_wfdb(path)
    assert caught.value.reason == reason
    assert str(tmp_path) not in str(caught.value)


def test_no_damage_to_a_header_escapes_as_another_error(tmp_path):
    path = write(tmp_path, samples(2000), "212")
    header = path.with_suffix(".hea")
    good, rng = header.read_bytes(), np.random.default_rng(0)
    told = set()
    for _ in range(300):
        bad = bytearray(good)
        for at in rng.integers(len(bad), size=rng.integers(1, 4)):
            bad[at] = rng.choice(list(b" \t\n0123456789/()+-.:x~#abIV\xb5"))
        header.write_bytes(bytes(bad))
        for read in (read_wfdb, read_header):
            try:
                read(path)
            except UnreadableError as error:
                told.add(error.reason)
    assert {"header", "missing file", "checksum"} <= told


@pytest.mark.realdata
def test_two_real_signal_files_and_a_real_long_record(realdata: Path):
    for name, header in (
        ("ptbdb/s0010_re", (1000.0, 38400, 15, "I", 2000.0)),
        ("mitdb/100", (360.0, 650_000, 2, "MLII", 200.0)),
    ):
        signal, theirs = read_wfdb(realdata / name), wfdb.rdrecord(str(realdata / name))
        assert (signal.fs, *signal.raw_CT.shape[::-1], signal.leads[0], signal.gain_C[0]) == header
        np.testing.assert_allclose(signal.millivolts(), theirs.p_signal.T, atol=1e-5)
    assert read_header(realdata / "mitdb/100").comments == ("69 M 1085 1629 x1", "Aldomet, Inderal")
    window = read_wfdb(realdata / "mitdb/100", 1001, 1361)
    np.testing.assert_array_equal(window.raw_CT, signal.raw_CT[:, 1001:1361])
