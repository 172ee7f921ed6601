"""The figure of the linear probe runs, of a small table. How long it takes is not asserted."""

import pytest

from clef_ray.bench import probes

SIZES = probes.Sizes(records=300, features=8, classes=4, part=2, rounds=1)


def test_classes_are_from_common_to_rare():
    assert probes.Case(SIZES).positive_NK.mean(axis=0) == pytest.approx([0.5, 0.136, 0.037, 0.01], abs=0.01)


def test_both_sides_run_and_only_the_full_size_has_a_target():
    figure = probes.probes(SIZES, lambda _: None)
    assert figure.ours > 0
    assert figure.ratio == pytest.approx(figure.plain / figure.ours)
    assert figure.met is None
