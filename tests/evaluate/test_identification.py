"""Who is it: four persons by hand, loops over pairs, and pieces that are cut before they are filtered."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made import material
from sklearn.metrics import roc_auc_score

from clef_ray.augment import preprocess
from clef_ray.config import Run, override
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate import identification as module
from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.features import Features
from clef_ray.evaluate.identification import accuracy, auroc, equal_error_rate, similarities
from clef_ray.evaluate.run import run_task
from clef_ray.shards import Corpus, Stored
from clef_ray.store import Store
from clef_ray.tasks.identification import Identification

ONCE = np.ones((1, 4))

#: Rows: asked about; columns: known. Person 0 is its own nearest, 1 is third, 2 ties with 0 for the first place, 3 is second.
FOUR = np.array(
    [
        [0.9, 0.1, 0.2, 0.3],
        [0.8, 0.5, 0.1, 0.6],
        [0.7, 0.2, 0.7, 0.1],
        [0.1, 0.95, 0.2, 0.4],
    ]
)


def test_accuracy_by_hand():
    # Hits: 1, 0, one half by the tie, 0; among two: 1, 0, 1, 1.
    assert accuracy(FOUR, 1, ONCE) == pytest.approx([1.5 / 4])
    assert accuracy(FOUR, 2, ONCE) == pytest.approx([3 / 4])
    assert accuracy(FOUR, 4, ONCE) == [1]
    assert accuracy(FOUR, 1, np.array([[3.0, 1, 0, 2], [0, 1, 2, 0]])) == pytest.approx([3 / 6, 1 / 3])


def test_auroc_by_hand():
    # Column by column, own against the three others: .9 beats all; .5 beats .1, .2 and not .95; .7 beats all; .4 beats .3, .1 and not .6.
    assert auroc(FOUR, ONCE) == pytest.approx([(1 + 2 / 3 + 1 + 2 / 3) / 4])
    assert auroc(np.ones((4, 4)), ONCE) == [0.5]
    assert np.isnan(auroc(FOUR, np.array([[0.0, 2, 0, 0]]))[0])


def test_auroc_is_scikit_learns_one_against_the_rest():
    similarity = np.round(np.random.default_rng(0).normal(size=(30, 30)) + np.eye(30), 1)
    expected = roc_auc_score(np.eye(30), similarity, average="macro")
    assert auroc(similarity, np.ones((1, 30))) == pytest.approx([expected])


def test_auroc_under_weights_is_a_loop_over_pairs():
    rng = np.random.default_rng(1)
    similarity = np.round(rng.normal(size=(8, 8)) + np.eye(8), 1)
    weights = rng.integers(0, 3, (5, 8)).astype(float)
    for row, w in enumerate(weights):
        total = sum(
            w[j]
            * sum(
                w[i] * ((similarity[i, j] < similarity[j, j]) + (similarity[i, j] == similarity[j, j]) / 2)
                for i in range(8)
                if i != j
            )
            / (w.sum() - w[j])
            for j in range(8)
        )
        assert auroc(similarity, weights)[row] == pytest.approx(total / w.sum())


def test_equal_error_rate_by_hand():
    # Thresholds .4, .5, .7, .9 refuse 0, 1, 2, 3 of 4 and accept of the 12 others those at or above: .8, .6, .7, .95 | .8, .6, .7, .95 | .8,
    # .7, .95 | .95. Refused - accepted: -4/12, 3/12 - 4/12, 6/12 - 3/12, ...: nearest at .5.
    assert equal_error_rate(FOUR, ONCE) == pytest.approx([(3 / 12 + 4 / 12) / 2])
    assert equal_error_rate(np.eye(4), ONCE) == [0]


def test_equal_error_rate_under_weights_is_a_loop():
    rng = np.random.default_rng(2)
    similarity = np.round(rng.normal(size=(9, 9)) + 2 * np.eye(9), 1)
    weights = rng.integers(0, 3, (4, 9)).astype(float)
    own = np.diag(similarity)
    for row, w in enumerate(weights):
        tried = []
        for t in sorted(set(own)):
            refused = sum(w[i] for i in range(9) if own[i] < t) / w.sum()
            accepted = sum(w[i] / 8 for i in range(9) for j in range(9) if i != j and similarity[i, j] >= t)
            tried.append((abs(refused - accepted / w.sum()), (refused + accepted / w.sum()) / 2))
        assert equal_error_rate(similarity, weights)[row] == pytest.approx(min(tried, key=lambda x: x[0])[1])


def test_an_encoder_that_says_nothing_guesses():
    similarity = similarities(np.ones((20, 3)), np.full((20, 3), 2.0))
    once = np.ones((1, 20))
    assert accuracy(similarity, 1, once) == pytest.approx([1 / 20])
    assert accuracy(similarity, 5, once) == pytest.approx([5 / 20])
    assert auroc(similarity, once) == [0.5]
    assert equal_error_rate(similarity, once) == [0.5]
    assert (similarities(np.zeros((2, 3)), np.ones((2, 3))) == 0).all()


def test_similarity_is_the_cosine_of_asked_with_known():
    known, asked = np.array([[1.0, 0], [1, 1]]), np.array([[0.0, 3], [2, 0]])
    np.testing.assert_allclose(similarities(known, asked), [[0, 0.5**0.5], [1, 0.5**0.5]], atol=1e-6)


class Ends:
    """An encoder at hand whose input is what `piece(rows, span)` says and whose embedding is its input."""

    window = 10.0

    def __init__(self, piece):
        self.piece, self.asked = piece, []

    def pretrained(self):
        return torch.nn.Identity()

    def inputs(self, task, rows_N, span=None):
        self.asked.append(span)
        return torch.from_numpy(self.piece(rows_N, span))


def people(count=200, records=1):
    """Patient k is in fold k % 10 + 1."""
    patient = np.repeat(np.arange(count), records)
    return pd.DataFrame(
        {
            "record": [f"r{k:05d}" for k in range(len(patient))],
            "patient": [f"p{k:05d}" for k in patient],
            "fold": patient % 10 + 1,
        }
    )


def judged(table, trainable, **options):
    return run_task(
        Identification(**options), material(np.empty((len(table), 1)), table, trainable=trainable)
    )


def test_test_patients_are_told_apart_by_the_ends_of_their_first_record():
    table = people(200, records=2)
    direction = np.random.default_rng(0).normal(size=(400, 8))
    trainable = Ends(lambda rows, span: direction[rows])
    result = judged(table, trainable)
    assert result.extras == {
        "identification/persons": 20,
        "identification/n_patients": 20,
        "identification/chance": 1 / 20,
    }
    assert {name: e.value for name, e in result.estimates.items()} == {
        "identification/accuracy": 1,
        "identification/accuracy_top5": 1,
        "identification/auroc": 1,
        "identification/eer": 0,
    }
    assert trainable.asked == [(0.0, 5.0), (5.0, 10.0)]


def test_the_records_are_the_first_two_of_test_patients_that_have_two():
    table = pd.concat(
        [people(300, records=2), people(300).iloc[:250], people(400).iloc[300:]], ignore_index=True
    )
    seen = []
    trainable = Ends(lambda rows, span: (seen.append(rows), np.eye(len(table))[rows])[1])
    result = judged(table, trainable, across="records", seconds=4.0)
    assert result.extras["identification/4s/records/persons"] == 30
    assert trainable.asked == [(0.0, 4.0), (0.0, 4.0)]
    known, asked = seen
    np.testing.assert_array_equal(table.patient[known].to_numpy(), table.patient[asked].to_numpy())
    assert set(table.fold[known]) == {10}
    np.testing.assert_array_equal(known % 2, 0)
    np.testing.assert_array_equal(asked, known + 1)


def test_on_another_corpus_all_are_asked_about_but_those_kept_for_choosing():
    """Nothing is fitted there: the official validation fold is 9."""
    table, seen = people(200), []
    trainable = Ends(lambda rows, span: (seen.append(rows), np.eye(200)[rows])[1])
    elsewhere = material(np.empty((200, 1)), table, trainable=trainable, home=SimpleNamespace())
    result = run_task(Identification(), elsewhere)
    assert result.extras["identification/n_patients"] == 180
    assert set(table.fold[seen[0]]) == set(range(1, 11)) - {9}


def test_intervals_resample_the_persons_asked_about():
    table = people(200)
    rng = np.random.default_rng(3)
    known, noise = rng.normal(size=(200, 3)), rng.normal(size=(200, 3))
    trainable = Ends(lambda rows, span: known[rows] + noise[rows] * (span[0] > 0))
    estimate = judged(table, trainable).estimates["identification/accuracy"]
    test = np.flatnonzero(table.fold == 10)
    nearest = similarities(known[test], (known + noise)[test]).argmax(axis=1)
    hit = nearest == np.arange(20)
    assert 0 < hit.mean() < 1
    weights = sample_and_resamples(table.patient[test].to_numpy(str), 20, 0)
    assert estimate.value == pytest.approx(hit.mean())
    np.testing.assert_allclose(estimate.replicates, (weights[1:] @ hit) / 20)


def test_more_persons_than_can_be_compared_are_drawn(monkeypatch):
    monkeypatch.setattr(module, "MOST_PERSONS", 21)
    direction = np.random.default_rng(0).normal(size=(300, 8))
    result = judged(people(300), Ends(lambda rows, span: direction[rows]))
    assert result.extras["identification/persons"] == 21
    assert "a seeded draw of 21 of 30 persons" in result.notes


@pytest.mark.parametrize(
    ("options", "window", "count", "reason"),
    [
        ({}, None, 200, "here are only features"),
        ({}, 9.9, 200, "halves of 5 s need 10 s; the encoder is given 9.9 s"),
        ({"across": "records"}, 4.0, 200, "of the judged patients have two records"),
        ({}, 10.0, 190, "19 of the judged patients have a record; 20 are needed"),
    ],
)
def test_what_is_lacking_is_said(options, window, count, reason):
    trainable = None if window is None else Ends(lambda rows, span: np.eye(count)[rows])
    if trainable:
        trainable.window = window
    result = judged(people(count), trainable, **options)
    assert not result.estimates
    assert reason in result.skipped


def test_records_that_are_too_short_are_refused():
    trainable = Ends(lambda rows, span: np.eye(400)[rows])
    trainable.window = 4.0
    assert "records of 5 s need 5 s" in judged(people(200, 2), trainable, across="records").skipped


def test_an_encoder_that_diverged_is_an_error():
    with pytest.raises(DataError, match="did the pretraining diverge"):
        judged(people(), Ends(lambda rows, span: np.full((len(rows), 2), np.nan)))


@pytest.mark.parametrize("seconds", [0.0, 1.9, 61.0])
def test_pieces_have_a_length(seconds):
    with pytest.raises(ConfigError, match="2 to 60 s"):
        Identification(seconds=seconds)


def test_names_tell_options_apart():
    tasks = [
        Identification(),
        Identification(seconds=4),
        Identification(across="records"),
        Identification(lead="II"),
    ]
    assert len({task.prefix for task in tasks}) == 4


@pytest.fixture
def features(tmp_path):
    """`Features` of an encoder that gives back its input, on twelve seconds of two records; and their mV."""
    rng = np.random.default_rng(4)
    mv_NT = (np.cumsum(rng.normal(0, 0.02, (2, 1200)), axis=1) + rng.normal(0, 0.1, (2, 1200))).astype(
        np.float32
    )
    run = override(Run(), {"method": "random", "signals.fs": 100})
    encoder = SimpleNamespace(device=torch.device("cpu"), encoder=torch.nn.Identity())
    corpus = Corpus(Stored.of_millivolts(mv_NT[:, None]), people(2), 100.0, ("I",), SimpleNamespace())
    trainable = Features(run, lambda: encoder, corpus, Store(str(tmp_path)))
    return trainable, corpus.millivolts(np.arange(2), "I"), run.signals


def test_a_piece_is_cut_before_it_is_filtered(features):
    trainable, mv_NT, signals = features
    rows, task = np.array([1, 0]), Identification()
    assert trainable.window == 10.0
    whole = trainable.inputs(task, rows)
    for first, last in ((0.0, 5.0), (5.0, 10.0), (2.5, 6.25)):
        cut = slice(round(first * 100), round(last * 100))
        alone = preprocess(torch.from_numpy(mv_NT[rows, cut].copy()), signals)
        piece = trainable.inputs(task, rows, (first, last))
        assert torch.equal(piece[:, 0], alone)
        assert piece.shape == (2, 1, round((last - first) * 100))
        later = whole[:, :, cut]
        assert not torch.allclose(
            piece, (later - later.mean(2, True)) / later.std(2, keepdim=True), atol=0.02
        )


def test_a_window_is_no_longer_than_the_records(features):
    trainable, _, _ = features
    raw = trainable._corpus.signals
    eight = replace(trainable._corpus, signals=replace(raw, raw_NKT=raw.raw_NKT[..., :800]))
    assert Features(trainable._run, trainable._load, eight, trainable._store).window == 8.0
