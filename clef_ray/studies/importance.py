"""Which settings a sweep's result depends on, as far as its configurations can tell."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState

from clef_ray.studies.storage import close_storage, open_storage, patient

#: Complete configurations per searched setting, and in all, below which shares would be noise.
LEAST_PER_SETTING, LEAST = 2, 8

#: fANOVA: shares of the objective's variance over the space (Hutter et al. 2014). PED-ANOVA: what sets the best tenth apart (Watanabe et al. 2023).
EVALUATORS: Mapping[str, Callable[[], BaseImportanceEvaluator]] = {
    "fanova": partial(FanovaImportanceEvaluator, seed=0),
    "ped_anova": PedAnovaImportanceEvaluator,
}


def importance(uri: str, name: str, evaluator: str = "fanova") -> tuple[Mapping[str, float], str]:
    """The share of each setting (they add up to 1, the largest first) for the first objective, and why there are none where there are none.

    evaluator: a name of EVALUATORS. Settings that not every complete configuration has (conditional ones) are left out.
    """
    study = _load(uri, name)
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shared = set.intersection(*(set(t.params) for t in trials)) if trials else set()
    varied = sorted(key for key in shared if len({t.params[key] for t in trials}) > 1)
    needed = max(LEAST, LEAST_PER_SETTING * len(varied))
    if len(trials) < needed:
        return {}, f"{len(trials)} complete configurations are too few to tell: {needed} are needed"
    if len({t.values[0] for t in trials}) < 2:
        return {}, "every complete configuration has the same value"
    sign = -1.0 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1.0

    def target(trial: FrozenTrial) -> float:
        return sign * float(trial.values[0])  # PED-ANOVA takes a given target to be minimised

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)  # PED-ANOVA warns of the sign that is set above
        made = EVALUATORS[evaluator]()
        return get_param_importances(study, evaluator=made, params=varied, target=target), ""


def _load(uri: str, name: str) -> optuna.Study:
    """The study, read once. A study that does not exist: TrackingError."""
    storage = open_storage(uri)
    try:
        study = patient(lambda: optuna.load_study(study_name=name, storage=storage), lambda _: None)
        patient(study.get_trials, lambda _: None)
    finally:
        close_storage(storage)
    return study
