"""A sweep: one question, a space of settings, what is to be maximised (pure Python, no Optuna, no Ray).

An experiment file declares a `Search` as data, as an `Ablation` is declared; a study (studies/) samples its configurations. Configuration n
is an `Arm` named c<n>, so that the record, the display and the report treat a sweep's runs as those of an ablation.
"""

from clef_ray.search.configuration import Configuration, State
from clef_ray.search.declaration import Search, name_of
from clef_ray.search.goals import COSTS, SAMPLERS, Limit, Objective, Stopping, Winner
from clef_ray.search.space import Choice, Dimension, Float, Int

__all__ = [
    "COSTS",
    "SAMPLERS",
    "Choice",
    "Configuration",
    "Dimension",
    "Float",
    "Int",
    "Limit",
    "Objective",
    "Search",
    "State",
    "Stopping",
    "Winner",
    "name_of",
]
