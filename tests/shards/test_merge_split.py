"""Shards made from shards: the same samples under names that cannot be mixed up, no recording twice, no patient in two."""

import dataclasses
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Toy, ecg, signal, toy

from clef_ray.errors import ConfigError, DataError
from clef_ray.sections import Quality
from clef_ray.shards import Manifest, ingest_local, load_corpus, read_table
from clef_ray.shards.merge import merge
from clef_ray.shards.split import split
from clef_ray.shards.verify import problems


class Other(Toy):
    """Called otherwise in its manifest."""

    licence = "other"


Other.__module__ = "clef_ray.datasets.other"
Toy.__module__ = "clef_ray.datasets.toy"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """12 records of 6 patients; and 8 others with another label set and target, of which two are recordings of the first."""
    root = tmp_path_factory.mktemp("corpora")
    ingest_local(toy(12, per_patient=2), str(root / "toy"), 5)
    records = {f"r{i:03d}": (f"p{i:03d}", signal(ecg(100 + i), gain=500.0)) for i in range(8)}
    records["r002"] = ("p002", signal(ecg(3, samples=5000, fs=500.0), fs=500.0))
    records["r005"] = ("p005", signal(ecg(4)))
    labels = {"kind": ("NORM", "AF"), "rhythm": ("SR", "AFIB", "PACE")}
    ingest_local(
        Other(records, label_sets=labels, targets={"lvef": "%"}, headline="rhythm"), str(root / "other"), 3
    )
    return root


def test_merged_records_are_those_of_both_under_their_corpus_name(folders, tmp_path):
    manifest = merge([str(folders / "toy"), str(folders / "other")], str(tmp_path))
    assert (manifest.dataset, manifest.records, manifest.patients, manifest.headline) == (
        "merged",
        18,
        12,
        "kind",
    )
    assert manifest.quarantined == {"duplicate of another corpus": 2}
    assert [(o["name"], o["kept"], o["records"]) for o in manifest.made_from] == [
        ("toy", 12, 12),
        ("other", 6, 8),
    ]
    assert manifest.licence == "none; other"
    aside = pq.read_table(tmp_path / "quarantine.parquet").to_pylist()
    assert [(a["record"], a["detail"]) for a in aside] == [
        ("other/r002", "toy/r003"),
        ("other/r005", "toy/r004"),
    ]
    merged = load_corpus(str(tmp_path), 100)
    for name in ("toy", "other"):
        alone = load_corpus(str(folders / name), 100)
        rows = [f"{name}/{r}" in set(merged.table["record"]) for r in alone.table["record"]]
        here = merged.table["record"].str.startswith(f"{name}/").to_numpy()
        np.testing.assert_array_equal(merged.signals.millivolts()[here], alone.signals.millivolts()[rows])
        kept = alone.table[rows].reset_index(drop=True)
        found = merged.table[here].reset_index(drop=True)
        assert found["patient"].tolist() == [f"{name}/{p}" for p in kept["patient"]]
        for column in ("fold", "age", "label_kind"):
            assert found[column].tolist() == kept[column].tolist()
    assert merged.table["label_rhythm"][:12].tolist() == [None] * 12
    assert merged.table["target_lvef"][:12].isna().all()
    assert merged.table["target_dbp"][12:].isna().all()
    assert problems(str(tmp_path)) == []


def test_copies_within_a_corpus_that_were_kept_stay_unless_another_corpus_holds_them(folders, tmp_path):
    own = {"a": ("a", signal(ecg(200))), "b": ("b", signal(ecg(200), gain=500.0))}
    held = {"c": ("c", signal(ecg(5), gain=250.0)), "d": ("d", signal(ecg(5), gain=250.0))}
    ingest_local(Other({**own, **held}), str(tmp_path / "in"), 2, quality=Quality(duplicates="keep"))
    merge([str(folders / "toy"), str(tmp_path / "in")], str(tmp_path / "out"))
    kept = read_table(str(tmp_path / "out"))["record"].tolist()
    assert kept[12:] == ["other/a", "other/b"]


def test_merging_again_and_after_a_kill_gives_the_same_bytes(folders, tmp_path):
    pair = [str(folders / "toy"), str(folders / "other")]
    first = merge(pair, str(tmp_path / "a"))
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "a").iterdir()}
    assert merge(pair, str(tmp_path / "a")) == first
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "a").iterdir()} == before
    for name in ("manifest.json", "part-00002.json"):
        (tmp_path / "a" / name).unlink()
    (tmp_path / "a" / "part-00001.parquet").write_bytes(b"torn")
    assert merge(pair, str(tmp_path / "a")) == first
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {
        n: data for n, (data, _) in before.items()
    }
    with pytest.raises(DataError, match=r"was made with other parameters: merge is"):
        merge([str(folders / "other"), str(folders / "toy")], str(tmp_path / "a"))


def test_shapes_that_differ_are_told_with_the_options_that_mend_it(folders, tmp_path):
    from clef_ray.datasets.synthetic import Synthetic

    ingest_local(Synthetic(patients=2), str(tmp_path / "synthetic"))
    with pytest.raises(
        ConfigError,
        match=r"500 Hz instead of 100 Hz; leads I, II, III.* instead of I, II, V1; synthetic has no option for its fs and leads",
    ):
        merge([str(folders / "toy"), str(tmp_path / "synthetic")], str(tmp_path / "out"))
    manifest = Manifest.load(str(folders / "toy"))
    as_ptbxl = dataclasses.replace(manifest, dataset="ptbxl", fs=500.0, samples=2500)
    (tmp_path / "ptbxl").mkdir()
    for part in (folders / "toy").glob("part-*"):
        (tmp_path / "ptbxl" / part.name).write_bytes(part.read_bytes())
    (tmp_path / "ptbxl" / "manifest.json").write_text(json.dumps(as_ptbxl.to_dict()))
    with pytest.raises(
        ConfigError,
        match=r"500 Hz instead of 100 Hz; 5 s instead of 10 s; ingest it again with `--fs 100` \(ptbxl has no option for its seconds\)",
    ):
        merge([str(folders / "toy"), str(tmp_path / "ptbxl")], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_one_name_for_two_corpora_is_refused_and_another_name_helps(folders, tmp_path):
    ingest_local(toy(5), str(tmp_path / "five"))
    pair = [str(folders / "toy"), str(tmp_path / "five")]
    with pytest.raises(ConfigError, match=r"two corpora are called 'toy'.*merge a=FOLDER b=FOLDER"):
        merge(pair, str(tmp_path / "out"))
    manifest = merge([pair[0], f"small={pair[1]}"], str(tmp_path / "out"))
    assert manifest.records == 12, "all five are recordings of the first"
    assert [o["name"] for o in manifest.made_from] == ["toy", "small"]
    again = merge([str(tmp_path / "out"), str(folders / "other")], str(tmp_path / "three"))
    assert again.records == 18
    assert set(read_table(str(tmp_path / "three"))["record"]) == set(
        read_table(str(tmp_path / "out"))["record"]
    ) | {f"other/r{i:03d}" for i in (0, 1, 3, 4, 6, 7)}
    with pytest.raises(ConfigError, match="'toy'"):
        merge([str(tmp_path / "out"), str(tmp_path / "five")], str(tmp_path / "four"))


def test_a_label_set_or_target_with_two_meanings_is_refused(folders, tmp_path):
    ingest_local(Other(toy(3).records, label_sets={"kind": ("NORM", "MI")}), str(tmp_path / "labels"))
    with pytest.raises(
        DataError, match=r"label set 'kind' is \(NORM, AF\) in one folder and \(NORM, MI\) in that of other"
    ):
        merge([str(folders / "toy"), str(tmp_path / "labels")], str(tmp_path / "out"))
    ingest_local(Other(toy(3).records, targets={"dbp": "kPa"}), str(tmp_path / "targets"))
    with pytest.raises(DataError, match="target 'dbp' is mmHg in one folder and kPa"):
        merge([str(folders / "toy"), str(tmp_path / "targets")], str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="1 folder given"):
        merge([str(folders / "toy")], str(tmp_path / "out"))


def test_split_by_fold_and_the_rest_are_the_whole_without_overlap(folders, tmp_path):
    whole = load_corpus(str(folders / "toy"), 100)
    folds = sorted(set(whole.table["fold"]))[:3]
    some, rest = split(str(folders / "toy"), str(tmp_path / "some"), folds=folds, rest=str(tmp_path / "rest"))
    tables = [read_table(str(tmp_path / name)) for name in ("some", "rest")]
    assert set(tables[0]["fold"]) == set(folds)
    assert not set(tables[0]["patient"]) & set(tables[1]["patient"])
    assert sorted([*tables[0]["record"], *tables[1]["record"]]) == whole.table["record"].tolist()
    assert (some.records, rest.records) == (len(tables[0]), len(tables[1]))
    part = load_corpus(str(tmp_path / "some"), 100)
    rows = whole.table["record"].isin(part.table["record"]).to_numpy()
    np.testing.assert_array_equal(part.signals.millivolts(), whole.signals.millivolts()[rows])
    assert some.made_from[0]["selection"] == {"folds": folds, "share": 1.0, "seed": 0, "rest": False}
    assert some.made_from[0]["fingerprint"] == whole.manifest.fingerprint
    assert problems(str(tmp_path / "some")) == []
    both = merge([str(tmp_path / "some"), str(tmp_path / "rest")], str(tmp_path / "both"))
    assert (both.records, both.patients, both.quarantined) == (12, 6, {}), (
        "pieces of one corpus share its name"
    )
    again = merge([str(folders / "toy"), str(tmp_path / "some")], str(tmp_path / "overlap"))
    assert again.quarantined == {"duplicate of another corpus": some.records}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """200 patients of two short records."""
    root = tmp_path_factory.mktemp("many")
    records = {f"r{i:03d}": (f"p{i // 2:03d}", signal(ecg(i, samples=300))) for i in range(400)}
    ingest_local(Toy(records, samples=300), str(root / "all"), 100)
    return root


@settings(max_examples=8)
@given(seed=st.integers(0, 99), small=st.floats(0.05, 0.5), more=st.floats(0.0, 0.4))
def test_a_share_is_of_patients_and_a_larger_one_holds_it(many, seed, small, more):
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        taken = []
        for name, share in (("a", small), ("b", small + more)):
            split(str(many / "all"), f"{place}/{name}", share=share, seed=seed)
            table = read_table(f"{place}/{name}")
            assert table.groupby("patient").size().eq(2).all(), "all records of a patient"
            assert abs(table["patient"].nunique() / 200 - share) < 0.17  # five standard deviations
            taken.append(set(table["patient"]))
        assert taken[0] <= taken[1]


def test_another_seed_draws_others(many, tmp_path):
    drawn = []
    for seed in (0, 1):
        split(str(many / "all"), str(tmp_path / str(seed)), share=0.3, seed=seed)
        drawn.append(set(read_table(str(tmp_path / str(seed)))["patient"]))
    assert 0 < len(drawn[0] & drawn[1]) < 0.6 * len(drawn[0])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"folds": [0, 1]}, "--folds 0,1: give folds of 1 to 10"),
        ({"folds": []}, "--folds"),
        ({"share": 0.0}, "--share 0: give a share above 0"),
        ({"share": float("nan")}, "--share nan"),
        ({"share": 1.0, "rest": "rest"}, "no patient of .* is left for .*rest"),
    ],
)
def test_a_split_that_cannot_be_is_refused(folders, tmp_path, asked, told):
    asked = {k: str(tmp_path / v) if k == "rest" else v for k, v in asked.items()}
    with pytest.raises((ConfigError, DataError), match=told):
        split(str(folders / "toy"), str(tmp_path / "out"), **asked)


def test_older_shards_are_refused_with_the_reason(folders, tmp_path):
    old = dataclasses.replace(Manifest.load(str(folders / "toy")), schema_version=2)
    (tmp_path / "manifest.json").write_text(json.dumps(old.to_dict()))
    with pytest.raises(
        DataError, match=r"schema version 2, without the recordings' signatures.*ingest it again"
    ):
        split(str(tmp_path), str(tmp_path / "out"))


def test_nothing_is_made_of_a_damaged_folder(folders, tmp_path):
    """A copy of damaged samples would have a digest of its own, and look sound."""
    shutil.copytree(folders / "toy", tmp_path / "toy")
    part = tmp_path / "toy" / "part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 1
    part.write_bytes(data)
    for make in (
        lambda: split(str(tmp_path / "toy"), str(tmp_path / "out")),
        lambda: merge([str(folders / "other"), str(tmp_path / "toy")], str(tmp_path / "out")),
    ):
        with pytest.raises(DataError, match=r"1 of 3 parts are missing or changed: part-00001\.parquet"):
            make()
    assert not (tmp_path / "out").exists()
