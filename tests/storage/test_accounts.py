"""MLflow behind authentication, as compose.yaml sets it up: a real server that asks who it is."""

import pytest
import requests
from ablation_outcomes import LINEAGE, VALUES, outcomes, toy, toy_plan
from mlflow_server import Server
from mlflow_store import Read
from test_services import COMPOSE

from clef_ray.errors import TrackingError
from clef_ray.tracking.mlflow import MlflowTracker

pytest.importorskip("flask_wtf", reason="MLflow's accounts need Flask-WTF: pip install 'mlflow[auth]'")

ADMIN, PERSON = ("admin", "an-admin's-password"), ("maria", "a-person's-password")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`mlflow server` with the options and the accounts' settings of compose.yaml, SQLite in the place of PostgreSQL."""
    folder = tmp_path_factory.mktemp("accounts")
    settings = COMPOSE["configs"]["accounts"]["content"]
    assert "postgresql://mlflow@postgres/mlflow_auth" in settings
    (folder / "auth.ini").write_text(
        settings.replace("postgresql://mlflow@postgres/mlflow_auth", f"sqlite:///{folder}/auth.db")
    )
    made = Server(folder)
    options = COMPOSE["services"]["mlflow"]["command"]
    made.command += [option for option in options if option.startswith("--app-name")]
    hosts = next(option for option in options if option.startswith("--allowed-hosts"))
    made.command.append(hosts.replace("${CLEF_MLFLOW_HOSTS:-", "").removesuffix("}"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_AUTH_CONFIG_PATH", str(folder / "auth.ini"))
        environment.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", ADMIN[1])
        environment.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "a-key")
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            environment.delenv(name, raising=False)
        made.start()
        yield made
        made.stop()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Nobody has an account written down here."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def known_as(monkeypatch, who):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", who[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", who[1])


def record(uri, seed):
    made = toy_plan(arms=toy().arms[1:2], seeds=(seed,))
    tracker = MlflowTracker(uri)
    tracker.open_ablation(made, LINEAGE)
    for outcome in outcomes(made, VALUES):
        tracker.close_trial(outcome)
    return tracker.run_id


@pytest.mark.slow
@pytest.mark.long
def test_a_run_is_recorded_by_those_with_an_account_and_by_nobody_else(server, home, monkeypatch):
    with pytest.raises(TrackingError, match=r"who asks .*MLFLOW_TRACKING_USERNAME.*credentials"):
        MlflowTracker(server.uri)
    known_as(monkeypatch, ("admin", "a-wrong-password"))
    with pytest.raises(TrackingError, match="who asks") as caught:
        MlflowTracker(server.uri)
    assert "a-wrong-password" not in str(caught.value)

    known_as(monkeypatch, ADMIN)
    first = record(server.uri, 0)
    added = requests.post(
        f"{server.uri}/api/2.0/mlflow/users/create",
        json={"username": PERSON[0], "password": PERSON[1]},
        auth=ADMIN,
        timeout=30,
    )
    assert added.status_code == 200, added.text

    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username = {PERSON[0]}\nmlflow_tracking_password = {PERSON[1]}\n"
    )
    second = record(server.uri, 1)  # into the experiment that the administrator's run has made
    read = Read(server.uri)
    assert {run.info.run_id for run in read.parents} == {first, second}
    assert {run.info.status for run in read.children.values()} == {"FINISHED"}
