"""Each experiment from data to report with its most particular arms, in one Ray and one storage, so that what is there is used again."""

import csv

import pytest
from experiment_files import NAMES, load

from clef_ray.cli.experiment import main

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
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("smoke")


@pytest.mark.parametrize("name", NAMES)
def test_the_experiment_runs_from_data_to_report(name, storage, local_ray, capsys):
    quick = ["--set", "signals.seconds=2.5"]
    assert main(load(name)[0], ["--smoke", "--storage", str(storage), *quick, "--arms", *ARMS[name]]) == 0
    shown = capsys.readouterr().out
    assert "report.html" in shown
    assert "Answer." in shown
    (report,) = storage.glob(f"reports/{name}-*")
    lines = list(csv.DictReader((report / "table.csv").read_text().splitlines()))
    for arm in ARMS[name]:
        found = {line["metric"]: float(line["value"]) for line in lines if line["arm"] == arm}
        assert -1 <= found["zeroshot/rsa"] <= 1
        assert 0 <= found["probe/auroc"] <= 1
