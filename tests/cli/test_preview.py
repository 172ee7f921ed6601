"""`--preview`: the numbers are of all records and of none by itself, and the picture has paper's scale."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread
from ptbxl_folder import write_ptbxl
from rich.console import Console

from clef_ray.cli import preview
from clef_ray.cli.ecg_paper import LONGEST, ROW, Strip, _plan, _span, draw
from clef_ray.datasets import LEADS
from clef_ray.errors import StorageError
from clef_ray.registry import DATASETS

DPI = 130


def shown(name, picture, capsys, **options):
    code = preview.run(name, DATASETS.options(name, options), str(picture))
    return code, re.sub(r"\s+", " ", capsys.readouterr().out)


def test_it_shows_the_mapping_and_writes_the_picture(tmp_path, capsys):
    folder, picture = write_ptbxl(tmp_path / "ptbxl"), tmp_path / "look.png"
    code, text = shown("ptbxl", picture, capsys, root=str(folder))
    assert code == 0
    assert "records 20" in text
    assert "patients 19 (most records of one: 2)" in text
    assert "leads I II III aVR" in text
    assert "100 Hz" in text
    assert re.search(r"superclass \(headline\)\W+[\d.]+%\W+NORM \d+, MI \d+", text)
    assert re.search(r"age\W+years\W+\d+\.\d%", text)
    assert f"picture (3 drawn): {picture}" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_the_dataset_warns_of_and_leaves_out_is_a_note(tmp_path, capsys):
    np.save(tmp_path / "one.npy", np.random.default_rng(1).normal(0, 0.1, (2, 5000)))
    (tmp_path / "records.csv").write_text("name,pressure\none,120\ntwo,999\n")
    (tmp_path / "map.yaml").write_text(
        "table: records.csv\nrecord: name\npath: '{name}.npy'\nformat: npy\nleads: [I, II]\nrate: 500\ncovariates: {sbp: pressure}\n"
    )
    _, text = shown("generic", tmp_path / "a.png", capsys, map=str(tmp_path / "map.yaml"))
    assert "Note: map.yaml names no `patient` column" in text
    assert "values that no person can have, taken as unknown: sbp 1" in text
    assert "not drawn: row 2: missing file" in text


def test_few_values_are_not_described_by_quartiles(tmp_path, capsys):
    """Quartiles of two patients are the patients."""
    _, text = shown("synthetic", tmp_path / "a.png", capsys, patients=12, seed=1)
    assert f"of fewer than {preview.ENOUGH} patients" in text
    _, text = shown("synthetic", tmp_path / "a.png", capsys, patients=60, seed=1)
    table = DATASETS.get("synthetic")(patients=60, seed=1).table()
    low, middle, high = np.percentile(table["age"], (25, 50, 75))
    assert f"{low:.4g} {middle:.4g} {high:.4g}" in text
    assert f"{table['sex'].mean():.1%}" in text


def test_many_records_of_one_patient_are_not_described_by_quartiles(capsys):
    """The quartiles of a thousand windows of one person are that person's age."""
    table = DATASETS.get("synthetic")(patients=60, seed=1).table()
    windows = table.iloc[[0] * 100].assign(record=[f"w{n}" for n in range(100)])
    Console(width=200).print(preview._numbers(DATASETS.get("synthetic")(patients=60, seed=1), windows))
    text = capsys.readouterr().out
    assert f"of fewer than {preview.ENOUGH} patients" in text
    assert f"{windows['age'].iloc[0]:.4g}" not in text


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"age": 0, "sbp": 2}, ["values that no person can have, taken as unknown: sbp 2"]),
        ({"age": 0}, []),
    ],
)
def test_nothing_is_said_of_what_was_not_left_out(counts, told):
    """`age 0` would read as an age."""
    assert list(preview._notes(SimpleNamespace(parameters=lambda: {"implausible": counts}))) == told


def test_records_that_cannot_be_read_are_passed_over_and_told(tmp_path, capsys):
    folder = write_ptbxl(tmp_path / "ptbxl")
    files = sorted(folder.rglob("*_lr.dat"))
    files[0].unlink()
    code, text = shown("ptbxl", tmp_path / "a.png", capsys, root=str(folder))
    assert code == 0
    assert "not drawn: row 1: missing file" in text
    assert "picture (3 drawn)" in text
    for file in files[1:]:
        file.unlink()
    code, text = shown("ptbxl", tmp_path / "b.png", capsys, root=str(folder))
    assert code == 1
    assert "none of the 20 records tried can be read" in text
    assert "not drawn: rows 1, 11, 20 and 17 more: missing file" in text
    assert not (tmp_path / "b.png").exists()


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        preview.run(
            "synthetic", DATASETS.options("synthetic", {"patients": 5}), str(tmp_path / "no" / "a.png")
        )


def test_records_to_draw_lie_all_over_the_table():
    assert preview._spaced(1) == [0]
    assert preview._spaced(2) == [0, 1]
    assert preview._spaced(1001)[:3] == [0, 500, 1000]
    assert len(preview._spaced(10**6)) == preview.TRIED == len(set(preview._spaced(10**6)))


# The picture


def dark(png):
    """[rows, columns] of ink, from the top."""
    return imread(io.BytesIO(png))[:, :, :3].max(axis=2) < 0.2


def pulse(fs=500.0, seconds=5.0):
    """1 mV for the second second."""
    mv_T = np.zeros(round(seconds * fs), dtype=np.float32)
    mv_T[round(fs) : round(2 * fs)] = 1
    return mv_T


def test_one_millivolt_is_ten_millimetres_and_one_second_twenty_five():
    ink = dark(draw([Strip("", pulse()[None], 500.0, ("I",))]))
    # the two flanks of the pulse are the only vertical lines of 1 mV; names and numbers are shorter
    mm = DPI / 25.4
    high = np.array(
        [
            max((len(run) for run in "".join("x" if p else " " for p in column).split()), default=0)
            for column in ink.T
        ]
    )
    flanks = np.flatnonzero(high > 8 * mm)
    assert flanks.max() - flanks.min() == pytest.approx(25 * mm, abs=2)
    assert high.max() == pytest.approx(10 * mm, abs=2)


def test_twelve_leads_are_drawn_in_columns_and_others_in_rows():
    rng = np.random.default_rng(1)
    twelve = draw([Strip("", rng.normal(0, 0.1, (12, 5000)).astype(np.float32), 500.0, LEADS)])
    fifteen = draw(
        [Strip("", rng.normal(0, 0.1, (15, 5000)).astype(np.float32), 500.0, (*LEADS, "vx", "vy", "vz"))]
    )
    two = draw([Strip("", rng.normal(0, 0.1, (2, 5000)).astype(np.float32), 500.0, ("MLII", "V5"))])
    assert dark(twelve).shape == dark(fifteen).shape  # the standard leads of both
    assert dark(two).shape[0] < 0.7 * dark(twelve).shape[0]


def test_gaps_flat_leads_nothing_but_gaps_and_long_records_can_be_drawn():
    mv = np.zeros((3, 20_000), dtype=np.float32)
    mv[1, 100:300] = np.nan
    mv[2] = np.nan
    strip = Strip("", mv, 500.0, ("I", "II", "III"))
    assert strip.seconds == LONGEST
    assert draw([strip, Strip("", mv[:, :50], 500.0, ("I", "II", "III"))]).startswith(b"\x89PNG")


def test_an_offset_does_not_leave_the_page():
    """Each lead is drawn around its median: 100 mV of electrode offset would show nothing."""
    near, far = (dark(draw([Strip("", pulse()[None] + offset, 500.0, ("I",))])) for offset in (0.0, 100.0))
    assert abs(int(near.sum()) - int(far.sum())) < 0.02 * near.sum()


def test_a_deep_wave_of_a_middle_row_stays_on_the_page():
    """Tall waves run into the next row, but not out of the picture."""
    mv = np.zeros((12, 5000), dtype=np.float32)
    mv[LEADS.index("V2"), 3000:3050] = -7  # in the second of four rows
    assert (
        dark(draw([Strip("", mv, 500.0, LEADS)])).shape[0]
        > dark(draw([Strip("", mv * 0, 500.0, LEADS)])).shape[0]
    )
    strip = Strip("", mv, 500.0, LEADS)
    bottom, top = _span(strip, _plan(strip))
    assert bottom < -7 - ROW
    assert top == 0.5 * ROW
