"""What a record says of the command that made it."""

import shlex

import pytest

from clef_ray.cli import Parser
from clef_ray.cli.lineage import given
from clef_ray.cli.options import add_options


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
