"""Leave-record-out on made-up recordings: who is learnt from, and numbers counted by hand from a learner that answers what it is told."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made import material

from clef_ray.datasets.cpsc2020 import FOLDS
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate import beats
from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.inputs import SELECTION
from clef_ray.evaluate.problem import Answer
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.cpsc2020_beats import Cpsc2020Beats

NAMES = ("N", "S", "V")
GROUP_OF = {name: group for group, names in Cpsc2020Beats.groups.items() for name in names}

#: Of another corpus of pretraining: then every recording is judged.
HOME = material(np.empty((0, 1)), pd.DataFrame())


def recordings(held, seconds=10):
    """A table of windows: recording -> classes, one letter for each window, 10 s after each other, a beat in the middle of those of S and V."""
    rows = []
    for recording, classes in held.items():
        for k, name in enumerate(classes):
            start = k * seconds * 400
            time = np.nan if name == "N" else (start + seconds * 200) / 400
            rows.append((f"{recording}-{start:08d}", recording, FOLDS.get(recording, 1), [name], time))
    return pd.DataFrame(rows, columns=["record", "patient", "fold", "label_beat", "target_beat_time"])


def ten(n="NNN", s="S" * 5, v="V" * 5):
    """All ten recordings with the beats of their groups."""
    return {name: n + s * ("S" in group) + v * ("V" in group) for name, group in sorted(GROUP_OF.items())}


def cpsc(table, logits_NK, **options):
    options = {"home": HOME, "dataset": "cpsc2020", "leads": ("ECG",)} | options
    return material(logits_NK, table, label_sets={"beat": NAMES}, **options)


def truth_of(table):
    return np.array([NAMES.index(names[0]) for names in table["label_beat"]])


@pytest.fixture
def told(monkeypatch):
    """A learner whose logits are the features, once for each of `draws` draws; what it was asked is kept."""
    asked = SimpleNamespace(problems=[], draws=[0.0])

    def answers(problem, task, given):
        asked.problems.append(problem)
        for draw in asked.draws:
            score_NK = np.array(given.features(task))
            score_NK[~problem.rows.test] = np.nan  # only the judged ones may be looked at
            score_NK[:, 0] += draw
            yield Answer(score_NK, {"c": 0.5}, ("a note",))

    monkeypatch.setattr(beats, "answers", answers)
    return asked


def judge(table, found_N, **options):
    result = run_task(Cpsc2020Beats(), cpsc(table, np.eye(3)[found_N], **options))
    assert result.skipped is None, result.skipped
    return result


def value(result, name):
    return result.estimates[f"cpsc2020_beats/{name}"].value


def test_each_recording_is_judged_by_others_and_chosen_by_one_of_v_and_one_of_s(told):
    table = recordings(ten())
    judge(table, truth_of(table))
    parts = []
    for problem in told.problems:
        train, validation, test = (set(problem.patient_N[part_N]) for part_N in problem.rows)
        assert len(train) + len(validation) + len(test) == 10
        assert train | validation | test == set(FOLDS)
        (judged,) = test
        assert sorted(GROUP_OF[name] for name in validation) == ["S", "V"]
        for name in ("S", "V"):
            assert any(name in GROUP_OF[recording] for recording in train)
        parts.append((judged, validation))
    # The next in the group by name, around.
    assert dict(parts) == {
        "A01": {"A02", "A09"},
        "A02": {"A08", "A09"},
        "A03": {"A08", "A09"},
        "A04": {"A08", "A09"},
        "A05": {"A08", "A09"},
        "A06": {"A08", "A09"},
        "A07": {"A08", "A09"},
        "A08": {"A02", "A09"},
        "A09": {"A02", "A10"},
        "A10": {"A02", "A09"},
    }
    assert [problem.kind for problem in told.problems] == ["exclusive"] * 10


def test_a_perfect_answer_is_1_and_costs_nothing(told):
    table = recordings(ten())
    result = judge(table, truth_of(table))
    for name in ("f1", "f1/N", "f1/S", "f1/V", "event_f1/S", "event_f1/V"):
        assert value(result, name) == 1
    for name in ("official", "revised", "strict"):
        assert value(result, f"loss_{name}") == 0
    assert result.extras["cpsc2020_beats/n_patients"] == 10
    assert result.extras["cpsc2020_beats/n_test"] == len(table)
    assert result.extras["cpsc2020_beats/c"] == 0.5
    assert result.notes.count("a note") == 1


def test_errors_are_counted_by_hand(told):
    # 10 x 3 N; S in A04, A07, A09, A10, V in A02, A04, A07, A08, five of each: 20 S, 20 V.
    table = recordings(ten())
    found_N = truth_of(table)

    def answered(recording, true, given, count):
        rows = np.flatnonzero((table.patient == recording) & (truth_of(table) == NAMES.index(true)))
        found_N[rows[:count]] = NAMES.index(given)

    answered("A01", "N", "S", 2)  # A01 has no S: they count in every scorer
    answered("A10", "N", "S", 1)  # A10 has S: a stray, free officially
    answered("A04", "V", "S", 3)  # missed V, and strays of S
    answered("A09", "S", "N", 4)  # missed S
    result = judge(table, found_N)
    # N: 30 true, 27 right, 31 given. S: 20 true, 16 right, 22 given. V: 20 true, 17 right, 17 given.
    f1 = {"N": 54 / 61, "S": 32 / 42, "V": 34 / 37}
    for name, expected in f1.items():
        assert value(result, f"f1/{name}") == pytest.approx(expected)
    assert value(result, "f1") == pytest.approx(sum(f1.values()) / 3)
    assert value(result, "event_f1/S") == pytest.approx(32 / (32 + 6 + 4))
    assert value(result, "event_f1/V") == pytest.approx(34 / (34 + 0 + 3))
    # Missed: 3 V and 4 S, 5 each. False: 2 where nothing is marked; 1 + 3 strays.
    assert value(result, "loss_official") == 35 + 2
    assert value(result, "loss_revised") == 35 + 6
    assert value(result, "loss_strict") == 35 + 6


def test_beats_that_are_close_may_meet_each_others_marks(told):
    # An S and a V 100 ms apart in A04: taken for each other, both are still found within 150 ms of their marks.
    table = recordings(ten())
    here = np.flatnonzero(table.patient == "A04")
    s, v = (here[[table.label_beat[k] == [name] for k in here]][0] for name in ("S", "V"))
    start = int(table.record[s].split("-")[1]) + 40
    table.loc[v, ["record", "target_beat_time"]] = [f"A04-{start:08d}", (start + 2000) / 400]
    found_N = truth_of(table)
    found_N[[s, v]] = found_N[[v, s]]
    result = judge(table, found_N)
    assert value(result, "f1/S") == pytest.approx(19 / 20)
    assert value(result, "event_f1/S") == value(result, "event_f1/V") == 1
    assert value(result, "loss_strict") == 0


def test_draws_are_averaged(told):
    table = recordings(ten())
    told.draws = [0.0, 5.0]  # the second calls everything N: 30 of 70 right
    result = judge(table, truth_of(table))
    f1_n = 60 / 100
    assert value(result, "f1/N") == pytest.approx((1 + f1_n) / 2)
    assert value(result, "f1/S") == 0.5
    assert value(result, "loss_strict") == 40 * 5 / 2


def test_intervals_resample_recordings(told):
    table = recordings(ten())
    found_N = truth_of(table)
    found_N[(table.patient == "A04") & (found_N == 2)] = (
        0  # five missed V in one recording: 25 each time it is drawn
    )
    estimate = judge(table, found_N, n_boot=300).estimates["cpsc2020_beats/loss_strict"]
    assert estimate.value == 25
    assert set(estimate.replicates) <= {25.0 * k for k in range(11)}
    assert abs((estimate.replicates == 0).mean() - 0.9**10) < 0.1
    # Recordings come whole: the N of A01 are all wrong or none of a resample's are.
    wrong = np.where(table.patient == "A01", 1, truth_of(table))
    weights = sample_and_resamples(table.patient.to_numpy(str), 20, 0)
    right_B, true_B = weights @ ((truth_of(table) == 0) & (wrong == 0)), weights @ (truth_of(table) == 0)
    replicates = judge(table, wrong).estimates["cpsc2020_beats/f1/N"].replicates
    np.testing.assert_allclose(replicates, (2 * right_B / (right_B + true_B))[1:])
    # S lies in four recordings: (6/10)^10 of the resamples have none, and F1 of S is unknown in them, not 0.
    f1 = judge(table, truth_of(table), n_boot=300).estimates["cpsc2020_beats/f1/S"]
    assert set(f1.replicates[np.isfinite(f1.replicates)]) == {1.0}


def test_coverage_is_the_share_of_all_marked_beats(told):
    table = recordings(ten())
    result = judge(table, truth_of(table))
    marked = {
        "S": 24 + 3466 + 25 + 6 + 3481 + 1462 + 9071,
        "V": 4554 + 382 + 19021 + 1 + 15150 + 2793 + 2 + 169,
    }
    for name, count in marked.items():
        assert result.extras[f"cpsc2020_beats/coverage/{name}"] == pytest.approx(20 / count)
    assert any("0.11% of the marked S and 0.05% of the marked V" in note for note in result.notes)


def test_what_pretraining_saw_is_not_judged(told):
    table = recordings(ten())
    result = judge(table, truth_of(table), home=None)
    assert [set(p.patient_N[p.rows.test]) for p in told.problems] == [{"A01"}, {"A07"}]
    assert result.extras["cpsc2020_beats/n_patients"] == 2


def test_choosing_between_configurations_leaves_the_test_folds_alone(told):
    table = recordings(ten())
    judge(table, truth_of(table), split=SELECTION)
    assert [set(p.patient_N[p.rows.test]) for p in told.problems] == [{"A08"}, {"A09"}]
    for problem in told.problems:
        used_N = np.any(problem.rows, axis=0)
        assert not {"A01", "A07"} & set(problem.patient_N[used_N])


def test_windows_without_a_label_are_left_out(told):
    table = recordings(ten())
    found_N = truth_of(table)
    table["label_beat"] = table["label_beat"].where(table.index != 3, None)
    result = judge(table, found_N)
    assert result.extras["cpsc2020_beats/n_test"] == len(table) - 1


@pytest.fixture
def centroids(monkeypatch):
    """A learner that answers the class whose training mean is the nearest."""

    def answers(problem, task, given):
        x_ND = given.features(task)
        means = [x_ND[problem.rows.train & has_N].mean(axis=0) for has_N in problem.positives.T]
        yield Answer(np.column_stack([-np.linalg.norm(x_ND - mean, axis=1) for mean in means]))

    monkeypatch.setattr(beats, "answers", answers)


def test_what_others_do_not_teach_is_not_known(centroids):
    table = recordings(ten(n="N" * 6, s="S" * 6, v="V" * 6))
    noise = np.random.default_rng(0).normal(0, 0.1, (len(table), 3))
    features = np.eye(3)[truth_of(table)] + noise
    result = run_task(Cpsc2020Beats(), cpsc(table, features))
    assert value(result, "f1") == 1
    assert value(result, "loss_strict") == 0
    # In A04 S looks like the V of all others, and V like their S.
    here = (table.patient == "A04").to_numpy()
    features[here] = features[here][:, [0, 2, 1]]
    assert beats_of(table, features)["A04"] == [(0, 2, 1)[k] for k in truth_of(table)[here]]


def test_the_truth_of_the_judged_recording_teaches_nobody(centroids):
    table = recordings(ten(n="N" * 6, s="S" * 6, v="V" * 6))
    features = np.eye(3)[truth_of(table)] + np.random.default_rng(0).normal(0, 0.8, (len(table), 3))
    before = beats_of(table, features)
    for name in FOLDS:
        other = table.copy()
        here = (table.patient == name) & (truth_of(table) == 0)
        other.loc[here, "label_beat"] = pd.Series([["V"]] * len(table))
        assert beats_of(other, features)[name] == before[name]


def beats_of(table, features):
    """recording -> the classes that its windows are given."""
    task, given = Cpsc2020Beats(), cpsc(table, features)
    windows = beats._windows(task, given)
    judged, usable_N = beats._judged(task, given, windows)
    problems = [beats._problem(task, windows, usable_N, name) for name in judged]
    (found_N,), *_ = beats._found(problems, task, given)
    return {name: found_N[windows.recording == name].tolist() for name in judged}


@pytest.mark.parametrize(
    ("held", "options", "reason"),
    [
        (ten(), {"dataset": "mitdb"}, "it asks about cpsc2020, and these are records of mitdb"),
        (ten(s="", v=""), {}, "no window has a marked beat in its middle"),
        ({"X01": "NNSSVV"}, {}, "none of the recordings that may be judged"),
        ({"A02": "NV", "A04": "NSV", "A09": "NS"}, {}, "besides the judged recording none of A02, A08"),
        (ten(s="S" * 2), {}, "fewer than 5 windows in train are of class S"),
        (ten(n=""), {}, "fewer than 5 windows in train are of class N"),
        (ten() | {"A09": "N", "A10": "NSSSSSS"}, {}, "fewer than 1 windows in validation are of class S"),
    ],
)
def test_what_is_lacking_is_said(told, held, options, reason):
    table = recordings(held)
    result = run_task(Cpsc2020Beats(), cpsc(table, np.eye(3)[truth_of(table)], **options))
    assert not result.estimates
    assert reason in result.skipped


def test_an_encoder_that_does_not_see_the_middle_is_refused(told):
    table = recordings(ten())
    narrow, wide = SimpleNamespace(window=5.0), SimpleNamespace(window=10.0)
    result = run_task(Cpsc2020Beats(), cpsc(table, np.eye(3)[truth_of(table)], trainable=narrow))
    assert "beats are 5 s after their windows' starts; the encoder is given 5 s" in result.skipped
    assert judge(table, truth_of(table), trainable=wide).skipped is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="target_beat_time"), "no column target_beat_time"),
        (lambda t: t.drop(columns="label_beat"), "no column label_beat"),
        (lambda t: t.assign(record="A01"), "does not end in the sample"),
        (
            lambda t: t.assign(target_beat_time=t.target_beat_time + np.arange(len(t))),
            "all must be in the middle",
        ),
        (lambda t: t.assign(label_beat=[["S", "V"]] * len(t)), "have not exactly one of the classes"),
    ],
)
def test_shards_of_another_shape_are_an_error(told, change, words):
    table = recordings(ten())
    with pytest.raises(DataError, match=words):
        run_task(Cpsc2020Beats(), cpsc(change(table), np.eye(3)[truth_of(table)]))


def test_there_is_no_published_split():
    with pytest.raises(ConfigError, match="the publishers' test set is hidden"):
        Cpsc2020Beats(split="published")


def test_the_groups_are_the_recordings():
    assert sorted(GROUP_OF) == sorted(FOLDS)
    for name, counts in Cpsc2020Beats.marked.items():
        assert sorted(counts) == sorted(FOLDS)
        # Those of a group with the letter have more than any without it, but for the V of A03.
        inside = min(counts[r] for r in FOLDS if name in GROUP_OF[r])
        assert inside > max(counts[r] for r in FOLDS if name not in GROUP_OF[r] and r != "A03")


def test_a_learner_and_a_share_of_the_time_work_together():
    table = recordings(ten(n="N" * 6, s="S" * 6, v="V" * 6))
    features = np.eye(3)[truth_of(table)] + np.random.default_rng(0).normal(0, 0.05, (len(table), 3))
    whole = run_task(Cpsc2020Beats(mode="knn"), cpsc(table, features))
    assert whole.estimates["cpsc2020_beats/knn/f1"].value == 1
    part = run_task(Cpsc2020Beats(mode="knn", fraction=0.2, draws=2), cpsc(table, features))
    assert 0 < part.estimates["cpsc2020_beats/knn/20pct/f1"].value < 1
