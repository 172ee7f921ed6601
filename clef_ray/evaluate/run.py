"""A task on frozen features: looks up what the task's kind asks for, and names the metrics."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.inputs import OFFICIAL, Split
from clef_ray.evaluate.result import TaskResult
from clef_ray.registry import unknown
from clef_ray.tasks import ProbeTask, Task

__all__ = ["TaskResult", "run_task"]


def run_task(
    task: Task,
    features_ND: NDArray[np.floating],
    corpus_table: pd.DataFrame,
    label_sets: Mapping[str, tuple[str, ...]],
    headline: str,
    risk_N: NDArray[np.floating] | None = None,
    *,
    age_sex_risk_N: NDArray[np.floating] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    split: Split = OFFICIAL,
) -> TaskResult:
    """The metrics of `task`, each name beginning with the task's prefix (`probe/auroc`, `zeroshot/rsa`).

    features_ND: embeddings of the task's lead, one row per record of `corpus_table` (columns record, patient, fold, age, sex,
    `label_<set>`); label_sets, headline: the dataset's; risk_N: the task's score per record in %, for tasks of kind "zeroshot";
    age_sex_risk_N: the same score from age and sex alone, a control of such tasks (`zero_shot`);
    seed: of the patient bootstrap and the permutations, the same for all arms that are to be compared; split: whom it is fitted and judged on.
    Raises ConfigError for a label set or kind that does not exist, DataError for data that do not fit together.
    """
    # scikit-learn costs a second to import: only an evaluation pays it, not everything that mentions a TaskResult.
    if task.kind == "probe":
        from clef_ray.evaluate.probe import linear_probe

        labels = _label_set(task, corpus_table, label_sets, headline)
        result = linear_probe(
            features_ND,
            corpus_table,
            labels,
            label_sets[labels],
            min_positives=task.min_positives,
            n_boot=n_boot,
            seed=seed,
            split=split,
        )
    elif task.kind == "zeroshot":
        from clef_ray.evaluate.zeroshot import zero_shot

        if risk_N is None:
            raise DataError(f"task with score {task.score!r} needs the records' risks; none were given")
        result = zero_shot(
            features_ND,
            risk_N,
            corpus_table,
            age_sex_risk_N=age_sex_risk_N,
            permutations=task.permutations,
            n_boot=n_boot,
            seed=seed,
            split=split,
        )
    else:
        raise ConfigError(f"task kind {task.kind!r} is not one of probe, zeroshot")
    return result.prefixed(task.prefix)


def _label_set(
    task: ProbeTask, table: pd.DataFrame, label_sets: Mapping[str, tuple[str, ...]], headline: str
) -> str:
    labels = headline if task.labels == "headline" else task.labels
    if labels not in label_sets:
        raise unknown("label set", labels, label_sets, "task labels")
    if f"label_{labels}" not in table:
        raise DataError(f"the table has no column label_{labels}; ingest the dataset again")
    return labels
