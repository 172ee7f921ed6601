"""The whole embedded default to PostgreSQL and real services: what was recorded is there, and going on there does nothing twice."""

import math
from pathlib import Path

import optuna
import pytest
from ablation_outcomes import LINEAGE, VALUES, complete, outcomes, toy, toy_plan
from fakes import Shop, of_search, search, slices, work
from mlflow import MlflowClient
from mlflow_server import Server
from mlflow_store import Read, Table

from clef_ray.ablation import Outcome
from clef_ray.cli import main
from clef_ray.tracking.mlflow import MlflowTracker

MADE = toy_plan(arms=toy().arms[1:3], seeds=(0, 1))
FOUND = outcomes(MADE, VALUES)
FOUND[2] = complete(FOUND[2].trial, 0.84, **{"zeroshot/rsa_p": math.nan, "large": 1e300, "small": 5e-324})
FOUND[3] = Outcome(FOUND[3].trial, "FAILED", reason="out of memory")


def record(uri, folder, made=MADE, found=FOUND):
    """What an experiment does from its first to its last call; the second time as one that finds everything done."""
    tracker = MlflowTracker(uri)
    tracker.open_ablation(made, LINEAGE)
    for outcome in found:
        tracker.close_trial(outcome)
    (folder / "report.html").write_text("<p>a report")
    tracker.close_ablation(Table(made, found), {"report.html": str(folder / "report.html")})


def seen(uri):
    """Everything that the tracking store shows of every run, by run id."""
    client, shown = MlflowClient(tracking_uri=uri), {}
    for run in client.search_runs([client.get_experiment_by_name("toy").experiment_id]):
        history = {
            name: sorted(
                (m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, name)
            )
            for name in run.data.metrics
        }
        inputs = [(i.dataset.digest, i.dataset.source, i.tags[0].value) for i in run.inputs.dataset_inputs]
        info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time)
        shown[run.info.run_id] = (info, dict(run.data.params), dict(run.data.tags), history, inputs)
    return shown


@pytest.fixture(scope="module")
def moved(databases, tmp_path_factory):
    """A storage with an ablation, a study and files; and the URIs to which `clef-ray migrate` has moved them."""
    folder = tmp_path_factory.mktemp("embedded")
    storage, there = folder / "storage", folder / "there"
    record(f"sqlite:///{storage}/mlflow/mlflow.db", folder)
    shop = Shop(storage / "runs")
    book = of_search(search(), f"sqlite:///{storage}/optuna/optuna.db", shop.known)
    work(book, shop=shop, limit=7)
    book.close()
    to = {"--tracking-to": databases.uri("mlflow"), "--study-to": databases.uri("optuna")}
    to |= {"--artifacts-to": str(there / "artifacts"), "--to": str(there / "storage")}
    line = ["migrate", "--storage", str(storage), *(word for pair in to.items() for word in pair)]
    assert main(line) == 0
    return storage, to, line


@pytest.mark.postgres
def test_again_is_nothing_to_do(moved, capsys):
    assert main(moved[2]) == 0
    assert "Nothing to do" in capsys.readouterr().out


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_on_postgresql_shows_the_same_runs_and_a_further_start_adds_none(moved, tmp_path):
    storage, to, _ = moved
    server = Server(tmp_path)
    server.command[server.command.index("--backend-store-uri") + 1] = to["--tracking-to"]
    server.command[server.command.index("--artifacts-destination") + 1] = to["--artifacts-to"]
    before = seen(f"sqlite:///{storage}/mlflow/mlflow.db")
    assert len(before) == 7
    try:
        server.start()
        read = Read(server.uri)
        for run in read.runs:
            (info, params, tags, _, inputs) = before[run.info.run_id]
            assert (dict(run.data.params), dict(run.data.tags)) == (params, tags)
            assert (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time) == info
        assert read.history("clef-31 seed 1", "train/loss") == pytest.approx([3.16, 2.16, 1.16])
        place = read.client.download_artifacts(read.parent.info.run_id, "report.html", str(tmp_path))
        assert Path(place).read_text() == "<p>a report"
        record(server.uri, tmp_path)
        # The server's numbers go on after those that were moved.
        assert int(read.client.create_experiment("next")) == 1 + int(read.experiment.experiment_id)
    finally:
        server.stop()
    again = seen(to["--tracking-to"])
    assert again.keys() == before.keys()
    for run_id, (info, params, _, history, inputs) in before.items():
        if run_id != read.parent.info.run_id:
            assert (info, params, history, inputs) == (*again[run_id][:2], *again[run_id][3:])


@pytest.mark.postgres
def test_a_study_goes_on_in_postgresql_where_it_stopped(moved):
    storage, to, _ = moved
    shop, target = Shop(storage / "runs"), to["--study-to"]
    source = f"sqlite:///{storage}/optuna/optuna.db"
    declared = search()
    (name,) = optuna.get_all_study_names(source)
    before = slices(source, name)
    assert [c.state for c in slices(target, name)] == [c.state for c in before]
    book = of_search(declared, target, shop.known)
    started = work(book, shop=shop)
    rows = book.rows()
    book.close()
    assert len(started) == 12 - 7
    assert rows[:3] == before[:3]
    assert [row.state for row in rows] == ["COMPLETE"] * 6


@pytest.mark.postgres
@pytest.mark.long
def test_a_second_person_moves_to_the_same_place_and_the_experiment_has_both(moved, tmp_path):
    """The same numbers in both databases for other things, the same data set under two numbers."""
    _, to, _ = moved
    before = seen(to["--tracking-to"])
    other = toy_plan(arms=(toy().arms[1], toy().arms[4]), seeds=(0,))
    mine = f"sqlite:///{tmp_path}/storage/mlflow/mlflow.db"
    record(mine, tmp_path, other, outcomes(other, VALUES))
    (tmp_path / "storage" / "shards").mkdir()
    options = [word for name in ("--tracking-to", "--artifacts-to") for word in (name, to[name])]
    assert main(["migrate", "--storage", str(tmp_path / "storage"), *options]) == 0
    both = seen(to["--tracking-to"])
    assert both == before | seen(mine)
    assert len(both) == len(before) + 5
