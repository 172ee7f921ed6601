"""Every task of the registry is a frozen declaration that the evaluation understands."""

import dataclasses
import subprocess
import sys

import pytest

from clef_ray.errors import ConfigError
from clef_ray.registry import TASKS

PREFIXES = {"diagnosis": "probe", "score_spearman": "zeroshot"}


@pytest.mark.parametrize("name", TASKS.names())
def test_every_task_is_frozen_complete_and_of_a_known_kind(name):
    task = TASKS.get(name)(**TASKS.options(name, {}))
    assert task.kind in {"probe", "zeroshot"}
    assert task.prefix
    assert task.lead == "I"
    assert task == TASKS.get(name)()
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.lead = "II"


def test_options_come_from_strings():
    options = TASKS.options("diagnosis", {"labels": "rhythm", "lead": "V5", "min_positives": "9"})
    task = TASKS.get("diagnosis")(**options)
    assert (task.labels, task.lead, task.min_positives) == ("rhythm", "V5", 9)
    assert set(TASKS.schema("score_spearman")) == {"score", "lead", "permutations"}


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
    assert TASKS.get(name).prefix == prefix


def test_evaluating_needs_neither_torch_nor_ray():
    code = (
        "import sys, clef_ray.evaluate.probe, clef_ray.evaluate.zeroshot, clef_ray.evaluate.run;"
        "print([m for m in ('torch', 'ray', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
