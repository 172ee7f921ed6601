"""MIT-BIH: beats, windows and the inter-patient split, by hand and on the real record."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import wfdb
from layouts import mitdb as layout

from clef_ray.datasets import UnreadableError
from clef_ray.datasets.mitdb import DS2, PACED, Mitdb, _folds
from clef_ray.errors import ConfigError, DataError

DS1 = [
    101,
    106,
    108,
    109,
    112,
    114,
    115,
    116,
    118,
    119,
    122,
    124,
    201,
    203,
    205,
    207,
    208,
    209,
    215,
    220,
    223,
    230,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mitdb")
    layout.write(path)
    return path


def test_a_window_is_centred_on_each_beat_that_has_a_class(folder):
    table = Mitdb(str(folder)).table().set_index("record")
    # Samples 2000, 3000, 9000, 12000 less 1800; the beat at 21500 is too near to the end; "~" and "+" are no beats.
    assert table[table["file"] == "100"]["label_beat"].to_dict() == {
        "100-000200": ["N"],
        "100-001200": ["S"],
        "100-007200": ["V"],
        "100-010200": ["Q"],
    }
    assert table[table["file"] == "202"]["label_beat"].tolist() == [["N"], ["N"], ["S"]], "L, e, J"


def test_regular_windows_have_the_classes_that_occur(folder):
    table = Mitdb(str(folder), windows="regular").table().set_index("record")
    found = table[table["file"] == "100"]["label_beat"].to_dict()
    assert found == {
        "100-000000": ["N", "S"],
        "100-003600": None,
        "100-007200": ["V"],
        "100-010800": ["Q"],
        "100-014400": None,
        "100-018000": ["F"],
    }


def test_per_patient_limits_the_windows_by_seed(folder):
    def drawn(**options):
        return Mitdb(str(folder), windows="regular", per_patient=2, **options).table()["record"].tolist()

    assert Counter(record[:3] for record in drawn()) == {"100": 2, "114": 2, "201": 2, "202": 2}
    assert drawn() == drawn()
    assert len({tuple(drawn(seed=seed)) for seed in range(5)}) > 1
    of_class = Mitdb(str(folder), per_patient=1).table()
    assert of_class[of_class["file"] == "202"]["label_beat"].tolist() in ([["N"], ["S"]], [["S"], ["N"]])


def test_age_and_sex_stand_in_the_comments(folder):
    dataset = Mitdb(str(folder))
    people = dataset.table().groupby("file")[["age", "sex"]].first().to_dict("index")
    assert people["100"] == {"age": 69.0, "sex": 0.0}
    assert people["114"] == {"age": 54.0, "sex": 1.0}
    assert people["202"]["sex"] == 0.0
    assert np.isnan(people["202"]["age"])
    assert dataset.parameters()["without_age"] == 1
    patients = dataset.table().groupby("file")["patient"].unique().map(list).to_dict()
    assert patients == {"100": ["100"], "114": ["114"], "201": ["201"], "202": ["201"]}


def test_paced_records_and_records_without_the_lead_are_left_out(folder):
    assert set(Mitdb(str(folder)).table()["file"]) == {"100", "114", "201", "202"}
    with pytest.raises(DataError, match=r"no record in .* has lead 'V2'"):
        Mitdb(str(folder), lead="V2").table()  # only a paced one has it
    with_paced = Mitdb(str(folder), paced=True, lead="V2")
    assert with_paced.table()["label_beat"].tolist() == [["Q"]]
    assert with_paced.parameters()["without_lead"] == 4
    assert with_paced.leads == ("V2",)
    with pytest.raises(DataError, match=r"no record in .* has lead 'aVF'"):
        Mitdb(str(folder), lead="aVF").table()


@pytest.mark.parametrize(
    "option",
    [
        {"windows": "regular"},
        {"seconds": 5.0},
        {"fs": 250.0},
        {"lead": "V1"},
        {"per_patient": 1},
        {"seed": 1},
        {"paced": True},
    ],
)
def test_parameters_tell_options_apart(folder, option):
    assert option.items() <= Mitdb(str(folder), **option).parameters().items()


def test_a_window_is_what_wfdb_reads(folder):
    dataset = Mitdb(str(folder))
    for row in dataset.table().to_dict("records"):
        signal = dataset.signal(row)
        start, stop = row["start"], row["start"] + 3600
        expected = wfdb.rdrecord(str(folder / row["file"]), sampfrom=start, sampto=stop).p_signal.T
        np.testing.assert_allclose(signal.millivolts(), expected, atol=1e-6)
        assert signal.leads == layout.ROWS[row["file"]][0]


def test_the_split_is_the_published_one_but_for_the_patient_on_both_sides():
    """De Chazal's lists, written down anew: 22 + 22 records, and the four paced ones make 48."""
    recordings = [*map(str, DS1), *sorted(DS2), *PACED]
    assert len(set(recordings)) == 48
    patients = ["201" if name == "202" else name for name in recordings]
    fold = dict(zip(recordings, _folds(recordings, patients).tolist(), strict=True))
    assert {name for name, f in fold.items() if f == 10} == DS2 - {"202"}
    assert {name for name, f in fold.items() if f == 9} == {"203", "220", "223"}
    assert fold["201"] == fold["202"] <= 8
    assert all(fold[name] <= 8 for name in PACED)
    assert pd.Series(fold).isin(range(1, 11)).all()


def test_what_can_be_wrong_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"mitdb\.per_patient is -1"):
        Mitdb(str(tmp_path), per_patient=-1)
    (tmp_path / "README").write_text("nothing")
    with pytest.raises(DataError, match=r"has no records \(100\.hea"):
        Mitdb(str(tmp_path)).table()
    layout.write(tmp_path)
    (tmp_path / "114.atr").unlink()
    with pytest.raises(UnreadableError, match=r"missing file: 114\.atr"):
        Mitdb(str(tmp_path)).table()


@pytest.mark.realdata
def test_the_real_record(realdata):
    dataset = Mitdb(str(realdata / "mitdb"), seconds=1.0)
    table = dataset.table()
    # The database's tables list 2239 normal, 33 atrial premature, 1 ventricular beat; the two first are too near to the ends.
    assert Counter(labels[0] for labels in table["label_beat"]) == {"N": 2237, "S": 33, "V": 1}
    assert table["age"].unique().tolist() == [69.0]
    assert table["fold"].unique().tolist() == [10]
    row = table[table["label_beat"].map(lambda labels: labels == ["V"])].iloc[0].to_dict()
    mv_T = dataset.signal(row).millivolts()[0]
    assert abs(int(np.argmax(np.abs(mv_T - np.median(mv_T)))) - 180) < 40, "the beat is in the middle"
