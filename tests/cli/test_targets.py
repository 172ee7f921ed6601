"""`--target NAME=DATA`: encoders judged on further corpora, and tasks that no corpus can answer told before anything starts."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.cli import dryrun, main
from clef_ray.cli.actions import _require_home
from clef_ray.cli.data import check_tasks, facts_of, find
from clef_ray.cli.options import targets_of
from clef_ray.cluster import stream
from clef_ray.cluster.capacity import Request, Room
from clef_ray.config import Run, override, task_spec
from clef_ray.errors import ConfigError, DataError
from clef_ray.shards import ingest_local

SMALL = "synthetic:patients=40,records_per_patient=1"
OTHER = "synthetic:patients=41,records_per_patient=1"


def test_targets_are_named_and_the_commands_come_over_the_experiments():
    declared = {"a": "/data/a", "b": "/data/b"}
    assert targets_of(declared, []) == declared
    found = targets_of(declared, ["b=synthetic:patients=7,seed=3", "cinc.2017-x_1 = s3://bucket/c"])
    assert found == {"a": "/data/a", "b": "synthetic:patients=7,seed=3", "cinc.2017-x_1": "s3://bucket/c"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "/data/cinc2017",
            r"--target /data/cinc2017: give KEY=VALUE, e\.g\. --target cinc2017=/data/cinc2017",
        ),
        ("=x", "--target : letters, digits"),
        ("a/b=x", "--target a/b: letters, digits"),
        ("-a=x", "--target -a: letters, digits"),
        ("a b=x", "--target a b: letters, digits"),
    ],
)
def test_a_name_that_cannot_begin_a_metrics_is_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        targets_of({}, [text])


def checked(*tasks, data=SMALL, **targets):
    check_tasks(tuple(map(task_spec, tasks)), data, targets, 100)


def test_what_a_dataset_will_say_is_what_its_manifest_says(tmp_path):
    planned, found = facts_of(SMALL, 100), find(SMALL, 100)
    said = ingest_local(found.build(), str(tmp_path / "x"))
    for fact in ("dataset", "leads", "label_sets", "headline", "targets"):
        assert (
            getattr(planned, fact) == getattr(said, fact) == getattr(facts_of(str(tmp_path / "x"), 100), fact)
        )


def test_one_corpus_that_can_answer_is_enough():
    checked("diagnosis", "score_spearman:score=age", "probe_age", "diagnosis:lead=V5")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("diagnosis:labels=rythm", r"unknown label set 'rythm' \(in task diagnosis\.labels\)\..*Available: "),
        ("cinc2017_rhythm", "it asks about cinc2017, and these are records of synthetic"),
    ],
)
def test_a_task_that_no_corpus_can_answer_names_each_reason(task, said):
    with pytest.raises(ConfigError, match=rf"task '.*--data {SMALL}: {said}.*--target other={OTHER}: {said}"):
        checked("probe_age", task, other=OTHER)


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two tasks are called 'probe'"):
        checked("diagnosis", "diagnosis:min_positives=9")


def test_a_target_that_is_not_there_is_told():
    with pytest.raises(DataError, match="no such path"):
        checked("diagnosis", other="/nowhere/at/all")


ABLATION = Ablation(
    name="toy",
    question="Which one?",
    expect="One.",
    arms=(Arm("random", {"method": "random"}),),
    base="random",
    seeds=(0, 1),
    tasks=("diagnosis", "probe_age"),
    settings={"signals.fs": 100, "signals.seconds": 2, "views.lead": "I"},
)


@pytest.fixture
def dry(tmp_path, monkeypatch):
    """dry(targets, plan) -> what a dry run prints, on a cluster that is not there."""
    monkeypatch.setattr(dryrun, "check", lambda request: Room(2, {}))
    monkeypatch.setattr(dryrun, "step_seconds", lambda run, micro_batch: 0.1)
    monkeypatch.setattr(stream, "live_nodes", lambda: {"a": {"object_store_memory": 1e9}})

    def call(targets, ablation=ABLATION):
        out = io.StringIO()
        request, console = Request(1, 1.0, 0.0, None), Console(file=out, width=80)
        assert dryrun.show(plan(ablation, ""), SMALL, str(tmp_path), request, console, targets) == 0
        return out.getvalue()

    return call


def test_a_dry_run_names_the_targets_and_ingests_nothing(dry, tmp_path):
    said = dry({"other": OTHER})
    assert "data: 40 records of 40 patients, to be ingested into" in said
    assert "also judged on other: 41 records of 41 patients, to be ingested into" in said
    assert "trials are finished" not in said
    assert not list(tmp_path.iterdir())


def test_a_dry_run_looks_for_results_where_all_corpora_are_there(dry, tmp_path):
    for named in (SMALL, OTHER):
        found = find(named, 100)
        ingest_local(found.build(), found.default_folder(str(tmp_path)))
    said = dry({"other": OTHER})
    assert "also judged on other: 41 records of 41 patients, in " in said
    assert "0 trials are finished" in said


def test_a_dry_run_refuses_what_the_run_would(dry):
    with pytest.raises(ConfigError, match="no corpus can answer task 'cinc2017_rhythm'"):
        dry({"other": OTHER}, replace(ABLATION, tasks=("cinc2017_rhythm",)))


@pytest.fixture
def trained(tmp_path, monkeypatch, capsys):
    """The folder of a run of initial weights."""
    monkeypatch.chdir(tmp_path)
    settings = ["method=random", "signals.fs=100", "signals.seconds=2", "views.lead=I"]
    given = [part for setting in settings for part in ("--set", setting)]
    assert main(["pretrain", "--data", SMALL, *given]) == 0
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_a_run_is_judged_on_targets_beside_its_own_corpus(trained, capsys):
    command = ["evaluate", trained, "--data", SMALL, "--tasks", "probe_age"]
    assert main([*command, "--target", f"other={OTHER}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["probe_age/n_test"] == 4
    assert found["other/probe_age/n_test"] == 5
    assert found["probe_age/mae"] != found["other/probe_age/mae"]
    assert main([*command, "--target", f"other={OTHER}"]) == 0
    assert "other/probe_age/mae" in capsys.readouterr().out
    assert (
        main(
            [
                "evaluate",
                trained,
                "--data",
                SMALL,
                "--tasks",
                "diagnosis:labels=rythm",
                "--target",
                f"o={OTHER}",
            ]
        )
        == 2
    )
    told = capsys.readouterr().err
    assert told.count("unknown label set 'rythm'") == 2
    assert "probe/rythm" in told


def test_targets_stand_beside_the_corpus_of_pretraining():
    run = override(Run(data="0123456789abcdef"), {})
    _require_home(run, "x", "0123456789abcdef")
    _require_home(override(run, {"method": "random"}), "x", "fedcba9876543210")
    with pytest.raises(
        ConfigError, match=r"--data x \(fedcba98\) is not what the run was pretrained on \(01234567\)"
    ):
        _require_home(run, "x", "fedcba9876543210")
