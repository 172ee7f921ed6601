"""The embeddings as pictures."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ablation_outcomes import toy

from clef_ray.ablation import Outcome, plan
from clef_ray.config import task_spec
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.evaluate.features import Features, stored_features
from clef_ray.evaluate.inputs import SELECTION
from clef_ray.evaluate.run import TaskResult
from clef_ray.registry import TASKS
from clef_ray.report._style import png, svg, svg_file
from clef_ray.report.clouds import Cloud, _maps, _similarities, clouds
from clef_ray.shards import Manifest
from clef_ray.trial import run_store

PEOPLE = 60


def cloud(found, made_up=True, **columns):
    table = Synthetic(patients=PEOPLE, records_per_patient=1).table().assign(**columns)
    return Cloud("others", made_up, ("NORM", "AF", "MI"), "label_diagnosis", table, found)


def random(seed, dims=8):
    return np.random.default_rng(seed).normal(size=(PEOPLE, dims))


@pytest.fixture(scope="module")
def maps():
    return {
        d.title: d
        for d in _maps(cloud({("clef", 0): random(0), ("clef", 1): random(1), ("random", 3): random(2)}))
    }


def test_a_map_for_risk_class_and_age_with_a_panel_per_arm(maps):
    assert [*maps] == [
        "t-SNE map by score2, others",
        "t-SNE map by class, others",
        "t-SNE map by age, others",
        "principal axes map by score2, others",
    ]
    for drawing in maps.values():
        titles = [axes.get_title() for axes in drawing.figure.axes]
        assert [t for t in titles if t] == ["clef", "random"]
        assert f"n = {PEOPLE} patients" in drawing.caption
        assert "real patients" not in drawing.caption


def test_no_file_holds_a_points_place_or_a_name(maps):
    drawing = maps["t-SNE map by score2, others"]
    for written in (svg_file(drawing).decode(), svg(drawing)):
        assert "<image" in written
        assert len(re.findall("<use", written)) < PEOPLE / 2
        assert "p000001" not in written
    assert png(drawing).startswith(b"\x89PNG")


def test_the_caption_of_real_patients_says_how_to_share_it():
    assert all("real patients" in d.caption for d in _maps(cloud({("clef", 0): random(0)}, made_up=False)))


def test_what_is_not_known_of_anybody_has_no_map():
    drawn = _maps(cloud({("clef", 0): random(0)}, age=np.nan, label_diagnosis=pd.Series([None] * PEOPLE)))
    assert [d.title for d in drawn] == ["t-SNE map by class, others"]


def test_embeddings_that_are_turned_are_alike_and_strangers_are_not():
    z, turn = random(0), np.linalg.qr(random(5)[:8])[0]
    drawing = _similarities(
        cloud({("a", 0): z, ("a", 1): z @ turn, ("b", 0): 3 * z @ turn, ("c", 0): random(7)})
    )
    said = dict(re.findall(r"(\w and \w) (-?\d\.\d\d)", drawing.alt))
    assert said["a and a"] == said["b and a"] == "1.00"
    assert abs(float(said["c and a"])) < 0.2
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert texts.count("one seed") == 2  # b and c with themselves


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """A plan of two arms, one of whose runs has kept its embeddings of the target, written as an evaluation writes them."""
    made = plan(replace(toy(), clouds="others", targets={"others": "/data/others"}), "abc", seeds=1).on(
        "abc", targets={"others": "def"}
    )
    table = Synthetic(patients=PEOPLE, records_per_patient=2).table()
    facts = {
        "fingerprint": "def",
        "dataset": "synthetic",
        "leads": ("II", "I"),
        "label_sets": {},
        "headline": "",
    }
    manifest = SimpleNamespace(**facts)
    monkeypatch.setattr(Manifest, "load", staticmethod(lambda folder: {"/shards": manifest}[folder]))
    monkeypatch.setattr("clef_ray.report.clouds.read_table", lambda _: table)
    outcomes = [Outcome(t, "COMPLETE", {"a": TaskResult()}) for t in made.trials]
    run = made.trials[0].run.canonical()
    z_ND = np.random.default_rng(0).normal(size=(len(table), 8)).astype(np.float32)
    encoder = SimpleNamespace(features=lambda x: z_ND[: len(x)])
    corpus = SimpleNamespace(
        manifest=manifest,
        leads=("I",),
        fs=run.signals.fs,
        table=table,
        millivolts=lambda rows, _: np.zeros((len(rows), 9)),
    )
    Features(run, lambda: encoder, corpus, run_store(str(tmp_path), run))(TASKS.get("geometry")())
    return made, outcomes, str(tmp_path), table


def test_the_corpus_that_is_asked_for_is_drawn_from_what_the_runs_have_kept(judged):
    made, outcomes, storage, table = judged
    drawn, lacking = clouds(made, outcomes, storage, {"target others": "/shards"})
    n = len(made.trials)
    assert lacking.startswith(f"{n - 1} of {n} runs have not kept their embeddings of others")
    assert clouds(made, outcomes[:1], storage, {"target others": "/shards"})[1] == ""
    arm = made.trials[0].arm.name
    assert [axes.get_title() for axes in drawn[0].figure.axes][:1] == [arm]
    people = table[table.fold != 9].patient.nunique()
    assert f"n = {people} patients" in drawn[0].caption
    assert "class" not in " ".join(d.title for d in drawn)


def test_embeddings_are_those_of_this_corpus_and_lead(judged):
    made, _, storage, table = judged
    run = made.trials[0].run.canonical()
    kept = [
        stored_features(run, *which, run_store(storage, run))
        for which in (("def", "I"), ("ghi", "I"), ("def", "II"))
    ]
    assert kept[0].shape == (len(table), 8)
    assert kept[1:] == [None, None]


def test_the_patients_for_choosing_are_drawn_where_they_are_judged(judged):
    made, outcomes, storage, table = judged
    choosing = replace(made, split="selection")
    drawn, _ = clouds(choosing, outcomes, storage, {"target others": "/shards"})
    people = table[SELECTION.rows(table).test].patient.nunique()
    assert people < table[table.fold != 9].patient.nunique()
    assert f"n = {people} patients" in drawn[0].caption


def test_the_lead_is_the_one_that_the_tasks_look_at(judged):
    """Only lead I was kept; a plan that asks of lead II first has nothing to draw."""
    made, outcomes, storage, _ = judged
    there = {"target others": "/shards"}
    of_ii = replace(made, tasks=(task_spec("diagnosis:lead=II"), task_spec("diagnosis")))
    drawn, lacking = clouds(of_ii, outcomes[:1], storage, there)
    assert (drawn, lacking[:10]) == ([], "1 of 1 run")
    no_v5 = replace(made, tasks=(task_spec("diagnosis:lead=V5"), task_spec("diagnosis:lead=any")))
    assert clouds(no_v5, outcomes[:1], storage, there)[0], "the corpus has no V5, so nobody looked at it"


def test_nothing_is_drawn_unasked_or_without_its_corpus_and_the_reason_is_given(judged):
    made, outcomes, storage, _ = judged
    there = {"target others": "/shards"}
    unasked = replace(made, ablation=replace(made.ablation, clouds=None))
    assert clouds(unasked, outcomes, storage, there) == ([], "")
    not_drawn = "The embeddings are not drawn: "
    assert clouds(replace(made, targets=()), outcomes, storage, there) == (
        [],
        f"{not_drawn}nobody was judged on others.",
    )
    another = replace(made, targets=(("others", "another"),))
    assert clouds(another, outcomes, storage, there) == (
        [],
        f"{not_drawn}where their corpus was there is another one by now.",
    )


def test_a_corpus_that_is_gone_is_not_drawn(tmp_path):
    made = plan(replace(toy(), clouds=""), "abc", seeds=1)
    assert clouds(made, [], str(tmp_path), {"data": str(tmp_path)}) == (
        [],
        "The embeddings are not drawn: their corpus is no longer where it was.",
    )
