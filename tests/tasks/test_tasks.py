"""Every task of the registry is a frozen declaration that the evaluation understands."""

import contextlib
import dataclasses
import itertools
import subprocess
import sys

import pytest

from clef_ray.errors import ConfigError
from clef_ray.evaluate.run import KINDS
from clef_ray.registry import TASKS

PREFIXES = {"diagnosis": "probe", "score_spearman": "zeroshot"}


@pytest.mark.parametrize("name", TASKS.names())
def test_every_task_is_frozen_complete_and_of_a_known_kind(name):
    task = TASKS.get(name)(**TASKS.options(name, {}))
    assert task.kind in KINDS
    assert task.prefix
    assert task.lead in ("I", "any")
    assert task == TASKS.get(name)()
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.lead = "II"


def test_options_come_from_strings():
    options = TASKS.options("diagnosis", {"labels": "rhythm", "lead": "V5", "min_positives": "9"})
    task = TASKS.get("diagnosis")(**options)
    assert (task.labels, task.lead, task.min_positives) == ("rhythm", "V5", 9)
    assert set(TASKS.schema("score_spearman")) == {"score", "lead", "rate", "permutations"}


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("diagnosis", {"lead": "II "}, "Did you mean 'II'"),
        ("diagnosis", {"min_positives": 0}, "at least 1"),
        ("score_spearman", {"score": "scor2"}, "Did you mean 'score2'"),
        ("score_spearman", {"score": "age_sex"}, "gives a point"),
        ("score_spearman", {"lead": "V9"}, "unknown lead"),
        ("score_spearman", {"permutations": 0}, "at least 1"),
    ],
)
def test_values_that_are_not_allowed_say_where(name, options, said):
    with pytest.raises(ConfigError, match=said) as error:
        TASKS.get(name)(**options)
    assert f"task {name}" in str(error.value)


@pytest.mark.parametrize(("name", "prefix"), PREFIXES.items())
def test_prefixes_are_stable(name, prefix):
    assert TASKS.get(name)().prefix == prefix


#: Of every option one value that is nowhere the default.
OTHERS = {
    "lead": "V5",
    "rate": 250.0,
    "mode": "knn",
    "split": "published",
    "fraction": 0.37,
    "shots": 3,
    "draws": 7,
    "epochs": 9,
    "lr": 3e-5,
    "layer_decay": 0.9,
    "min_positives": 11,
    "labels": "rhythm",
    "score": "age",
    "permutations": 17,
    "seconds": 4.0,
    "across": "records",
    "other_lead": "V2",
}
#: How well something is measured, and not what: the names do not tell them, so that one run may be asked with one of each only
#: (`plan` and `clef-ray evaluate` refuse two).
UNNAMED = {"draws", "min_positives", "permutations"}

#: Beside which an option counts: without them it may be refused, or change nothing.
BESIDE = ({}, {"mode": "finetune"}, {"mode": "scratch"}, {"fraction": 0.5}, {"shots": 5})


def variants():
    """Every task as it is, and with each option changed, where it can be built."""
    for name in TASKS.names():
        for beside in BESIDE:
            for option in ("", *TASKS.schema(name)):
                options = {**beside, **({option: OTHERS[option]} if option else {})}
                if set(options) <= set(TASKS.schema(name)):
                    with contextlib.suppress(ConfigError):
                        yield TASKS.get(name)(**options)


def test_two_tasks_that_can_give_different_numbers_have_different_names():
    """Metrics are kept under the prefix: of two tasks with one prefix, one would overwrite the other's."""
    found = {}
    for task in variants():
        found.setdefault(task.prefix, set()).add(task)
    assert len(found) > 5 * len(TASKS.names())
    differ = {
        option.name
        for tasks in found.values()
        for one, other in itertools.combinations(tasks, 2)
        for option in dataclasses.fields(one)
        if type(one) is not type(other) or getattr(one, option.name) != getattr(other, option.name)
    }
    assert differ <= UNNAMED


def test_what_is_needed_of_python():
    """Declaring and checking tasks costs no learner, and evaluating them neither torch nor Ray."""
    code = (
        "import sys, clef_ray.tasks, clef_ray.evaluate.run, clef_ray.evaluate.problem;"
        "print([m for m in ('torch', 'sklearn', 'ray', 'matplotlib') if m in sys.modules]);"
        "import clef_ray.evaluate.classes, clef_ray.evaluate.values, clef_ray.evaluate.zeroshot;"
        "print([m for m in ('torch', 'ray', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "[]", ""]
