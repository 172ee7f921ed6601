"""Each experiment from data to report with its most particular arms, in one Ray and one storage, so that what is there is used again."""

import csv
import json

import optuna
import pytest
from experiment_files import NAMES, SEARCHES, load

from clef_ray.cli import main as run_report
from clef_ray.cli.experiment import main
from clef_ray.tracking.registry import load_registered

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ARMS = {
    "ablate_alpha": ("alpha-0.2", "permuted"),
    "ablate_batch_composition": ("clef-128", "clef-stratified-32"),
    "ablate_lead_policy": ("clef-random", "clef-cross"),
    "ablate_loss_terms": ("published", "ld-permuted"),
    "ablate_missingness": ("mcar-60-impute", "mnar-30-drop"),
    "ablate_negatives": ("choose-stratified", "clef-queue-510"),
    "ablate_risk_scores": ("age_sex", "acute"),
    "ablate_temperature": ("clef-0.07", "clef-learned"),
    "beat_random": ("simclr", "random"),
    "compare_encoders": ("lstm", "random-vit"),
    "compare_objectives": ("pclr", "masked"),
    "geometry": ("both", "random"),
    "leakage": ("simclr", "random"),
    "ood_low_resource": ("ld-alone", "random"),
    "scale_data": ("clef-10", "random"),
    "scale_model": ("simclr-S", "random-S"),
    "zero_shot_negatives": ("clef-127-permuted", "softmax-7"),
}

#: Beside the signals' length of all: the windows of beats are as long as what the encoder is given.
MORE = {
    "leakage": ["--set", "signals.seconds=5"],  # two halves of 2 s
    "ood_low_resource": ["--target", "holter=synthetic_holter:seconds=2.5,per_record=10"],
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("smoke")


#: One with an axis; the others are run by `make test-long`.
SHORT = ("ablate_alpha",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in SHORT else [pytest.mark.long]) for n in NAMES]
)
def test_the_experiment_runs_from_data_to_report(name, storage, local_ray, capsys):
    ablation, quick = load(name)[0], ["--set", "signals.seconds=2.5", *MORE.get(name, [])]
    assert main(ablation, ["--smoke", "--storage", str(storage), *quick, "--arms", *ARMS[name]]) == 0
    shown = capsys.readouterr().out
    assert "report.html" in shown
    assert "Answer." in shown
    (report,) = storage.glob(f"reports/{name}-*")
    lines = list(csv.DictReader((report / "table.csv").read_text().splitlines()))
    for arm in ARMS[name]:
        found = {line["metric"]: float(line["value"]) for line in lines if line["arm"] == arm}
        assert {*ablation.headline} <= {*found}
        for metric in ablation.headline:
            assert -1 <= found[metric] <= 1, metric


def test_a_comparison_of_runs_that_other_experiments_have_trained(storage, local_ray, capsys):
    """A new study all of whose runs are in the store: nothing is left to start, and everything to be told."""
    options = ["--smoke", "--storage", str(storage), "--set", "signals.seconds=2.5", "--arms", "alpha-0.2"]
    before = {p: p.stat().st_mtime_ns for p in storage.glob("runs/*/*.pt")}
    assert main(load("ablate_alpha")[0], options) == 0
    assert "report.html" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in storage.glob("runs/*/*.pt")} == before


@pytest.mark.long
def test_a_rotation_runs_from_data_to_one_report_of_all_its_folds(storage, local_ray, capsys):
    quick = ["--smoke", "--storage", str(storage), "--set", "signals.seconds=2.5"]
    asked = ["--rotate", "2", "7", "--arms", "random", "simclr"]
    assert main(load("beat_random")[0], [*quick, *asked]) == 0
    shown = capsys.readouterr().out
    assert "Test fold 7 (2 of 2)" in shown
    assert "the mean over 2 rotations" in " ".join(shown.split())
    tables = {}
    for report in storage.glob("reports/beat_random-*"):
        plan = json.loads((report / "plan.json").read_text())["plan"]
        lines = list(csv.DictReader((report / "table.csv").read_text().splitlines()))
        tables[plan["split"], *plan["rotation"]] = {
            line["arm"]: float(line["value"]) for line in lines if line["metric"] == "probe/auroc"
        }
    whole, second, seventh = (tables[key] for key in (("official", 2, 7), ("test-2",), ("test-7",)))
    for arm in ("random", "simclr"):
        assert whole[arm] == pytest.approx((second[arm] + seventh[arm]) / 2)
    assert run_report(["report", "beat_random", "--storage", str(storage)]) == 0
    assert "report.html" in capsys.readouterr().out, "made again from the store"


#: One is shown; the other takes as long again.
SHORT_SEARCHES = ("sweep_clef",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in SHORT_SEARCHES else [pytest.mark.long]) for n in SEARCHES]
)
def test_the_sweep_runs_from_data_to_a_registered_winner(name, storage, local_ray, capsys):
    shorter = (
        [] if name == "sweep_recipe" else ["--set", "signals.seconds=2.5"]
    )  # it searches how much of the window
    assert main(load(name)[0], ["--smoke", "--storage", str(storage), *shorter]) == 0
    shown = capsys.readouterr().out
    assert f"Registered as {name}_smoke version 1" in shown
    assert "on the validation patients" in " ".join(shown.split()), (
        "lines are broken at the width of the terminal"
    )
    (summary,) = [
        s
        for s in optuna.get_all_study_summaries(f"sqlite:///{storage}/optuna/optuna.db")
        if s.study_name.startswith(f"{name}-")
    ]
    study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{storage}/optuna/optuna.db")
    states = [t.state.name for t in study.trials]
    assert len(states) == load(name)[0].smoke_configurations
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert load_registered(f"sqlite:///{storage}/mlflow/mlflow.db", f"{name}_smoke", 1).dim == 256

    before = {p: p.stat().st_mtime_ns for p in storage.glob("runs/*/*.pt")}
    assert main(load(name)[0], ["--smoke", "--storage", str(storage), *shorter]) == 0
    assert {p: p.stat().st_mtime_ns for p in storage.glob("runs/*/*.pt")} == before, (
        "nothing is trained again"
    )
    again = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{storage}/optuna/optuna.db")
    assert [t.state.name for t in again.trials] == states
    assert "version 1" in capsys.readouterr().out, "a run has one version"
