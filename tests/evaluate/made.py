"""Material for tasks, from arrays: what an evaluation is given where no encoder and no shards are needed."""

from dataclasses import dataclass, field

from clef_ray.evaluate.inputs import OFFICIAL
from clef_ray.evaluate.problem import Material, Unanswerable
from clef_ray.tasks import lead_in


@dataclass(frozen=True)
class Said:
    """What a corpus's manifest would say."""

    dataset: str = "synthetic"
    leads: tuple = ("I",)
    label_sets: dict = field(default_factory=dict)
    headline: str = ""
    targets: dict = field(default_factory=dict)


def material(
    features_ND,
    table,
    *,
    label_sets=None,
    headline="",
    targets=None,
    leads=("I",),
    dataset="synthetic",
    split=OFFICIAL,
    n_boot=20,
    seed=0,
    trainable=None,
    home=None,
):
    """features_ND: an array, the same for every lead and rate that the corpus has, or a function of the task; label_sets: set -> classes,
    whose records' lists stand in columns `label_<set>`; targets: name -> unit, whose values stand in columns of that name.
    """
    said = Said(dataset, tuple(leads), dict(label_sets or {}), headline, dict(targets or {}))

    def given(task):
        if lead_in(task, said.leads) is None:
            raise Unanswerable(f"it needs lead {task.lead}; the shards hold {', '.join(said.leads)}")
        return features_ND

    features = features_ND if callable(features_ND) else given
    return Material(table, said, features, trainable, home, split, seed, n_boot)
