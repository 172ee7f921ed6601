"""`--target NAME=DATA`: encoders judged on further corpora, and tasks that no corpus can answer told before anything starts."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.cli import Parser, dryrun, experiment, main
from clef_ray.cli.actions import _leakage, _require_home
from clef_ray.cli.data import check_tasks, facts_of, find
from clef_ray.cli.options import add_options, targets_of
from clef_ray.cli.targets import judged_on
from clef_ray.cluster import stream
from clef_ray.cluster.capacity import Request, Room
from clef_ray.config import Run, override, task_spec
from clef_ray.errors import ConfigError, DataError
from clef_ray.shards import ingest_local
from clef_ray.store import Store

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
        ("probe=x", "--target probe: a task, or a part of one's metrics, is called so"),
        ("zeroshot=x", "--target zeroshot: a task"),
        ("by_record=x", "--target by_record: a task"),
        ("knn=x", "--target knn: a task"),
        ("ptbxl_rhythm=x", "--target ptbxl_rhythm: a task"),
        ("other=", "--target other=: there is no such target to leave out; give other=DATA"),
    ],
)
def test_a_name_that_cannot_begin_a_metrics_is_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        targets_of({}, [text])


def test_a_target_of_the_experiments_is_left_out_where_no_data_are_given():
    assert targets_of({"a": "/data/a", "b": "/data/b"}, ["a="]) == {"b": "/data/b"}
    assert targets_of({"a": "/data/a"}, ["a="]) == {}


ELSEWHERE = Ablation(
    name="toy",
    question="?",
    expect="",
    arms=(Arm("random", {"method": "random"}),),
    base="random",
    seeds=(0,),
    headline=("a/probe/f1", "leak/gap", "probe/f1", "b/probe/f1", "zeroshot/rsa"),
    targets={"a": "synthetic:seed=9", "b": "synthetic:seed=8"},
    gaps={"leak/gap": ("b/probe/f1", "probe/f1")},
    clouds="b",
)
HERE = replace(ELSEWHERE, headline=ELSEWHERE.headline[2:])


def test_arms_are_compared_on_a_corpus_that_the_command_adds():
    """Under its name in the metrics of the corpus of pretraining; before made-up people where the question is about others."""
    own, real = dict(ELSEWHERE.targets), {**ELSEWHERE.targets, "c": "/data/c", "d": "/data/d"}
    added = ("c/probe/f1", "d/probe/f1", "c/zeroshot/rsa", "d/zeroshot/rsa")
    assert judged_on(ELSEWHERE, "synthetic", own) == ELSEWHERE
    assert judged_on(ELSEWHERE, "synthetic:patients=9", real).headline == ELSEWHERE.headline + added
    assert judged_on(ELSEWHERE, "/data/ptbxl", real).headline == added + ELSEWHERE.headline
    assert judged_on(HERE, "/data/ptbxl", real).headline == HERE.headline + added
    mixed = judged_on(ELSEWHERE, "/data/ptbxl", {**own, "e": "synthetic:seed=7", "c": "/data/c"}).headline
    assert mixed == (
        "c/probe/f1",
        "c/zeroshot/rsa",
        *ELSEWHERE.headline,
        "e/probe/f1",
        "e/zeroshot/rsa",
    )


def test_the_command_line_asks_so(monkeypatch):
    class AskedError(Exception): ...

    def told(ablation, *_, **__):
        raise AskedError(ablation.headline)

    monkeypatch.setattr(experiment, "plan", told)
    parser = Parser()
    add_options(parser)
    for words, headline in (
        ([], HERE.headline),
        (
            ["--target", "c=/x", "--target", "a="],
            ("probe/f1", "b/probe/f1", "zeroshot/rsa", "c/probe/f1", "c/zeroshot/rsa"),
        ),
    ):
        with pytest.raises(AskedError) as caught:
            experiment.ablate(HERE, parser.parse_args(words), Console())
        assert caught.value.args == (headline,)


def test_what_was_asked_of_a_target_that_is_left_out_is_not_asked():
    left = judged_on(ELSEWHERE, "synthetic", {"a": "synthetic:seed=9"})
    assert left.headline == ("a/probe/f1", "probe/f1", "zeroshot/rsa")
    assert (left.targets, left.gaps, left.clouds) == ({"a": "synthetic:seed=9"}, {}, None)
    kept = judged_on(ELSEWHERE, "synthetic", {"b": "synthetic:seed=8"})
    assert kept.headline == ELSEWHERE.headline[1:]
    assert (kept.gaps, kept.clouds) == (ELSEWHERE.gaps, "b")
    with pytest.raises(ConfigError, match="without a nothing is left that toy asks"):
        judged_on(replace(ELSEWHERE, headline=("a/probe/f1",)), "synthetic", {"b": "synthetic:seed=8"})


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


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("/nowhere/at/all", "--target other=/nowhere/at/all: no such path"),
        ("syntetic", r"unknown dataset 'syntetic' \(in --target other; there is no such path"),
        ("synthetic:patients", "--target other=synthetic:patients: 'patients' is no key=value"),
        ("synthetic:patient=3", "--target other=synthetic.*Did you mean 'patients'"),
        ("ptbxl", r"--target other=ptbxl: give ptbxl:root="),
        ("s3://no-such/place", "--target other=s3://no-such/place: there is no"),
        ("{tmp_path}", "--target other=.*: is empty.*--target other=NAME:root="),
    ],
)
def test_what_is_wrong_with_a_targets_data_is_said_of_the_target(other, said, tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "exists", lambda *_: False)
    with pytest.raises((ConfigError, DataError), match=said) as caught:
        checked("diagnosis", other=other.format(tmp_path=tmp_path))
    assert "--data" not in str(caught.value)


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
    monkeypatch.setattr(dryrun, "step_seconds", lambda run, micro_batch, table: 0.1)
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
    out, told = capsys.readouterr()
    assert told.startswith("Leakage: none found: pretraining saw 0 patients; the other 40 were held out")
    assert "(synthetic, other)" in told
    found = json.loads(out)
    assert found["probe_age/n_test"] == 4
    assert found["other/probe_age/n_test"] == 5
    assert found["probe_age/mae"] != found["other/probe_age/mae"]
    assert main([*command, "--target", f"other={OTHER}"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Leakage: none found")
    assert "other/probe_age/mae" in out
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


@pytest.fixture
def folders(tmp_path):
    """(the shards of SMALL, their fingerprint), and those of the same people with another record each."""
    made = [tmp_path / name for name in ("own", "again")]
    marks = [
        ingest_local(find(data, 100).build(), str(at)).fingerprint
        for data, at in zip((SMALL, SMALL.replace("patient=1", "patient=2")), made, strict=True)
    ]
    return str(made[0]), str(made[1]), marks[0]


def test_people_of_pretraining_among_those_that_are_judged_are_told_by_evaluate_too(folders):
    own, again, mark = folders
    run = override(Run(data=mark), {})
    assert _leakage(run, "x", own, {}, ()).startswith("none found: pretraining saw 32 patients")
    assert _leakage(run, "x", own, {"more": again}, ()).startswith("FOUND: ")
    untrained = _leakage(override(run, {"method": "random"}), "x", own, {"more": again}, ())
    assert untrained.startswith("none found: pretraining saw 0 patients"), (
        "nobody was seen by initial weights"
    )


def test_evaluate_says_where_leakage_cannot_be_looked_for(folders):
    own, _, mark = folders
    told = _leakage(override(Run(data="0123456789abcdef"), {}), "/some/data", own, {}, ())
    assert told.startswith(f"NOT CHECKED: --data /some/data ({mark[:8]}) is not what the run was pretrained")
    assert "01234567" in told
