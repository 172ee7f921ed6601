"""The check finds what was planted, in counts, and nothing else."""

import dataclasses
import itertools
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy import Toy, ecg, signal

from clef_ray.evaluate.inputs import OFFICIAL, SELECTION, Split
from clef_ray.evaluate.known import Known, _people
from clef_ray.evaluate.leakage import FOUND, leakage
from clef_ray.shards import Manifest, ingest_local
from clef_ray.shards.merge import merge
from clef_ray.signal.signature import BYTES, signature

LEADS = ("I", "II", "V1")
TRAIN = tuple(range(1, 9))


def known(signals, folds, patients=None, name="home", leads=LEADS):
    """A corpus of these recordings, each of a patient of its own unless patients are given."""
    people = patients or [f"{name}/{n}" for n in range(len(signals))]
    bits = b"".join(signature(s) for s in signals)
    return Known(
        name,
        np.array(people, dtype=object),
        np.array(folds, dtype=np.int64),
        np.frombuffer(bits, dtype=np.uint8).reshape(-1, BYTES),
        leads,
        signals.__getitem__,
    )


def one(seed, **other):
    return signal(ecg(seed), **other)


def again(seed):
    """The same recording at 500 Hz with another gain: its samples, each between two of the original's."""
    mv_CT = ecg(seed)
    at = np.arange(5 * mv_CT.shape[1]) / 5
    fine = np.stack([np.interp(at, np.arange(mv_CT.shape[1]), lead) for lead in mv_CT])
    return signal(fine, fs=500.0, gain=200.0, baseline=7)


@pytest.fixture(scope="module")
def home():
    """Ten records, one in each fold."""
    return known([one(n) for n in range(10)], range(1, 11))


def shared(found):
    return {
        (p.seen, p.part, p.corpus): (p.shared_patients, p.shared_records) for p in found.pairs if not p.clean
    }


def test_corpora_that_share_nothing_are_clean(home):
    target = known([one(n) for n in range(50, 60)], range(1, 11), name="far")
    found = leakage(home, {"far": target}, TRAIN, OFFICIAL)
    assert found.found == ()
    assert (found.patients, found.held_out) == (8, 2)
    assert {(p.seen, p.part, p.corpus) for p in found.pairs} == {
        ("pretraining", "validation", "home"),
        ("pretraining", "test", "home"),
        ("validation", "test", "home"),
        *(("pretraining", part, "far") for part in ("train", "validation", "test")),
        ("train", "validation", "far"),
        ("train", "test", "far"),
        ("validation", "test", "far"),
    }
    assert found.told() == (
        "none found: pretraining saw 8 patients; the other 2 were held out of it; 9 pairs of parts (home, far) were compared by patient and "
        "by the recordings' signatures"
    )


def test_a_recording_of_pretraining_at_another_rate_is_found_in_the_targets_test_part(home):
    """Records 0 and 3 of pretraining and the held-out record 9 are in the target, at 500 Hz under other names."""
    signals = [again(0), one(61), again(3), one(62), again(9)]
    target = known(signals, (10, 10, 9, 1, 10), name="far", leads=LEADS)
    found = leakage(home, {"far": target}, TRAIN, OFFICIAL)
    assert shared(found) == {
        ("pretraining", "test", "far"): (0, 1),
        ("pretraining", "validation", "far"): (0, 1),
    }
    assert found.told().startswith(
        f"{FOUND}: 1 of 1 validation records of far were seen in pretraining (same recording), 1 of 3 test records of far were seen in "
        "pretraining (same recording); pretraining saw 8 patients"
    )


def test_within_one_corpus_a_recording_or_a_patient_in_two_parts_is_found():
    """Record 4 of fold 10 is record 0 of fold 1 under another patient; patient b has records in folds 9 and 10."""
    signals = [one(0), one(1), one(2), one(3), again(0)]
    corpus = known(signals, (1, 2, 9, 10, 10), ["a", "c", "b", "b", "d"])
    found = leakage(corpus, {}, TRAIN, OFFICIAL)
    assert shared(found) == {
        ("pretraining", "test", "home"): (0, 1),
        ("validation", "test", "home"): (1, 0),
    }
    assert "1 of 2 test patients of home were seen in its validation part" in found.told()


def test_a_target_of_the_same_people_is_found_by_their_names(home):
    target = known(
        [one(70), one(71)], (10, 10), ["home/0", "home/9"], name="rest"
    )  # patient 0 was pretrained on, 9 not
    found = leakage(home, {"rest": target}, TRAIN, OFFICIAL)
    assert shared(found) == {("pretraining", "test", "rest"): (1, 0)}
    assert "1 of 2 test patients of rest were seen in pretraining" in found.told()


def test_a_target_that_is_the_corpus_itself_is_seen_whole(home):
    found = leakage(home, {"home": home}, TRAIN, OFFICIAL)
    assert shared(found) == {("pretraining", "train", "home"): (8, 8)}
    assert {p.corpus for p in found.pairs} == {"home", "home (own corpus)"}


def test_a_validation_fold_that_pretraining_may_see_is_no_leak(home):
    """Configurations are chosen with fold 8 as validation, which pretraining saw, and judged on fold 9."""
    assert leakage(home, {}, TRAIN, SELECTION).found == ()
    strict = Split(train=SELECTION.train, validation=(8,), test=(9,))
    assert shared(leakage(home, {}, TRAIN, strict)) == {("pretraining", "validation", "home"): (1, 1)}
    both = known([one(0), again(0)], (7, 8))
    assert shared(leakage(both, {}, TRAIN, SELECTION)) == {("train", "validation", "home"): (0, 1)}


def test_copies_of_copies_are_counted_each():
    """Three records of the test part are one recording of pretraining, two of them with the same signature; a fourth is not."""
    target = known([again(0), again(0), one(0, gain=500.0), one(80)], (10,) * 4, name="far")
    found = leakage(known([one(0), one(0)], (1, 2)), {"far": target}, TRAIN, OFFICIAL)
    assert shared(found) == {("pretraining", "test", "far"): (0, 3)}


@pytest.mark.parametrize(
    ("bits", "alike", "expected"), [(14, False, 1), (20, True, 1), (20, False, 0), (29, True, 0)]
)
def test_between_sure_and_far_the_samples_decide(bits, alike, expected):
    """A signature with so many bits turned, of the same samples or of others."""
    origin = known([one(0)], (1,))
    turned = np.unpackbits(origin.signature_NB[0])
    turned[:bits] ^= 1
    copy = dataclasses.replace(
        known([again(0) if alike else one(90)], (10,), name="far"), signature_NB=np.packbits(turned)[None]
    )
    found = leakage(origin, {"far": copy}, TRAIN, OFFICIAL)
    assert sum(p.shared_records for p in found.pairs) == expected


def test_records_without_a_signature_and_other_leads_are_told(home):
    flat = known([signal(np.zeros((3, 1000))), one(91)], (10, 10), name="far", leads=("I",))
    found = leakage(home, {"far": flat}, TRAIN, OFFICIAL)
    assert found.found == ()
    assert dict(found.unsigned) == {"far": 1}
    assert found.told().endswith(
        "records of far without a signature: 1, copies of which were not looked for; far has other leads than the pretraining's records, so "
        "copies may be missed"
    )


def test_the_counts_are_those_of_a_plain_loop():
    """Random corpora with planted copies, each with a few bits turned: against all pairs, bit by bit."""
    rng = np.random.default_rng(0)
    bits = rng.integers(2, size=(60, 256), dtype=np.uint8)
    copies = bits[rng.integers(60, size=40)].copy()
    for row, count in enumerate(rng.integers(0, 12, size=40)):
        copies[row, rng.choice(256, count, replace=False)] ^= 1
    fresh = rng.integers(2, size=(40, 256), dtype=np.uint8)

    def corpus(name, rows, folds):
        people = np.array([f"{name}{n}" for n in range(len(rows))], dtype=object)
        return Known(name, people, folds, np.packbits(rows, axis=1), LEADS, None)

    a_folds, b_folds = rng.integers(1, 11, 60), rng.integers(1, 11, 80)
    target = np.concatenate([copies, fresh])
    found = leakage(corpus("a", bits, a_folds), {"b": corpus("b", target, b_folds)}, TRAIN, OFFICIAL)
    counted = {(p.seen, p.part): p.shared_records for p in found.pairs if p.corpus == "b"}
    parts = {"train": TRAIN, "validation": (9,), "test": (10,)}
    seen = bits[np.isin(a_folds, TRAIN)]
    for part, folds in parts.items():
        judged = target[np.isin(b_folds, folds)]
        assert counted["pretraining", part] == sum(min(np.sum(s != j) for s in seen) <= 14 for j in judged)
    for first, second in itertools.combinations(parts, 2):
        seen_b, judged = (target[np.isin(b_folds, parts[p])] for p in (first, second))
        near = sum(min(np.sum(s != j) for s in seen_b) <= 28 for j in judged)
        if all(
            min(np.sum(s != j) for s in seen_b) <= 14 or min(np.sum(s != j) for s in seen_b) > 28
            for j in judged
        ):
            assert counted[first, second] == near


Toy.__module__ = "clef_ray.datasets.toy"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two corpora of one dataset on disk: the second has a patient of the first's, and a recording of another at 500 Hz."""
    root = tmp_path_factory.mktemp("leaks")
    first = {f"r{n}": (f"p{n}", one(n)) for n in range(4)}
    second = {
        "s0": ("p0", one(40)),
        "s1": ("q1", signal(ecg(2, samples=5000, fs=500.0), fs=500.0)),
        "s2": ("q2", one(42)),
    }
    own, far = {"fold": [1, 2, 3, 10]}, {"fold": [10, 10, 9]}
    ingest_local(Toy(first, columns=own), str(root / "first"), 2)
    ingest_local(Toy(second, columns=far), str(root / "second"), 2)
    return root


def test_shards_are_read_with_their_signatures(folders):
    first, second = (Known.read(str(folders / name)) for name in ("first", "second"))
    assert first.patient.tolist() == ["toy/p0", "toy/p1", "toy/p2", "toy/p3"]
    found = leakage(first, {"second": second}, TRAIN, OFFICIAL)
    assert shared(found) == {("pretraining", "test", "second"): (1, 1)}
    np.testing.assert_array_equal(second.recording(2).raw_CT, one(42).raw_CT)


def test_shards_without_signatures_are_compared_by_patient_and_it_is_told(folders, tmp_path):
    """Parts as they were before there were signatures."""
    manifest = Manifest.load(str(folders / "first"))
    for part in manifest.parts:
        pq.write_table(
            pq.read_table(folders / "first" / part.file).drop_columns(["signature"]), tmp_path / part.file
        )
    (tmp_path / "manifest.json").write_bytes((folders / "first" / "manifest.json").read_bytes())
    found = leakage(
        Known.read(str(tmp_path)), {"second": Known.read(str(folders / "second"))}, TRAIN, OFFICIAL
    )
    assert shared(found) == {("pretraining", "test", "second"): (1, 0)}
    assert "records of toy without a signature: 4" in found.told()


def test_patients_of_merged_shards_are_who_they_were(folders, tmp_path):
    merge([f"mine={folders / 'first'}", f"yours={folders / 'second'}"], str(tmp_path))
    merged = Known.read(str(tmp_path))
    assert sorted(merged.patient) == sorted(["toy/p0", "toy/p1", "toy/p2", "toy/p3", "toy/p0", "toy/q2"])


@pytest.mark.parametrize(
    ("dataset", "one", "other", "same"),
    [
        ("ptbxl", {"fs": 100}, {"fs": 500}, True),
        ("synthetic", {"seed": 0, "device": "clinical"}, {"seed": 0, "device": "wearable"}, True),
        ("synthetic", {"seed": 0}, {"seed": 1}, False),
        ("generic", {"table": "ab"}, {"table": "cd"}, False),
        ("generic", {"table": "ab"}, {"table": "ab"}, True),
    ],
)
def test_the_same_name_is_the_same_person_only_among_the_same_people(folders, dataset, one, other, same):
    like = Manifest.load(str(folders / "first"))
    a, b = (_people(dataclasses.replace(like, dataset=dataset, parameters=p))("p1") for p in (one, other))
    assert (a == b) is same


def test_the_people_of_a_piece_of_merged_shards_are_known_too(folders):
    like = Manifest.load(str(folders / "first"))
    inner = {"name": "cn", "dataset": "chapman", "parameters": {}, "made_from": []}
    piece = dataclasses.replace(
        like, dataset="merged", made_from=({"dataset": "merged", "parameters": {}, "made_from": [inner]},)
    )
    assert _people(piece)("cn/7") == "chapman/7"
    assert _people(piece)("xx/7") == "xx/7"


def test_many_records_take_seconds():
    """20,000 against 2,000 (no assertion on the clock: it is printed)."""
    rng = np.random.default_rng(0)
    bits = rng.integers(256, size=(20_000, BYTES), dtype=np.uint8)
    far = np.concatenate([bits[:5], rng.integers(256, size=(1_995, BYTES), dtype=np.uint8)])
    home = Known("a", np.arange(20_000).astype(object), rng.integers(1, 9, 20_000), bits, LEADS, None)
    target = Known("b", -1 - np.arange(2_000).astype(object), np.full(2_000, 10), far, LEADS, None)
    begin = time.perf_counter()
    found = leakage(home, {"b": target}, TRAIN, OFFICIAL)
    print(f"{time.perf_counter() - begin:.2f} s")
    assert sum(p.shared_records for p in found.pairs) == 5
