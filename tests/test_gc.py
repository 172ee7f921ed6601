"""`clef-ray gc` frees what nothing needs, and nothing else: whatever lies in a storage, every comparison can still be made."""

import json
import os
import tempfile
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pytest
from ablation_outcomes import LINEAGE, complete, toy_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from clef_ray import gc as module
from clef_ray.ablation import Outcome
from clef_ray.cli.gc import amount
from clef_ray.cli.gc import gc as verb
from clef_ray.config import evaluation_fingerprint
from clef_ray.distributed import CHECKPOINT, save_state
from clef_ray.errors import ConfigError, DataError, StorageError
from clef_ray.evaluate.features import FOLDER
from clef_ray.gc import DAY, HOUR, find, free
from clef_ray.report.record import Report, dump
from clef_ray.report.study import StudyView
from clef_ray.search import Configuration
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, RECORD, history_so_far
from clef_ray.trial import load_outcome, run_store

PLAN = toy_plan()
#: How far a run has come, and whether its checkpoint was left: nothing, some epochs, the encoder, everything.
STATES = ("absent", "started", "pretrained", "finished", "finished, no checkpoint", "finished, no encoder")
EMBEDDINGS = f"{FOLDER}/0123456789abcdef.npy"

#: What a report may say of a run that has not finished; None: it is planned, and that is all.
VERDICTS = ("PRUNED", "FAILED", "lost", None)


def make_run(storage, trial, state, value=0.8):
    """The run's folder as training and evaluation write it."""
    store = run_store(str(storage), trial.run)
    if state != "absent" and "no checkpoint" not in state:
        save_state(store, CHECKPOINT, {"history": [{"epoch": 1.0, "loss": value}]})
    if state in ("absent", "started"):
        return
    record = {"state": "COMPLETE", "history": [{"epoch": 1.0, "loss": value}], "seconds": 2.0}
    store.write_bytes(RECORD, json.dumps(record).encode())
    if "no encoder" not in state:
        store.write_bytes(ENCODER, b"weights")
    store.write_bytes(EMBEDDINGS, b"embeddings")
    if state.startswith("finished"):
        result = complete(trial, value).results["probe"]
        name = f"evaluate/{evaluation_fingerprint(trial.run, PLAN.tasks[0], PLAN.data)}.npz"
        store.write_bytes(name, result.to_bytes())


def make_report(storage, plan, outcomes, study=None, name="toy-00000000"):
    content = json.loads(dump(Report(plan, outcomes, LINEAGE, study), "yes"))
    told = [*content["outcomes"], *(content["study"]["winner"] if study else [])]
    for entry, outcome in zip(told, [*outcomes, *(study.winner if study else [])], strict=True):
        entry.pop("lost", None)  # as in a record from before there was such a thing
        if outcome.lost:
            entry["lost"] = True
    Store(str(storage)).write_bytes(f"reports/{name}/plan.json", json.dumps(content).encode())


def ended(trial, verdict):
    return Outcome(
        trial, "FAILED" if verdict == "lost" else verdict, reason="because", lost=verdict == "lost"
    )


def age(storage, seconds):
    """Everything in the storage was written so long ago."""
    then = time.time() - seconds
    for path in Path(storage).rglob("*"):
        os.utime(path, (then, then))


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def loaded(storage):
    """What the experiment would find there, comparable."""
    found = [load_outcome(t, PLAN.judging, str(storage)) for t in PLAN.trials]
    return [o and (o.metrics, o.history, o.seconds) for o in found]


def abandoned(states, said):
    """The runs that have begun, and that every report calls stopped or gone wrong. said: by report, a verdict per trial."""
    marks = [t.run.fingerprint() for t in PLAN.trials]
    verdicts = zip(marks, states, *said, strict=True)
    return {m for m, s, *v in verdicts if s == "started" and v and {*v} <= {"PRUNED", "FAILED"}}


def means(values):
    by_arm = {}
    for trial, value in zip(PLAN.trials, values, strict=True):
        by_arm.setdefault(trial.arm.name, []).append(value)
    return {arm: np.nanmean(v) if not np.isnan(v).all() else -np.inf for arm, v in by_arm.items()}


@settings(max_examples=30)
@given(
    states=st.lists(st.sampled_from(STATES), min_size=len(PLAN.trials), max_size=len(PLAN.trials)),
    values=st.lists(st.floats(0.5, 0.9), min_size=len(PLAN.trials), max_size=len(PLAN.trials), unique=True),
    said=st.lists(
        st.lists(st.sampled_from(VERDICTS), min_size=len(PLAN.trials), max_size=len(PLAN.trials)), max_size=2
    ),
    encoders=st.booleans(),
    hours=st.sampled_from([0.5, 2.0, 30.0]),
    older_than=st.sampled_from([0.0, 1.0]),
)
def test_every_comparison_can_still_be_made_and_every_run_goes_on(
    states, values, said, encoders, hours, older_than
):
    """Random runs in random states, and what up to two reports say of those that have not finished: the outcomes, the folders of runs that
    may go on and all that others own are what they were before."""
    with tempfile.TemporaryDirectory() as folder:
        for trial, state, value in zip(PLAN.trials, states, values, strict=True):
            make_run(folder, trial, state, value)
        others = ["mlflow/mlflow.db", "optuna/optuna.db", "shards/a/manifest.json", "shards/a/plan.json"]
        others += ["shards/a/part-00000.parquet", "runs/mine.txt", "reports/x/report.html", "notes.tmp"]
        for name in others:
            Store(folder).write_bytes(name, b"x")
        known = [load_outcome(t, PLAN.judging, folder) for t in PLAN.trials]
        for number, verdicts in enumerate(said):
            told = [o or (v and ended(t, v)) for o, t, v in zip(known, PLAN.trials, verdicts, strict=True)]
            make_report(folder, PLAN, [o for o in told if o], name=f"toy-{number}")
        age(folder, hours * HOUR)
        before, outcomes = content(folder), loaded(folder)

        garbage = find(folder, older_than=older_than, encoders=encoders)
        free(folder, garbage)

        after = content(folder)
        assert loaded(folder) == outcomes
        assert after.items() <= before.items()
        assert sum(g.size for g in garbage) == sum(len(before[name]) for name in before.keys() - after.keys())
        assert not find(folder, older_than=older_than, encoders=encoders)
        gone = before.keys() - after.keys()
        if hours < max(1.0, older_than * 24):
            assert not gone
        best = means([v if s.startswith("finished") else np.nan for s, v in zip(states, values, strict=True)])
        over = abandoned(states, said)
        for trial, state in zip(PLAN.trials, states, strict=True):
            run = run_store(folder, trial.run)
            if state == "started" and trial.run.fingerprint() not in over:
                assert history_so_far(run) == [{"epoch": 1.0, "loss": values[PLAN.trials.index(trial)]}]
            still_has_what_is_needed(run, state, encoders)
            if said and best[trial.arm.name] == max(best.values()) and state.startswith("finished"):
                assert run.exists(ENCODER) == ("no encoder" not in state), "the best arm's"
        freed = {Path(name).name for name in gone}
        assert freed <= {CHECKPOINT, Path(EMBEDDINGS).name} | ({ENCODER} if encoders else set())
        if hours > 24:
            finished = {
                t.run.fingerprint()
                for t, s in zip(PLAN.trials, states, strict=True)
                if s in ("pretrained", "finished", "finished, no encoder")
            }
            assert {n.split("/")[1] for n in gone if n.endswith(CHECKPOINT)} == finished | over
            assert {g.name.split("/")[1] for g in garbage if g.kind == "given-up checkpoints"} == over


def still_has_what_is_needed(run, state, encoders):
    if state == "pretrained":
        assert run.exists(ENCODER), "its tasks are still to be evaluated"
    if state == "finished, no encoder" and not encoders:
        assert run.list(FOLDER), "a further task could be answered from nothing else"


def storage_with(tmp_path, states, report=True):
    """A storage whose trials are in these states, an hour and more old; the values rise, so the last finished arm is the best."""
    for i, (trial, state) in enumerate(zip(PLAN.trials, states, strict=True)):
        make_run(tmp_path, trial, state, 0.5 + i / 100)
    if report:
        found = [load_outcome(t, PLAN.judging, str(tmp_path)) for t in PLAN.trials]
        make_report(tmp_path, PLAN, [o for o in found if o])
    age(tmp_path, 2 * DAY)


def given_up(storage):
    names = {g.name.split("/")[1] for g in find(str(storage)) if g.kind == "given-up checkpoints"}
    return [t.run.fingerprint() in names for t in PLAN.trials]


@pytest.mark.parametrize(
    ("first", "second", "goes"),
    [
        (["PRUNED"], [], True),
        (["FAILED"], [], True),
        (["lost"], [], False),
        ([None], [], False),
        (["PRUNED"], ["FAILED"], True),
        (["PRUNED"], ["lost"], False),
        ([None], ["PRUNED"], False),
    ],
)
def test_a_checkpoint_goes_where_every_report_has_given_its_run_up(tmp_path, first, second, goes):
    """Not one that is out of every report: it may be at work. A sweep's winner counts too, which is in its study alone."""
    make_run(tmp_path, PLAN.trials[0], "started")
    make_run(tmp_path, PLAN.trials[1], "started")
    alone = replace(PLAN, trials=PLAN.trials[:1])
    for number, verdicts in enumerate((first, second)):
        if verdicts:
            found = [ended(PLAN.trials[0], v) for v in verdicts if v]
            make_report(tmp_path, alone, found, name=f"r{number}")
    age(tmp_path, 2 * HOUR)
    assert given_up(tmp_path) == [goes] + [False] * 14


@pytest.mark.parametrize(
    ("verdict", "elsewhere", "goes"),
    [("FAILED", False, True), ("lost", False, False), ("lost", True, False), ("FAILED", True, True)],
)
def test_a_winners_run_is_in_its_study_alone(tmp_path, verdict, elsewhere, goes):
    """elsewhere: another report has given it up."""
    storage_with(tmp_path, ["started"] * 2 + ["absent"] * 13, report=False)
    rows = (Configuration(0, "COMPLETE", {}),)
    study = StudyView(
        "toy", (("probe/auroc", "maximize"),), rows, best=(0,), winner=(ended(PLAN.trials[1], verdict),)
    )
    sweep = replace(PLAN, trials=PLAN.trials[:1])
    make_report(tmp_path, sweep, [ended(PLAN.trials[0], "PRUNED")], study)
    if elsewhere:
        other = replace(PLAN, trials=PLAN.trials[1:2])
        make_report(tmp_path, other, [ended(PLAN.trials[1], "PRUNED")], name="other")
    age(tmp_path, 2 * HOUR)
    assert given_up(tmp_path) == [True, goes] + [False] * 13


def test_a_run_that_was_given_up_and_trains_again_is_left_alone(tmp_path):
    make_run(tmp_path, PLAN.trials[0], "started")
    alone = replace(PLAN, trials=PLAN.trials[:1])
    make_report(tmp_path, alone, [ended(PLAN.trials[0], "PRUNED")])
    assert not any(given_up(tmp_path))


def test_a_run_has_one_name_in_every_arm(tmp_path):
    """Given up in one arm, not tried yet in another that is the same run."""
    make_run(tmp_path, PLAN.trials[0], "started")
    twin = replace(PLAN.trials[0], arm=PLAN.trials[3].arm)
    make_report(tmp_path, replace(PLAN, trials=(PLAN.trials[0], twin)), [ended(PLAN.trials[0], "PRUNED")])
    age(tmp_path, 2 * HOUR)
    assert not any(given_up(tmp_path))


def test_a_damaged_record_is_named(tmp_path):
    Store(str(tmp_path)).write_bytes("reports/toy/plan.json", b"{")
    with pytest.raises(DataError, match=r"toy/plan\.json is damaged"):
        find(str(tmp_path))


def freed_encoders(storage):
    names = {g.name.split("/")[1] for g in find(str(storage), encoders=True) if g.kind == "encoders"}
    return {(t.arm.name, t.seed) for t in PLAN.trials if t.run.fingerprint() in names}


def test_encoders_go_only_when_asked_for_and_never_the_best_arms(tmp_path):
    storage_with(tmp_path, ["finished"] * 15)
    assert not [g for g in find(str(tmp_path)) if g.kind == "encoders"]
    assert freed_encoders(tmp_path) == {(t.arm.name, t.seed) for t in PLAN.trials if t.arm.name != "random"}


def freed_embeddings(storage, kind, **options):
    """The trials whose embeddings are garbage of this kind."""
    names = {g.name.split("/")[1] for g in find(str(storage), **options) if g.kind == kind}
    return {i for i, t in enumerate(PLAN.trials) if t.run.fingerprint() in names}


def test_embeddings_go_while_the_encoder_can_make_them_again(tmp_path):
    """Of a run without its encoder they are all that a further task could be answered from: they stay until they are asked for with it."""
    states = ["finished", "finished, no encoder", "pretrained", "started", *["finished"] * 11]
    storage_with(tmp_path, states)
    run_store(str(tmp_path), PLAN.trials[4].run).write_bytes(f"{FOLDER}/new.npy.0123abcd.tmp", b"x")
    age(tmp_path, 2 * DAY)
    assert freed_embeddings(tmp_path, "embeddings") == {*range(15)} - {1, 3}
    assert not freed_embeddings(tmp_path, "last embeddings")
    told = find(str(tmp_path))
    assert len({g.name for g in told}) == len(told), "each is told once"
    best = {12, 13, 14}
    assert freed_embeddings(tmp_path, "embeddings", encoders=True) == {2} | best
    assert freed_embeddings(tmp_path, "last embeddings", encoders=True) == {*range(12)} - {2, 3}
    free(str(tmp_path), told)
    assert {g.kind for g in find(str(tmp_path), encoders=True)} == {"encoders", "last embeddings"}
    assert freed_embeddings(tmp_path, "last embeddings", encoders=True) == {1}
    assert not freed_embeddings(tmp_path, "embeddings", encoders=True)


@pytest.mark.parametrize("clouds", [None, ""])
def test_embeddings_that_a_report_draws_stay_whatever_else_goes(tmp_path, clouds):
    """A second report names the first four runs, and draws their embeddings or not."""
    storage_with(tmp_path, ["finished"] * 15)
    drawing = replace(PLAN, trials=PLAN.trials[:4], ablation=replace(PLAN.ablation, clouds=clouds))
    found = [load_outcome(t, PLAN.judging, str(tmp_path)) for t in drawing.trials]
    make_report(tmp_path, drawing, found, name="drawing")
    age(tmp_path, 2 * DAY)
    kept = set() if clouds is None else {0, 1, 2, 3}
    assert freed_embeddings(tmp_path, "embeddings") == {*range(15)} - kept
    both = [freed_embeddings(tmp_path, kind, encoders=True) for kind in ("embeddings", "last embeddings")]
    assert both[0] | both[1] == {*range(15)} - kept


def test_embeddings_of_a_run_that_is_at_work_stay(tmp_path):
    storage_with(tmp_path, ["finished"] * 2 + ["absent"] * 13, report=False)
    run_store(str(tmp_path), PLAN.trials[0].run).write_bytes("evaluate/new.npz", b"")
    assert freed_embeddings(tmp_path, "embeddings") == {1}


def test_an_encoder_that_no_report_names_is_all_there_is(tmp_path):
    storage_with(tmp_path, ["finished"] * 15, report=False)
    assert not freed_encoders(tmp_path)


def test_another_report_may_need_what_one_has_judged(tmp_path):
    """A second experiment that shares an arm and has not evaluated it, or in which it is the best."""
    storage_with(tmp_path, ["finished"] * 15)
    alone = replace(PLAN, trials=PLAN.trials[:3])
    found = [load_outcome(t, PLAN.judging, str(tmp_path)) for t in alone.trials]
    make_report(tmp_path, alone, found, name="best-there")
    unfinished = replace(PLAN, trials=PLAN.trials[3:6], split="selection")
    make_report(tmp_path, unfinished, [], name="not-yet-there")
    left = {arm for arm, _ in freed_encoders(tmp_path)}
    assert left == {t.arm.name for t in PLAN.trials[6:12]}


def test_a_sweep_keeps_what_it_found_and_its_winner(tmp_path):
    """Of a study the best is the study's own: several on a Pareto front; the winner's runs have seeds of their own."""
    storage_with(tmp_path, ["finished"] * 15, report=False)
    arms = [t.arm for t in PLAN.trials[::3]]
    renamed = {arm.name: replace(arm, name=f"c{i:03d}") for i, arm in enumerate(arms)}
    trials = tuple(replace(t, arm=renamed[t.arm.name]) for t in PLAN.trials[:12])
    plan = replace(
        PLAN, trials=trials, ablation=replace(PLAN.ablation, arms=tuple(renamed.values()), base="c000")
    )
    found = [load_outcome(t, PLAN.judging, str(tmp_path)) for t in trials]
    rows = tuple(Configuration(i, "COMPLETE", {}) for i in range(4))
    winner = load_outcome(PLAN.trials[9], PLAN.judging, str(tmp_path))
    study = StudyView("toy", (("probe/auroc", "maximize"),), rows, best=(0, 2), winner=(winner,))
    make_report(tmp_path, plan, found, study)
    age(tmp_path, 2 * DAY)
    kept = {("simclr-31", 0)}
    assert (
        freed_encoders(tmp_path)
        == {(t.arm.name, t.seed) for t in PLAN.trials if t.arm.name in ("clef-31", "simclr-31")} - kept
    )


def test_what_was_written_within_the_hour_is_left_alone(tmp_path):
    """One new result in an old run's folder, and the run is not touched."""
    storage_with(tmp_path, ["finished"] * 2 + ["absent"] * 13)
    Store(str(tmp_path)).write_bytes(f"ray/{PLAN.trials[0].run.fingerprint()}/state.json", b"x")
    run_store(str(tmp_path), PLAN.trials[0].run).write_bytes("evaluate/new.npz", b"")
    garbage = find(str(tmp_path), encoders=True)
    assert {g.name.split("/")[1] for g in garbage} == {PLAN.trials[1].run.fingerprint()}


def test_leftovers_of_every_kind(tmp_path):
    """Each with its near twin that must stay."""
    storage_with(tmp_path, ["finished", "started"] + ["absent"] * 13, report=False)
    done, going = (t.run.fingerprint() for t in PLAN.trials[:2])
    names = {
        f"ray/{done}/a/snapshot.json": "notes of Ray Train",
        f"ray/{going}/a/snapshot.json": "",
        f"runs/{going}/{CHECKPOINT}.0123abcd.tmp": "temporary files",
        f"runs/{going}/my.tmp": "",
        "reports/toy/table.csv.0123abcd.tmp": "temporary files",
        "shards/a/plan.json": "unfinished shards",
        "shards/a/part-00000.parquet": "unfinished shards",
        "shards/a/part-00001.parquet.0123abcd.tmp": "unfinished shards",
        "shards/b/plan.json": "",
        "shards/b/manifest.json": "",
        "shards/c/not-ours.txt": "",
        ".writable-0123abcd": "probes",
        "shards/b/.writable-0123abcd": "probes",
        ".shared/probe": "probes",
        ".writable-mine": "",
        "mlflow/x.0123abcd.tmp": "",
    }
    for name in names:
        Store(str(tmp_path)).write_bytes(name, b"12345")
    age(tmp_path, 2 * DAY)
    finished = {f"runs/{done}/{CHECKPOINT}", f"runs/{done}/{EMBEDDINGS}"}
    before = set(content(tmp_path))
    garbage = find(str(tmp_path))
    kinds = {g.kind for g in garbage}
    assert kinds == set(module.KINDS) - {"encoders", "given-up checkpoints", "last embeddings"}
    assert {g.name: g.size for g in garbage}["shards/a"] == 15
    free(str(tmp_path), garbage)
    gone = before - set(content(tmp_path))
    assert gone == {name for name, kind in names.items() if kind} | finished
    assert not (tmp_path / "shards/a").exists()
    free(str(tmp_path), garbage)  # another one was faster


def test_shards_are_given_a_day_and_an_ingestion_at_work_all_the_time(tmp_path):
    Store(str(tmp_path)).write_bytes("shards/a/plan.json", b"x")
    Store(str(tmp_path)).write_bytes("shards/a/part-00000.parquet.0123abcd.tmp", b"x")
    for hours, expected in ((2, []), (23, []), (25, ["shards/a"])):
        age(tmp_path, hours * HOUR)
        assert [g.name for g in find(str(tmp_path))] == expected
    Store(str(tmp_path)).write_bytes("shards/a/part-00007.parquet", b"x")
    assert [g.name for g in find(str(tmp_path))] == ["shards/a/part-00000.parquet.0123abcd.tmp"]


def test_an_object_store_is_treated_alike(tmp_path, monkeypatch):
    """Through a file system that is not pyarrow's local one, as S3's is not."""
    storage_with(tmp_path / "bucket" / "clef", ["finished", "started"] + ["absent"] * 13, report=False)
    remote = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())

    def at(store, name):
        path = store.uri.removeprefix("s3://")
        return remote, f"{path}/{name}" if name else path

    monkeypatch.setattr(Store, "_at", at)
    garbage = find("s3://bucket/clef")
    done = f"runs/{PLAN.trials[0].run.fingerprint()}"
    assert [g.name for g in garbage] == [f"{done}/{CHECKPOINT}", f"{done}/{EMBEDDINGS}"]
    before = set(content(tmp_path))
    free("s3://bucket/clef", garbage)
    assert before - set(content(tmp_path)) == {f"bucket/clef/{g.name}" for g in garbage}


@pytest.mark.parametrize("days", [-1.0, float("nan")])
def test_days_that_are_none_are_refused(tmp_path, days):
    with pytest.raises(ConfigError, match="--older-than"):
        find(str(tmp_path), older_than=days)


def test_a_storage_that_is_not_there_has_nothing(tmp_path):
    assert find(str(tmp_path / "none"), encoders=True) == []


def test_the_verb_says_what_and_a_dry_run_touches_nothing(tmp_path, capsys):
    storage_with(tmp_path, ["finished"] * 3 + ["started"] * 12)
    options = {"storage": str(tmp_path), "older_than": 0.0, "encoders": False}
    before = content(tmp_path)
    assert verb(Namespace(**options, dry_run=True, json=False)) == 0
    assert content(tmp_path) == before
    said = capsys.readouterr().out
    assert "Would free" in said
    assert "checkpoints" in said
    assert "embeddings" in said
    assert "3" in said
    assert verb(Namespace(**options, dry_run=False, json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    gone = before.keys() - content(tmp_path).keys()
    assert {item["name"] for item in told["items"]} == gone
    assert len(gone) == 6
    assert told["bytes"] == sum(len(before[name]) for name in gone)
    assert verb(Namespace(**options, dry_run=False, json=False)) == 0
    assert "Nothing to free" in capsys.readouterr().out


def test_what_cannot_be_deleted_is_named(tmp_path):
    with pytest.raises(StorageError, match="cannot delete"):
        Store(str(tmp_path)).delete("x" * 300)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9960, "10 kB"),
        (999_600, "1.0 MB"),
        (3.2e9, "3.2 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_amounts_as_a_person_reads_them(size, said):
    assert amount(size) == said
