import json
import math
import os
import shutil
import socket
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import pytest
from ablation_outcomes import LINEAGE, VALUES, complete, outcomes, toy_plan
from mlflow_server import Server, free_port
from mlflow_store import Read, Table

from clef_ray.ablation import Outcome
from clef_ray.config import to_dict
from clef_ray.errors import ConfigError, TrackingError
from clef_ray.evaluate.run import TaskResult
from clef_ray.store import Store
from clef_ray.tracking import default_uri, reach
from clef_ray.tracking.client import check
from clef_ray.tracking.machine import Sampler
from clef_ray.tracking.mlflow import MlflowTracker

MADE = toy_plan()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> Path:
    """A database as `check` creates it; migrating takes seconds, copying does not."""
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    check(f"sqlite:///{path}")
    return path


def _copy(migrated: Path, folder: Path) -> str:
    (folder / "mlflow").mkdir()
    shutil.copy(migrated, folder / "mlflow" / "mlflow.db")
    return default_uri(Store(str(folder)))


@pytest.fixture
def uri(migrated, tmp_path) -> str:
    return _copy(migrated, tmp_path)


def _record(uri: str, found: list[Outcome], folder: Path) -> None:
    """What an experiment does from its first to its last call."""
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    for outcome in found:
        tracker.open_trial(outcome.trial)
        for row in outcome.history:
            tracker.log_epochs(outcome.trial, [row])
        tracker.close_trial(outcome)
    (folder / "report.html").write_text("<p>a report")
    tracker.close_ablation(Table(MADE, found), {"report.html": str(folder / "report.html")})


@pytest.fixture(scope="module")
def read(migrated, tmp_path_factory) -> Read:
    """A whole ablation, recorded once."""
    folder = tmp_path_factory.mktemp("recorded")
    uri = _copy(migrated, folder)
    _record(uri, _mixed(), folder)
    return Read(uri)


def _mixed() -> list[Outcome]:
    """Complete, failed and shared trials, one with a metric that is NaN."""
    found = outcomes(MADE, VALUES)
    found[0] = Outcome(found[0].trial, "FAILED", reason="out of memory")
    found[1] = replace(found[1], shared_with="clef-31 seed 1")
    found[2] = complete(found[2].trial, 0.84, **{"zeroshot/rsa_p": math.nan})
    return found


def test_structure(read):
    """One experiment, one parent that carries the question, one child per arm and seed that points to it."""
    assert (len(read.children), len(read.arms), len(read.runs)) == (15, 5, 21)
    assert read.parent.data.tags["clef_ray.plan"] == MADE.fingerprint()
    assert "Do more negatives help?" in read.parent.data.tags["mlflow.note.content"]
    assert (
        read.parent.data.tags["clef_ray.git_commit"]
        == read.parent.data.tags["mlflow.source.git.commit"]
        == "0123456789ab"
    )
    assert read.parent.data.tags["clef_ray.torch"] == "2.13.0"
    assert set(read.children) == {f"{t.arm.name} seed {t.seed}" for t in MADE.trials}
    for trial in MADE.trials:
        run = read.children[f"{trial.arm.name} seed {trial.seed}"]
        assert run.data.tags["mlflow.parentRunId"] == read.parent.info.run_id
        wanted = {"arm": trial.arm.name, "seed": str(trial.seed), "fingerprint": trial.run.fingerprint()}
        assert wanted.items() <= run.data.tags.items()
        assert json.loads(run.data.tags["config"]) == to_dict(trial.run.canonical())
        assert run.inputs.dataset_inputs[0].dataset.digest == MADE.data


def test_the_shards_are_an_input_by_digest(read):
    (used,) = read.parent.inputs.dataset_inputs
    assert used.dataset.digest == MADE.data
    assert "/data/shards/synthetic" in used.dataset.source


def test_metrics_per_epoch_and_final(read):
    assert read.history("simclr-1 seed 2", "train/loss") == pytest.approx([3.297, 2.297, 1.297])
    final = read.children["simclr-1 seed 2"].data.metrics
    wanted = {
        "probe/auroc": 0.703,
        "probe/auroc_low": 0.6555,
        "probe/auroc_high": 0.7505,
        "probe/auroc/AF": 0.713,
        "probe/n_test": 40,
    }
    wanted |= {"zeroshot/rsa": 0.203, "seconds/pretrain": 2.0}
    assert {name: final[name] for name in wanted} == pytest.approx(wanted)
    assert "probe/auroc/AF_low" not in final


def test_failures_sharing_and_undefined_metrics_are_visible(read):
    children = read.children
    failed, shared, undefined = (children[f"clef-1 seed {seed}"] for seed in range(3))
    assert (failed.info.status, failed.data.tags["state"], failed.data.tags["reason"]) == (
        "FAILED",
        "FAILED",
        "out of memory",
    )
    assert (shared.info.status, shared.data.tags["shared_with"]) == ("FINISHED", "clef-31 seed 1")
    assert undefined.data.tags["not_finite"] == "zeroshot/rsa_p"
    assert "zeroshot/rsa_p" not in undefined.data.metrics


def test_artifacts_lie_beside_the_database(read):
    names = {f.path for f in read.client.list_artifacts(read.parent.info.run_id)}
    assert names == {"report.html", "comparison.csv", "arms.json", "environment.txt", "machine.json"}
    assert read.experiment.artifact_location.endswith("/recorded0/mlflow/artifacts/toy")
    assert Path(read.parent.info.artifact_uri.removeprefix("file://"), "report.html").exists()
    assert read.parent.data.tags["answer"] == Table.answer
    assert read.parent.info.status == "FINISHED"


def test_a_second_start_changes_nothing(uri, tmp_path):
    """Same plan, same results: no further run, no repeated epoch or final value, the old times."""
    some = _mixed()[:4]
    _record(uri, some, tmp_path)
    first = Read(uri)
    _record(uri, some, tmp_path)
    second = Read(uri)
    assert len(second.runs) == len(first.runs)
    for name, run in second.children.items():
        for metric in run.data.metrics:
            assert len(second.history(name, metric)) == len(first.history(name, metric)), (name, metric)
        if run.info.status == "FINISHED":
            assert run.info.end_time == first.children[name].info.end_time
    assert len(second.parent.inputs.dataset_inputs) == 1


def test_a_changed_plan_is_another_parent(uri):
    MlflowTracker(uri).open_ablation(MADE, LINEAGE)
    MlflowTracker(uri).open_ablation(toy_plan(seeds=(0, 1)), LINEAGE)
    assert len(Read(uri).parents) == 2


def test_a_restart_goes_on_after_the_last_epoch(uri):
    trial, history = MADE.trials[0], complete(MADE.trials[0], 0.8).history
    for known in (history[:2], history):
        tracker = MlflowTracker(uri)
        tracker.open_ablation(MADE, LINEAGE)
        tracker.log_epochs(trial, known)
    assert Read(uri).history("clef-1 seed 0", "train/loss") == pytest.approx([3.2, 2.2, 1.2])


@pytest.mark.parametrize("restarted", [False, True])
def test_an_epoch_whose_record_was_lost_is_added_at_the_end(uri, restarted):
    """Killed between checkpoint and log, a trial goes on with the epoch after; an undefined loss is no lost epoch."""
    history = [{"epoch": e, "loss": math.nan if e == 2 else 4.0 - e, "lr": 1e-3} for e in range(4)]
    done = replace(complete(MADE.trials[0], 0.8), history=history)
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.log_epochs(done.trial, [history[0], *history[2:]])
    if restarted:
        tracker = MlflowTracker(uri)
        tracker.open_ablation(MADE, LINEAGE)
    tracker.close_trial(done)
    read = Read(uri)
    assert read.history("clef-1 seed 0", "train/lr") == pytest.approx([1e-3] * 4)
    run_id = read.children["clef-1 seed 0"].info.run_id
    losses = sorted((m.step, m.value) for m in read.client.get_metric_history(run_id, "train/loss"))
    assert losses == [(0, 4.0), (1, 3.0), (3, 1.0)]


def test_interrupted_runs_are_killed_and_opened_again(uri):
    """Ctrl-C leaves nothing RUNNING, also not what an older process left; a second start continues the same runs."""
    found = outcomes(MADE, VALUES)
    lost = MlflowTracker(uri)
    lost.open_ablation(MADE, LINEAGE)
    lost.open_trial(found[2].trial)
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.close_trial(found[0])
    tracker.open_trial(found[1].trial)
    assert Read(uri).statuses() == {"RUNNING", "FINISHED"}
    tracker.interrupt()
    read = Read(uri)
    assert {name: run.info.status for name, run in read.children.items()} == {
        "clef-1 seed 0": "FINISHED",
        "clef-1 seed 1": "KILLED",
        "clef-1 seed 2": "KILLED",
    }
    assert read.parent.info.status == "KILLED"
    again = MlflowTracker(uri)
    again.open_ablation(MADE, LINEAGE)
    again.open_trial(found[1].trial)
    assert Read(uri).children["clef-1 seed 1"].info.status == "RUNNING"
    again.close_trial(found[1])
    assert Read(uri).children["clef-1 seed 1"].info.status == "FINISHED"
    assert Read(uri).parent.info.status == "RUNNING"
    MlflowTracker(uri).interrupt()  # before anything was opened there is nothing to do


def test_a_failed_trial_that_succeeds_later_has_no_reason_left(uri):
    trial = MADE.trials[0]
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.close_trial(Outcome(trial, "FAILED", reason="node lost"))
    tracker.close_trial(complete(trial, 0.8))
    run = Read(uri).children["clef-1 seed 0"]
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "COMPLETE")
    assert not run.data.tags.get("reason")


def test_a_skipped_task_says_why(uri):
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.close_trial(
        Outcome(MADE.trials[0], "COMPLETE", {"probe": TaskResult(skipped="no class with 10 positives")})
    )
    assert Read(uri).children["clef-1 seed 0"].data.tags["skipped.probe"] == "no class with 10 positives"


def test_a_deleted_experiment_is_restored(uri):
    MlflowTracker(uri).open_ablation(MADE, LINEAGE)
    read = Read(uri)
    read.client.delete_experiment(read.experiment.experiment_id)
    MlflowTracker(uri).open_ablation(MADE, LINEAGE)
    assert Read(uri).experiment.lifecycle_stage == "active"


def test_calls_in_the_wrong_order_are_a_programming_error(uri):
    with pytest.raises(RuntimeError, match="open_ablation"):
        MlflowTracker(uri).open_trial(MADE.trials[0])


class _NotMlflow(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *args):
        pass


@pytest.fixture
def other_server():
    server = HTTPServer(("127.0.0.1", 0), _NotMlflow)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "template", ["http://127.0.0.1:{port}", "postgresql://user:secret@127.0.0.1:{port}/mlflow"]
)
def test_a_dead_server_is_an_error_at_once(template):
    uri = template.format(port=free_port())
    begin = time.monotonic()
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1.*does not answer.*--tracking-uri") as caught:
        MlflowTracker(uri)
    assert time.monotonic() - begin < 10
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:secret@127.0.0.1:{port}",  # answers, but is no MLflow
        "http://user:secret@256.0.0.1",  # no port: a parser might take the password for it
        "postgresql://user:secret/x@127.0.0.1:9/mlflow",
        "postgres://user:secret@127.0.0.1:{port}/mlflow",  # a scheme that MLflow does not know
    ],
)
def test_no_error_shows_the_password(other_server, uri):
    uri = uri.format(port=other_server.rpartition(":")[2])
    with pytest.raises(TrackingError) as caught:
        check(uri)
    assert "secret" not in str(caught.value)
    assert "user:***@" in str(caught.value)


def test_user_and_password_are_no_part_of_the_host(other_server):
    with pytest.raises(TrackingError, match="HTTP 404"):
        check(other_server.replace("://", "://user:secret@"))


def test_a_silent_server_is_an_error_within_ten_seconds(monkeypatch):
    """It takes the connection and says nothing."""
    assert reach._ANSWER_SECONDS < 10
    monkeypatch.setattr(reach, "_ANSWER_SECONDS", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(TrackingError, match="does not answer"),
    ):
        check(f"http://127.0.0.1:{server.getsockname()[1]}")


def test_another_server_is_not_taken_for_mlflow(other_server):
    with pytest.raises(TrackingError, match="HTTP 404"):
        check(other_server)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="folder that can be written"):
        check(f"sqlite:///{tmp_path}/file/mlflow.db")
    (tmp_path / "notes.db").write_text("this is not a database, whatever its name says")
    with pytest.raises(TrackingError, match=r"notes\.db"):
        check(f"sqlite:///{tmp_path}/notes.db")


def test_a_folder_is_not_a_tracking_uri(tmp_path):
    with pytest.raises(TrackingError, match="mlruns"):
        check(str(tmp_path / "mlruns"))


def test_sqlite_needs_local_storage(tmp_path):
    assert default_uri(Store(str(tmp_path))) == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    with pytest.raises(ConfigError, match="--tracking-uri"):
        default_uri(Store("s3://bucket/clef"))


@pytest.mark.slow
def test_a_real_server(tmp_path):
    """`mlflow server` on the loopback: the same record through HTTP, artifacts through the server."""
    server = Server(tmp_path)
    try:
        server.start()
        _record(server.uri, [_mixed()[0], outcomes(MADE, VALUES)[8]], tmp_path)
        read = Read(server.uri)
        assert {name: run.info.status for name, run in read.children.items()} == {
            "clef-1 seed 0": "FAILED",
            "simclr-1 seed 2": "FINISHED",
        }
        assert read.parent.info.status == "FINISHED"
        assert read.history("simclr-1 seed 2", "train/loss") == pytest.approx([3.297, 2.297, 1.297])
        assert (tmp_path / "served").exists()
        assert "report.html" in {f.path for f in read.client.list_artifacts(read.parent.info.run_id)}
    finally:
        server.stop()


def test_trials_carry_the_settings_asked_about_and_not_what_follows_from_them(read):
    """The UI compares runs by their parameters: `imputation`, `loss.alpha` and twenty others differ too, since the loss does."""
    assert read.children["clef-31 seed 1"].data.params == {
        "arm": "clef-31",
        "loss.negatives": "31",
        "method": "clef",
        "seed": "1",
    }
    assert read.children["random seed 0"].data.params == {"arm": "random", "method": "random", "seed": "0"}
    assert read.children["random seed 0"].data.tags["clef_ray.kind"] == "trial"


def test_each_arm_is_a_run_of_its_own_with_means_and_intervals(read):
    arm = read.arms["simclr-1"]
    assert arm.data.tags["mlflow.parentRunId"] == read.parent.info.run_id
    assert arm.data.params == {"arm": "simclr-1", "loss.negatives": "1", "method": "simclr"}
    wanted = {"probe/auroc": 0.702, "probe/auroc_low": 0.692, "probe/auroc_high": 0.712, "seeds": 3.0}
    assert {name: arm.data.metrics[name] for name in wanted} == pytest.approx(wanted)
    lonely = read.arms["clef-1"].data  # one of its three seeds failed
    assert lonely.metrics["seeds"] == 2
    assert arm.info.status == "FINISHED"
    table = json.loads(_text(read, "arms.json"))
    assert table["columns"][:5] == ["arm", "seeds", "probe/auroc", "probe/auroc_low", "probe/auroc_high"]
    assert dict(zip(table["columns"], table["data"][2], strict=True))["probe/auroc"] == pytest.approx(0.702)


def _text(read: Read, name: str) -> str:
    return Path(read.parent.info.artifact_uri.removeprefix("file://"), name).read_text()


def test_the_environment_is_kept(read):
    """The packages as pip would install them, the machine, and whether the code was as committed."""
    lines = _text(read, "environment.txt").splitlines()
    assert f"numpy=={version('numpy')}" in lines
    assert all(line.count("==") == 1 for line in lines)
    machine = json.loads(_text(read, "machine.json"))
    assert machine["cores"] == str(os.cpu_count())
    assert machine["memory"].endswith(" GiB")
    assert read.parent.data.tags["clef_ray.gpus"] == machine["gpus"]
    assert read.parent.data.tags["clef_ray.git_dirty"] == "false"
    assert socket.gethostname() not in json.dumps(machine)


def test_a_changed_checkout_is_marked(uri):
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, {**LINEAGE, "git_commit": "0123456789ab-dirty"})
    tags = Read(uri).parent.data.tags
    assert (tags["clef_ray.git_dirty"], tags["mlflow.source.git.commit"]) == ("true", "0123456789ab")


def test_the_notes_answer_the_question_and_say_how_to_do_it_again(read):
    parts = read.parent.data.tags["mlflow.note.content"].split("\n\n")
    assert parts[0] == "**Question.** Do more negatives help? <b>&"
    assert parts[1] == f"**Answer.** {Table.answer}"
    note = "\n".join(parts)
    assert "- Toy data." in note
    assert "```\npython experiments/toy.py\n```" in note
    assert "compared with `clef-31`" in note
    child = read.children["simclr-1 seed 2"].data.tags["mlflow.note.content"]
    assert "| zeroshot/rsa | 0.203 | " in child
    assert f"runs/{MADE.trials[8].run.fingerprint()}/" in child
    assert "**It failed:** out of memory" in read.children["clef-1 seed 0"].data.tags["mlflow.note.content"]


def test_a_trial_that_was_stopped_early_is_finished_and_says_so(uri):
    """It did what was planned: no failure. Run again to its end, by another rule, it is complete."""
    trial = MADE.trials[0]
    history = [{"epoch": 0.0, "loss": 3.0, "valid/rsa": 0.1, "embedding/std": 0.5}]
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.close_trial(Outcome(trial, "PRUNED", history=history, reason="asha: 0.10 below 0.21 in epoch 1"))
    run = Read(uri).children["clef-1 seed 0"]
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "PRUNED")
    assert run.data.tags["reason"] == "asha: 0.10 below 0.21 in epoch 1"
    assert {"train/loss": 3.0, "valid/rsa": 0.1, "embedding/std": 0.5}.items() <= run.data.metrics.items()
    again = MlflowTracker(uri)
    again.open_ablation(MADE, LINEAGE)
    again.open_trial(trial)
    assert Read(uri).children["clef-1 seed 0"].info.status == "RUNNING"
    again.close_trial(complete(trial, 0.8))
    run = Read(uri).children["clef-1 seed 0"]
    assert (run.info.status, run.data.tags["state"], run.data.tags["reason"]) == ("FINISHED", "COMPLETE", "")


def test_a_run_that_two_ablations_share_is_linked_from_the_second(uri):
    """The same metrics under both; the second names the first, also after a second start, and the first names nobody."""
    other = toy_plan(name="toy two", seeds=(0, 1))
    assert other.trials[0].run.fingerprint() == MADE.trials[0].run.fingerprint()
    for plan in (MADE, other, MADE, other):
        tracker = MlflowTracker(uri)
        tracker.open_ablation(plan, LINEAGE)
        tracker.close_trial(complete(plan.trials[0], 0.8))
    first, second = (Read(uri, name).children["clef-1 seed 0"] for name in ("toy", "toy two"))
    assert second.data.tags["linked_run"] == first.info.run_id
    assert not first.data.tags.get("linked_run")
    assert second.data.metrics == first.data.metrics
    assert f"`{first.info.run_id}`" in second.data.tags["mlflow.note.content"]


def test_the_time_of_a_call_is_the_time_it_is_given(uri):
    trial, at = MADE.trials[0], 1_700_000_000_000
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.open_trial(trial, at)
    tracker.log_epochs(trial, [{"epoch": 0.0, "loss": 1.0}, {"epoch": 1.0, "loss": 1.0}], [at + 1, at + 2])
    tracker.close_trial(Outcome(trial, "FAILED", reason="x"), at + 3)
    read = Read(uri)
    run = read.children["clef-1 seed 0"]
    times = [metric.timestamp for metric in read.client.get_metric_history(run.info.run_id, "train/loss")]
    assert (run.info.start_time, sorted(times), run.info.end_time) == (at, [at + 1, at + 2], at + 3)


def test_what_was_sent_twice_is_one_record_and_a_run_made_twice_is_one_run(uri):
    """The store carried a request out and its answer got lost: the same again, after `recover`, adds nothing."""
    done, at = complete(MADE.trials[0], 0.8), 1_700_000_000_000
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    tracker.close_trial(done, at)
    first = Read(uri)
    child = first.children["clef-1 seed 0"]
    tags = {**child.data.tags, "state": ""}
    first.client.create_run(first.experiment.experiment_id, tags=tags, run_name=child.info.run_name)
    tracker.recover()
    tracker.close_trial(done, at)
    second = Read(uri)  # which fails where two runs of one trial are active
    assert second.children["clef-1 seed 0"].info.run_id == child.info.run_id
    assert second.history("clef-1 seed 0", "train/loss") == first.history("clef-1 seed 0", "train/loss")


def test_the_machine_is_sampled_on_the_parent(uri):
    found: list[dict[str, float]] = []
    sampler = Sampler(lambda metrics: found.append(dict(metrics)), seconds=0.05)
    sampler.start()
    for _ in range(100):
        if len(found) >= 2:
            break
        time.sleep(0.1)
    sampler.stop()
    time.sleep(0.3)
    count = len(found)
    time.sleep(0.3)
    assert len(found) == count, "it went on after stop"
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= found[0].keys()
    tracker = MlflowTracker(uri)
    tracker.open_ablation(MADE, LINEAGE)
    start = Read(uri).parent.info.start_time
    tracker.log_machine(found[0], start + 10_000)
    tracker.log_machine(found[1], start + 20_000)
    read = Read(uri)
    history = read.client.get_metric_history(read.parent.info.run_id, "system/cpu_utilization_percentage")
    assert sorted(metric.step for metric in history) == [10, 20]
