"""What a real MLflow store holds, read with MLflow's own client."""

from collections.abc import Sequence
from statistics import mean
from types import SimpleNamespace

from mlflow import MlflowClient

from clef_ray.ablation import Outcome, Plan


class Read:
    """What the store holds of the experiment `name`."""

    def __init__(self, uri: str, name: str = "toy") -> None:
        self.client = MlflowClient(tracking_uri=uri)
        (self.experiment,) = [e for e in self.client.search_experiments() if e.name == name]
        self.runs = list(self.client.search_runs([self.experiment.experiment_id]))
        self.parents = [r for r in self.runs if "mlflow.parentRunId" not in r.data.tags]
        below = [r for r in self.runs if "mlflow.parentRunId" in r.data.tags]
        trials = [r for r in below if r.data.tags["clef_ray.kind"] == "trial"]
        self.children = {r.info.run_name: r for r in trials}
        assert len(self.children) == len(trials), "two runs of one trial"
        self.arms = {r.info.run_name: r for r in below if r.data.tags["clef_ray.kind"] == "arm"}
        assert len(self.parents) + len(self.children) + len(self.arms) == len(self.runs)

    @property
    def parent(self):
        (parent,) = self.parents
        return parent

    def history(self, name: str, metric: str) -> list[float]:
        """Values in the order of their steps, which must be 0, 1, 2, ... without gap or repetition."""
        found = self.client.get_metric_history(self.children[name].info.run_id, metric)
        steps, values = zip(*sorted((m.step, m.value) for m in found), strict=True)
        assert steps == tuple(range(len(steps)))
        return list(values)

    def statuses(self) -> set[str]:
        return {r.info.status for r in self.runs}


class Table:
    """A `Summary` by plain loops: the mean over seeds of the headline metrics, an interval of +-0.01 where there are two seeds."""

    answer = "More negatives change nothing."
    caveats = ("Toy data.",)

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        self.rows = []
        for arm in {t.arm.name: t.arm for t in plan.trials}.values():
            cells = {}
            for metric in plan.ablation.headline:
                own = [o for o in outcomes if o.trial.arm.name == arm.name and metric in o.metrics]
                values = {o.trial.seed: o.metrics[metric] for o in own}
                if values:
                    middle = mean(values.values())
                    bounds = SimpleNamespace(low=middle - 0.01, high=middle + 0.01)
                    seeds = bounds if len(values) > 1 else None
                    cells[metric] = SimpleNamespace(values=values, mean=middle, seeds=seeds, patients=None)
            self.rows.append(SimpleNamespace(arm=arm, cells=cells))

    def csv(self) -> str:
        return "arm,metric,mean\n" + "".join(
            f"{row.arm.name},{name},{cell.mean}\n" for row in self.rows for name, cell in row.cells.items()
        )
