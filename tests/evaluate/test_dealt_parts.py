"""The leakage check of rules that deal records in their own way: what a published split learns from and judges."""

import hashlib

import numpy as np
import pytest

from clef_ray.config import task_spec
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.evaluate.inputs import OFFICIAL, SELECTION
from clef_ray.evaluate.known import Known
from clef_ray.evaluate.leakage import FOUND, DealtParts, dealt_parts, leakage
from clef_ray.shards import ingest_local, read_table
from clef_ray.signal.signature import BYTES

TRAIN = tuple(range(1, 9))


def known(name, patients, folds, recordings):
    """Records of these patients; two of the same recording have the same random signature."""
    bits = [np.random.default_rng(n).integers(256, size=BYTES, dtype=np.uint8) for n in recordings]
    return Known(name, np.array(patients, dtype=object), np.array(folds), np.stack(bits), ("I",), None)


@pytest.fixture
def home():
    """Patient a has records in fold 1, b in 2, c in 9, d in 10; the last record is a copy of the first."""
    return known("home", ["a", "a", "b", "c", "d", "d"], [1, 1, 2, 9, 10, 10], [0, 1, 2, 3, 4, 0])


def found_in(pairs, name):
    return {
        (p.seen, p.part): (p.shared_patients, p.patients, p.shared_records, p.records)
        for p in pairs
        if p.corpus == name
    }


def test_a_rule_that_deals_records_is_told_with_what_it_learns_of_those_it_judges(home):
    """Learnt from: a's first, d's first; chosen by: b; judged: a's second, c, d's second. Of pretraining are a and b."""
    parts = DealtParts(
        "by_record/probe", "", np.array(["train", "test", "validation", "test", "train", "test"])
    )
    checked = leakage(home, {}, TRAIN, OFFICIAL, [parts])
    assert found_in(checked.pairs, "home as by_record/probe deals it") == {
        ("train", "validation"): (0, 1, 0, 1),
        ("train", "test"): (2, 3, 1, 3),  # a and d; d's second recording is a's first
        ("validation", "test"): (0, 3, 0, 3),
        ("pretraining", "validation"): (1, 1, 1, 1),
        ("pretraining", "test"): (
            1,
            3,
            2,
            3,
        ),  # a's second, which pretraining saw; d's second, whose copy it saw
    }
    told = checked.told()
    assert told.startswith(FOUND)
    assert (
        "1 of 3 test records of home as by_record/probe deals it were seen in its train part (same recording), "
        "2 of 3 test patients of home as by_record/probe deals it were seen in its train part"
    ) in told
    assert [p for p in checked.pairs if "deals" not in p.corpus] == list(
        leakage(home, {}, TRAIN, OFFICIAL).pairs
    )


def test_of_a_target_the_rules_own_parts_are_compared_and_nothing_else(home):
    far = known("far", ["p", "p", "q", "a"], [1, 1, 2, 3], [10, 11, 12, 13])
    parts = DealtParts("icentia_beat/published", "shifted", np.array(["train", "test", "", "test"]))
    checked = leakage(home, {"shifted": far}, TRAIN, OFFICIAL, [parts])
    assert found_in(checked.pairs, "shifted as icentia_beat/published deals it") == {
        ("train", "test"): (1, 2, 0, 2),
        ("validation", "test"): (0, 2, 0, 2),  # nobody is there to choose by
    }
    assert "1 of 2 test patients of shifted as icentia_beat/published deals it" in checked.told()


def test_a_corpus_that_is_a_target_too_has_its_own_place(home):
    parts = [DealtParts("x", "home", np.array(["train", "test", "", "", "", ""]))]
    checked = leakage(home, {"home": home}, TRAIN, OFFICIAL, parts)
    assert found_in(checked.pairs, "home as x deals it") == {
        ("train", "test"): (1, 1, 0, 1),
        ("validation", "test"): (0, 1, 0, 1),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = str(tmp_path_factory.mktemp("dealt"))
    ingest_local(Synthetic(patients=20, records_per_patient=2), place, 2)
    return place


def test_the_parts_are_those_that_the_task_deals_in_the_order_of_the_shards(folder):
    tasks = [task_spec(name) for name in ("diagnosis", "diagnosis_by_record", "icentia_beat:split=published")]
    own, far = dealt_parts(tasks, {"": folder, "far": folder}, OFFICIAL)
    assert (own.task, own.target, far.target) == ("by_record/probe", "", "far")
    table = read_table(folder)
    number = [int.from_bytes(hashlib.sha256(r.encode()).digest()[:8], "big") % 10 for r in table["record"]]
    assert own.part_N.tolist() == ["train" if n < 8 else "validation" if n == 8 else "test" for n in number]
    asked = Known.read(folder)
    judged = own.part_N == "test"
    both = set(asked.patient[judged]) & set(asked.patient[own.part_N == "train"])
    (pair,) = [
        p
        for p in leakage(asked, {}, TRAIN, OFFICIAL, [own]).pairs
        if (p.seen, p.part) == ("train", "test") and "deals" in p.corpus
    ]
    assert (pair.shared_patients, pair.patients) == (len(both), len(set(asked.patient[judged])))
    assert both


def test_where_none_is_asked_nothing_is_read():
    assert dealt_parts([task_spec("diagnosis")], {"": "/nowhere"}, OFFICIAL) == ()
    assert dealt_parts([task_spec("diagnosis_by_record")], {"": "/nowhere"}, SELECTION) == ()
