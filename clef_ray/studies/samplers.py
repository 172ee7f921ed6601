"""How configurations are sampled: Optuna's samplers by name, and a space as they are asked for it."""

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from clef_ray.config import fingerprint
from clef_ray.search import Dimension, Float, Int
from clef_ray.studies.evolution import StoredCmaEsSampler

#: Configurations of one generation of NSGA-II: Optuna's 50 are more than most sweeps have.
_GENERATION = 16


def sampler(name: str, identity: str, begun: int) -> BaseSampler:
    """The sampler of this name (clef_ray.search.SAMPLERS), seeded by the study and by how many configurations it has begun.

    By both, since a sampler begins anew in every process: with one seed it would draw the configurations again that it has drawn before.
    A quasi-random sequence is the exception: the study keeps its place, and must keep its scrambling.
    """
    seed = _seed(identity, begun)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == "tpe":
            return TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
        if name == "cmaes":
            return StoredCmaEsSampler(seed=seed)
        if name == "gp":
            return GPSampler(seed=seed)
        if name == "nsga2":
            return NSGAIISampler(population_size=_GENERATION, seed=seed)
        if name == "qmc":
            return QMCSampler(scramble=True, seed=_seed(identity, 0))
        return RandomSampler(seed=seed)


def _seed(identity: str, begun: int) -> int:
    return int(fingerprint({"study": identity, "begun": begun})[:8], 16)


def suggest(trial: optuna.Trial, space: Sequence[Dimension]) -> dict[str, Any]:
    """The trial's value of every dimension that is on, in their order."""
    params: dict[str, Any] = {}
    for dimension in space:
        if dimension.on(params):
            params[dimension.key] = _draw(trial, dimension)
    return params


def _draw(trial: optuna.Trial, dimension: Dimension) -> Any:
    if isinstance(dimension, Float):
        return trial.suggest_float(
            dimension.key, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    if isinstance(dimension, Int):
        return trial.suggest_int(
            dimension.key, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    return trial.suggest_categorical(dimension.key, dimension.options)
