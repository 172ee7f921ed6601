"""Challenge 2021: sources by name, scored classes that merge, real records of six sources against wfdb."""

import numpy as np
import pandas as pd
import pytest
import wfdb
from layouts import cinc2021
from layouts._challenge import told, write_challenge

from clef_ray.datasets import LEADS
from clef_ray.datasets.cinc2021 import Cinc2021, source_of
from clef_ray.datasets.ptbdb import Ptbdb
from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import DATASETS, coerce

#: Abbreviation and code of the Challenge's table of scored diagnoses, and what it scores as the same.
PUBLISHED = (
    "AF:164889003 AFL:164890007 BBB:6374002 Brady:426627000 CLBBB:733534002 CRBBB:713427006 IAVB:270492004 IRBBB:713426002 LAD:39732003 "
    "LAnFB:445118002 LBBB:164909002 LQRSV:251146004 NSIVCB:698252002 NSR:426783006 PAC:284470004 PR:10370003 PRWP:365413008 "
    "PVC:427172004 LPR:164947007 LQT:111975006 QAb:164917005 RAD:47665007 RBBB:59118001 SA:427393009 SB:426177001 STach:427084000 "
    "SVPB:63593006 TAb:164934002 TInv:59931005 VPB:17338001"
)
SAME = {"CLBBB": "LBBB", "CRBBB": "RBBB", "SVPB": "PAC", "VPB": "PVC"}


@pytest.fixture
def folder(tmp_path):
    cinc2021.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("record", "source"),
    [
        ("A0001", "cpsc_2018"),
        ("A00001", None),  # CinC 2017
        ("Q3581", "cpsc_2018_extra"),
        ("I0074", "st_petersburg_incart"),
        ("S0549", "ptb"),
        ("HR21837", "ptb-xl"),
        ("E10344", "georgia"),
        ("JS10646", "chapman_shaoxing"),
        ("JS10647", "ningbo"),
        ("s0010_re", None),
        ("00001_lr", None),
    ],
)
def test_a_records_name_tells_its_source(record, source):
    assert source_of(record) == source


def test_scored_classes_merge_as_the_challenge_scores_them(folder):
    table = Cinc2021(str(folder)).table().set_index("record")
    assert table["label_scored"].to_dict() == {
        "A0001": ["RBBB", "NSR"],
        "E00001": ["NSR"],
        "E00002": ["LBBB", "PAC", "PVC"],
        "HR00001": ["LQRSV", "NSR"],
        "I0001": ["SA"],
        "I0002": ["Brady"],
        "JS10646": ["AF"],
        "JS10647": None,
        "Q0001": ["STach"],
        "S0001": ["NSR"],
    }
    assert len(Cinc2021.label_sets["scored"]) == 26


def test_every_scored_code_has_its_published_class(tmp_path):
    expected = []
    for i, pair in enumerate(PUBLISHED.split()):
        name, code = pair.split(":")
        write_challenge(tmp_path / f"E{i:05d}", told(1, "Male", code), length=10)
        expected.append([SAME.get(name, name)])
    assert Cinc2021(str(tmp_path)).table()["label_scored"].tolist() == expected
    assert {name for [name] in expected} == set(Cinc2021.label_sets["scored"])


def test_parameters_count_sources_and_what_was_left_out(folder):
    parameters = Cinc2021(str(folder)).parameters()
    assert parameters["records"]["st_petersburg_incart"] == 2
    assert sum(parameters["records"].values()) == 10
    assert parameters["implausible"] == {"age": 1}
    assert parameters["with_other_codes"] == 2, "Q0001 and JS10647"


def test_a_flat_folder_gives_the_same_table(folder, tmp_path_factory):
    flat = Cinc2021(**cinc2021.write_flat(tmp_path_factory.mktemp("flat")))
    pd.testing.assert_frame_equal(
        flat.table().drop(columns="file"), Cinc2021(str(folder)).table().drop(columns="file")
    )
    assert any(any(flat.root.glob(pattern)) for pattern in Cinc2021.signature)


def test_sources_with_patients_that_nobody_names_never_lie_on_both_sides_of_a_split(folder):
    table = Cinc2021(str(folder)).table()
    for source in ("st_petersburg_incart", "ptb", "ptb-xl"):
        assert table.loc[table["source"] == source, "fold"].unique().tolist() == [1], source


def test_ptb_never_lies_on_both_sides_of_a_split(tmp_path):
    """Its 516 records are of fewer than 290 patients, and whose they are is not told."""
    for i in range(1, 30):
        write_challenge(tmp_path / f"S{i:04d}", told(1, "Male", "426783006"), length=10)
    assert Cinc2021(str(tmp_path)).table()["fold"].unique().tolist() == [1]


def test_sources_choose_and_their_order_does_not_matter(folder):
    chosen = Cinc2021(str(folder), sources=("georgia", "ptb"))
    assert chosen.table()["record"].tolist() == ["E00001", "E00002", "S0001"]
    assert chosen.parameters() == Cinc2021(str(folder), sources=("ptb", "georgia")).parameters()
    written = coerce("georgia,ptb", DATASETS.schema("cinc2021")["sources"].annotation, "sources")
    assert written == ("georgia", "ptb")


@pytest.mark.parametrize("sources", [(), ("ptb", "ptb")])
def test_no_source_or_one_twice_is_refused(folder, sources):
    with pytest.raises(ConfigError, match=r"cinc2021\.sources is .*; allowed are one or more of cpsc_2018,"):
        Cinc2021(str(folder), sources=sources)


def test_folders_without_records_or_with_copies_are_refused(folder):
    with pytest.raises(DataError, match="have no headers of"):
        Cinc2021(str(folder / "training" / "ptb"), sources=("georgia",)).table()
    copy = folder / "WFDB_PTB"
    copy.mkdir()
    (copy / "S0001.hea").write_bytes((folder / "training" / "ptb" / "g1" / "S0001.hea").read_bytes())
    with pytest.raises(DataError, match="has 1 records in more than one folder"):
        Cinc2021(str(folder)).table()


@pytest.mark.realdata
def test_real_records_of_all_sources_are_read_as_wfdb_reads_them(realdata):
    dataset = Cinc2021(str(realdata / "challenge2021_multisource"))
    table = dataset.table()
    assert len(table) == 33
    assert table["source"].value_counts().to_dict() == {
        "georgia": 8,
        "cpsc_2018": 6,
        "chapman_shaoxing": 5,
        "ningbo": 5,
        "cpsc_2018_extra": 4,
        "ptb-xl": 4,
        "ptb": 1,
    }
    assert table["age"].isna().sum() == 3
    assert set(table["sex"]) == {0.0, 1.0}
    for row in table.to_dict("records"):
        signal, expected = dataset.signal(row), wfdb.rdrecord(str(dataset.root / row["file"]))
        assert (signal.leads, signal.fs) == (LEADS, expected.fs)
        np.testing.assert_allclose(signal.millivolts(), expected.p_signal.T, atol=1e-6)


@pytest.mark.realdata
def test_the_challenges_s0001_is_ptbdbs_first_record(realdata):
    """Why whoever pretrains on `ptbdb` must not test on this source."""
    challenge = Cinc2021(str(realdata / "challenge2021_multisource"), sources=("ptb",))
    ptbdb = Ptbdb(str(realdata / "ptbdb"))
    mine, theirs = (d.signal(d.table().iloc[0].to_dict()).millivolts()[:12] for d in (challenge, ptbdb))
    assert np.abs(mine - theirs).max() < 0.001
