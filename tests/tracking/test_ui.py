"""The record as a person sees it: the real MLflow UI in a real browser. Screenshots lie in pytest's folder of the test."""

import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from ablation_outcomes import LINEAGE, complete, toy_plan
from browser import CHROMIUM, page
from mlflow_server import Server
from mlflow_store import Read, Table

from clef_ray.ablation import Arm
from clef_ray.tracking.delivery import Delivered
from clef_ray.tracking.mlflow import MlflowTracker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs Chromium at {CHROMIUM}"),
]

ARMS = (
    *(Arm(f"clef-{n}", {"loss.negatives": n}, family="CLEF", x=n) for n in (1, 7, 31, 126)),
    *(Arm(f"simclr-{n}", {"method": "simclr", "loss.negatives": n}, family="SimCLR", x=n) for n in (1, 31)),
    Arm("random", {"method": "random"}),
)
MADE = toy_plan(
    name="ablate_negatives",
    question="How many negatives does guided pretraining need?",
    expect="More help, up to a point.",
    arms=ARMS,
    seeds=(0, 1, 2),
)


class Ui:
    """A recorded ablation and the addresses of its pages."""

    def __init__(self, server: Server, folder: Path) -> None:
        luck = random.Random(1)
        found = [complete(t, 0.6 + 0.01 * i + luck.random() * 0.05) for i, t in enumerate(MADE.trials)]
        writer = MlflowTracker(server.uri)
        tracker = Delivered(writer, print)
        tracker.open_ablation(
            MADE, {**LINEAGE, "command": "python experiments/ablate_negatives.py --seeds 3"}
        )
        for outcome in found:
            tracker.log_epochs(outcome.trial, outcome.history)
            tracker.close_trial(outcome)
        (folder / "report.html").write_text("<p>a report")
        tracker.close_ablation(Table(MADE, found), {"report.html": str(folder / "report.html")})
        self.read = Read(server.uri, "ablate_negatives")
        self.folder = folder
        self.experiment = self.read.experiment.experiment_id
        self.base = f"{server.uri}/#/experiments/{self.experiment}"
        self.server = server.uri
        self.page = f"{server.uri}{writer.page}"

    def compare(self, runs) -> str:
        ids = quote(json.dumps([run.info.run_id for run in runs]))
        return f"{self.server}/#/compare-runs?runs={ids}&experiments={quote(json.dumps([self.experiment]))}"


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ui")
    server = Server(folder)
    try:
        server.start()
        yield Ui(server, folder)
    finally:
        server.stop()


def test_the_experiment_opens_as_model_training_with_one_line_per_plan(ui):
    with page() as seen:
        seen.goto(ui.page)
        seen.get_by_text("synthetic (").wait_for()
        seen.screenshot(path=ui.folder / "experiment.png")
        text = seen.locator("body").inner_text()
        assert "Prompts" not in text, "it opened as an experiment with language models"
        assert MADE.ablation.question in text
        assert " seed " not in text, "the trials are folded below their plan"


def test_one_filter_leaves_one_run_per_arm_below_its_plan_and_compare_is_one_click(ui):
    with page(1700) as seen:
        seen.goto(f"{ui.page}&searchFilter=" + quote("tags.clef_ray.kind = 'arm'"))
        seen.locator("[role=row]", has_text="Pin run").get_by_role("button").first.click()  # unfold the plan
        for arm in ARMS:
            row = seen.locator("[role=row]", has=seen.get_by_text(arm.name, exact=True))
            row.locator(".ag-selection-checkbox input").click()
        seen.screenshot(path=ui.folder / "arms.png")
        assert " seed " not in seen.locator("body").inner_text()
        seen.get_by_role("button", name="Compare").click()
        seen.get_by_text("Comparing 7 Runs from 1 Experiment").wait_for()


def _parallel(seen) -> set[str]:
    seen.locator(".js-plotly-plot .axis-title").first.wait_for()
    return set(seen.locator(".js-plotly-plot .axis-title").all_text_contents())


def test_comparing_the_arms_shows_the_settings_asked_about_and_the_headline_without_set_up(ui):
    with page(1500, 1100) as seen:
        seen.goto(ui.compare(ui.read.arms.values()))
        axes = _parallel(seen)
        seen.screenshot(path=ui.folder / "compare-arms.png")
        assert axes == {"arm", "loss.negatives", "method", "probe/auroc"}


def test_comparing_the_trials_gives_a_box_per_arm(ui):
    """The parallel plot needs nothing; for the boxes MLflow asks for the two axes, and offers the arm and the headline."""
    with page(1500, 1100) as seen:
        seen.goto(ui.compare(ui.read.children.values()))
        axes = _parallel(seen)
        seen.screenshot(path=ui.folder / "compare-trials.png")
        assert {"arm", "loss.negatives", "method"} <= axes
        seen.get_by_role("tab", name="Box Plot").click()
        for axis, wanted in (("X-axis", "arm"), ("Y-axis", "probe/auroc")):
            seen.get_by_role("combobox").nth(0 if axis == "X-axis" else 1).click()
            seen.get_by_role("option", name=wanted, exact=True).click()
        seen.locator(".js-plotly-plot .boxlayer .trace").first.wait_for()
        seen.screenshot(path=ui.folder / "boxes.png")
        assert seen.locator(".js-plotly-plot .boxlayer path.box").count() >= len(ARMS)


def test_the_notes_read_as_text(ui):
    with page(1400, 1600) as seen:
        seen.goto(f"{ui.base}/runs/{ui.read.parent.info.run_id}")
        seen.get_by_text("More negatives change nothing.").first.wait_for()
        for more in seen.get_by_text("Show more").all():
            more.click()
        seen.screenshot(path=ui.folder / "parent.png")
        text = seen.locator("body").inner_text()
        assert "**" not in text, "Markdown that nobody rendered"
        assert "python experiments/ablate_negatives.py --seeds 3" in text
        seen.goto(f"{ui.base}/runs/{ui.read.children['clef-31 seed 1'].info.run_id}")
        seen.get_by_text("95 % interval over patients").first.wait_for()
        seen.screenshot(path=ui.folder / "trial.png")
        assert "**" not in seen.locator("body").inner_text()


def test_the_table_of_arms_is_shown_as_a_table(ui):
    with page() as seen:
        seen.goto(f"{ui.base}/runs/{ui.read.parent.info.run_id}/artifacts/arms.json")
        seen.get_by_role("cell", name="clef-126").wait_for()
        seen.screenshot(path=ui.folder / "table.png")
