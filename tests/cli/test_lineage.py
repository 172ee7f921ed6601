"""What a record says of the command that made it, and of what was seen before it was judged."""

import shlex
from argparse import Namespace
from dataclasses import replace

import pytest

from clef_ray.ablation import Ablation, Arm, plan
from clef_ray.cli import Parser, lineage
from clef_ray.cli.lineage import describe, given
from clef_ray.cli.options import add_options
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards import ingest_local


def parsed(*words):
    parser = Parser()
    add_options(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), ""),
        (("--seeds=4", "--smoke", "--retries", "2"), "--seeds 4 --smoke"),
        (("--set", "a.b=1", "--set", "c=x y"), "--set a.b=1 --set 'c=x y'"),
        (("--target", "a=/x", "--target", "b=/y"), "--target a=/x --target b=/y"),
        (("--arms", "a", "b-*", "--gpus-per-worker", "0.5"), "--arms a 'b-*' --gpus-per-worker 0.5"),
        (("--rotate",), "--rotate"),
        (("--rotate", "3", "1"), "--rotate 3 1"),
        (("--study-uri", "postgresql://me:secret@host/db"), "--study-uri 'postgresql://me:***@host/db'"),
    ],
)
def test_the_options_that_were_given_are_told_as_they_are_typed(words, told):
    assert given(parsed(*words)) == told


def test_what_is_told_reads_back_as_what_was_given():
    arguments = parsed("--data", "/my data", "--arms", "clef", "--set", "x=1", "--workers-per-trial", "2")
    assert vars(parsed(*shlex.split(given(arguments)))) == vars(arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=40, records_per_patient=1.5, seed=5), out)
    return out


def said(monkeypatch, folder, rotation=(), targets=None):
    monkeypatch.setattr(lineage, "given", lambda arguments: "")
    made = plan(Ablation("tiny", "?", "?", (Arm("a", {"method": "simclr"}),), "a", (0,)), "data")
    made = replace(made, rotation=rotation)
    return describe(folder, made, made.trials[0].run, Namespace(), targets)["leakage"]


def test_a_rotation_says_what_was_found_with_each_fold_as_the_test(monkeypatch, folder):
    once, all_folds = said(monkeypatch, folder), said(monkeypatch, folder, (3, 10))
    assert once.startswith("none found: pretraining saw "), once
    assert all_folds.startswith(
        "none found in any of 2 rotations, of which that with fold 3 as the test: pretraining saw "
    ), all_folds
    assert all_folds.endswith(once.partition("; ")[2].partition("; ")[2]), "the rest is the same"


def test_what_one_fold_leaks_is_said_of_the_whole_rotation(monkeypatch, folder):
    """A pretraining that saw fold 10 whichever fold is the test."""
    plain = lineage.leakage

    def careless(home, targets, seen, split, dealt):
        return plain(home, targets, (*seen, 10), split, dealt)

    monkeypatch.setattr(lineage, "leakage", careless)
    found = said(monkeypatch, folder, (3, 10, 5))
    assert found.startswith("FOUND: "), found
    assert found.endswith("; that is with fold 10 as the test")
