"""The figures of `clef-ray bench evaluate` run, of small tables. How long they take is not asserted."""

import numpy as np

from clef_ray.bench import evaluate


def test_the_bootstrap_is_of_as_many_resamples_as_it_says():
    table = evaluate.Table(evaluate.Sizes(records=60, classes=3, resamples=4, part=(2, 2), rounds=1))
    assert table.positive_NK.shape == table.score_NK.shape == (60, 3)
    assert len(np.unique(table.patient_N)) == 30


def test_a_target_is_of_the_full_size_only():
    figure = evaluate.bootstrap(evaluate.Sizes(records=2000, classes=3, resamples=4, part=(2, 2), rounds=1))
    assert figure.ours > 0
    assert figure.plain > 0
    assert figure.ratio == figure.plain / figure.ours
    assert (figure.target, figure.met) == ("", None)


def test_embeddings_are_held_against_the_encoder_alone():
    figure = evaluate.embeddings(windows=70, rounds=1, fs=100)
    assert figure.unit == "windows/s"
    assert min(figure.ours, figure.plain, figure.limit) > 0
    assert isinstance(figure.met, bool)
