"""The geometry task on clouds that are known: against loops, scikit-learn, and numbers by hand."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from made import material
from sklearn.metrics import silhouette_samples

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate import geometry as module
from clef_ray.evaluate.bootstrap import sample_and_resamples
from clef_ray.evaluate.cloud import alignment, cloud, cluster, participation_ratio, tenths, unit
from clef_ray.evaluate.inputs import OFFICIAL, SELECTION
from clef_ray.evaluate.judged import judged, one_record_each
from clef_ray.evaluate.kernels import without_diagonal
from clef_ray.evaluate.maps import map_2d
from clef_ray.evaluate.monitor import effective_rank
from clef_ray.evaluate.risks import risks
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.geometry import Geometry

DATA = Synthetic(patients=400, seed=3, records_per_patient=1.6)


@pytest.fixture(scope="module")
def table():
    return DATA.table().reset_index(drop=True)


def asked(features, table, **options):
    return material(
        features,
        table,
        label_sets=dict(DATA.label_sets),
        headline=DATA.headline,
        leads=("I", "II"),
        **options,
    )


def noise(count, dimensions=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def repeated(weights):
    return np.repeat(np.arange(len(weights)), weights.astype(int))


def test_cloud_is_the_loop_over_pairs_of_different_people():
    u = unit(noise(8))
    weights = sample_and_resamples(np.arange(8).astype(str), 3, 0)[1:]
    got = cloud(without_diagonal(u @ u.T), weights)
    for k, w in enumerate(weights):
        pairs = [(u[i], u[j]) for i in repeated(w) for j in repeated(w) if i != j]
        cosine = np.mean([a @ b for a, b in pairs])
        potential = np.mean([np.exp(-2 * ((a - b) ** 2).sum()) for a, b in pairs])
        assert got["mean_cosine"][k] == pytest.approx(cosine, abs=1e-12)
        assert got["uniformity"][k] == pytest.approx(np.log(potential), abs=1e-12)


def test_alignment_by_hand():
    """a: (1,0) and (0,1), |u - v|^2 = 2. b: (1,0) twice and (-1,0), pairs 0, 4, 4. c has one record."""
    u = np.array([[1.0, 0], [1, 0], [0, 1], [1, 0], [0, 1], [-1, 0]])
    patient = np.array(["a", "b", "a", "b", "c", "b"])
    assert alignment(u, patient) == pytest.approx([2, 8 / 3])


def test_tenths_are_equal_parts_of_the_pairs_and_keep_ties_together():
    x = np.random.default_rng(1).permutation(np.arange(25.0)) ** 1.5
    d = np.abs(np.subtract.outer(x, x))
    upper = np.triu_indices(25, 1)
    got = tenths(d)
    assert np.bincount(got[upper]).tolist() == [30] * 10
    want = pd.qcut(d[upper], 10, labels=False)
    assert (got[upper] == want).all()
    assert (np.diag(got) == -1).all()
    three = tenths(np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    assert set(three[np.triu_indices(3, 1)]) == {5}


def distances(count, seed=0):
    u = unit(noise(count, 3, seed))
    return without_diagonal(1 - u @ u.T)


def test_silhouette_is_scikit_learns_and_the_ratio_that_of_means():
    d, member = distances(30), np.arange(30) % 3 == 0
    ratio, silhouette = cluster(d, member, np.ones((1, 30)))
    assert silhouette[0] == pytest.approx(silhouette_samples(d, member, metric="precomputed")[member].mean())
    within = np.mean([d[i, j] for i, j in permutations(np.flatnonzero(member), 2)])
    assert ratio[0] == pytest.approx(within / d[np.ix_(member, ~member)].mean())


def test_a_cluster_under_weights_is_that_of_the_repeated_people():
    """A person drawn twice is no neighbour of itself."""
    d, member = distances(14, 1), np.arange(14) % 2 == 0
    weights = sample_and_resamples(np.arange(14).astype(str), 4, 0)[1:]
    ratio, silhouette = cluster(d, member, weights)
    for k, w in enumerate(weights):
        people = repeated(w)
        own, others = people[member[people]], people[~member[people]]
        s = []
        for i in own:
            a, b = np.mean([d[i, j] for j in own if j != i]), np.mean([d[i, j] for j in others])
            s.append((b - a) / max(a, b))
        within = np.mean([d[i, j] for i in own for j in own if i != j])
        across = np.mean([d[i, j] for i in own for j in others])
        assert silhouette[k] == pytest.approx(np.mean(s), abs=1e-12)
        assert ratio[k] == pytest.approx(within / across, abs=1e-12)


def test_a_class_of_one_or_of_everybody_is_undefined():
    d = distances(6)
    for member in (np.arange(6) == 0, np.ones(6, dtype=bool)):
        assert np.isnan(cluster(d, member, np.ones((1, 6)))).all()


def test_participation_ratio_by_hand():
    cross = np.concatenate([np.eye(3), -np.eye(3)])
    assert participation_ratio(cross) == pytest.approx(3)
    assert participation_ratio(cross * [2, 1, 0]) == pytest.approx((4 + 1) ** 2 / (16 + 1))
    assert np.isnan(participation_ratio(np.full((5, 2), 0.1)))


def test_the_task_says_all_it_can_of_the_judged_patients(table):
    z = noise(len(table))
    result = run_task(Geometry(), asked(z, table))
    first = one_record_each((table.fold == 10).to_numpy(), table.patient.to_numpy(str), 700, 0)
    u = unit(z[first])
    cosine = (u @ u.T)[np.triu_indices(len(u), 1)]
    assert result.estimates["geometry/mean_cosine"].value == pytest.approx(cosine.mean(), abs=1e-9)
    assert result.extras["geometry/n_test"] == len(first) == table.patient[table.fold == 10].nunique()
    assert result.extras["geometry/effective_rank"] == pytest.approx(effective_rank(z[first]))
    assert result.extras["geometry/participation_ratio"] == pytest.approx(participation_ratio(u))
    risk = risks("score2", table)[0][first]
    gaps = np.abs(np.subtract.outer(risk, risk))[np.triu_indices(len(u), 1)]
    tenth = np.empty(len(gaps), dtype=int)
    tenth[np.argsort(gaps)] = 10 * (np.arange(len(gaps)) + 0.5) // len(gaps)
    curve = result.curves["geometry/cosine_by_risk"]
    assert curve.y == pytest.approx([cosine[tenth == k].mean() for k in range(10)], abs=1e-9)
    assert curve.x == pytest.approx([gaps[tenth == k].mean() for k in range(10)], abs=1e-6)
    assert curve.n.tolist() == np.bincount(tenth).tolist()
    assert curve.x_label == "difference of score2 between two patients [% in 10 years]"
    assert ((curve.low < curve.y) & (curve.y < curve.high)).all()
    drop = cosine[tenth == 0].mean() - cosine[tenth == 9].mean()
    assert result.estimates["geometry/cosine_drop"].value == pytest.approx(drop, abs=1e-9)
    assert all(e.low <= e.value <= e.high for e in result.estimates.values())


def test_tied_differences_are_in_one_tenth(table):
    """Sex: half of the pairs differ by 0, the other half by 1."""
    curve = run_task(Geometry(score="sex"), asked(noise(len(table)), table)).curves[
        "geometry/score_sex/cosine_by_risk"
    ]
    assert curve.x.tolist() == [0, 1]


def test_records_of_one_patient_are_positives_and_are_resampled_together(table):
    z = noise(len(table))
    result = run_task(Geometry(), asked(z, table, home=asked(z, table)))
    counts = table[table.fold != 9].patient.value_counts()
    want = []
    for patient in counts.index[counts > 1]:
        u = unit(z[((table.patient == patient) & (table.fold != 9)).to_numpy()])
        want.append(np.mean([((a - b) ** 2).sum() for a, b in permutations(u, 2)]))
    assert result.estimates["geometry/alignment"].value == pytest.approx(np.mean(want))
    assert f"alignment: of {len(want)} patients with two records or more" in result.notes


def test_classes_that_are_large_enough_are_compared(table):
    table = table.assign(label_two=[["A"] if a < 70 else ["B"] for a in table.age])
    table.loc[[0, 1, 2], "label_two"] = None
    young = (table.age < 70).to_numpy()
    z = np.column_stack([young, ~young]) + np.where(young, 0.05, 0.2)[:, None] * noise(len(table), 2)
    says = {"label_sets": {"two": ("A", "B", "C")}, "headline": "two"}
    result = run_task(Geometry(), material(z, table, home=material(z, table), **says))
    a, b = (result.estimates[f"geometry/silhouette/{name}"].value for name in "AB")
    assert a > 0.95 > b > 0.5
    assert result.estimates["geometry/silhouette"].value == pytest.approx((a + b) / 2)
    assert result.estimates["geometry/class_ratio"].high < 0.2
    assert any(note.startswith("class C left out: 0 patients with it, ") for note in result.notes)


def test_what_a_corpus_does_not_tell_is_left_out_and_said():
    table = DATA.table().reset_index(drop=True).drop_duplicates("patient").reset_index(drop=True)
    table = table.assign(age=np.nan)
    result = run_task(Geometry(), material(noise(len(table)), table))
    assert set(result.estimates) == {"geometry/mean_cosine", "geometry/uniformity"}
    assert [note.split(":")[0] for note in result.notes] == [
        "cosine_by_risk",
        "alignment",
        "class_ratio, silhouette",
    ]


def test_two_leads_of_one_record(table):
    z = noise(len(table))
    leads = {"I": z, "II": z @ np.array([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])}
    result = run_task(Geometry(other_lead="II"), asked(lambda task: leads[task.lead], table))
    first = one_record_each((table.fold == 10).to_numpy(), table.patient.to_numpy(str), 700, 0)
    want = ((unit(leads["I"][first]) - unit(leads["II"][first])) ** 2).sum(axis=1).mean()
    assert result.estimates["geometry/and_II/alignment_lead"].value == pytest.approx(want)
    assert result.estimates["geometry/and_II/cka_lead"].value == pytest.approx(1)


def test_a_corpus_without_the_patients_or_the_lead_is_skipped_with_the_reason(table):
    few = table[table.fold != 10].reset_index(drop=True)
    assert run_task(Geometry(), asked(noise(len(few)), few)).skipped == "0 patients are judged; 20 are needed"
    other = run_task(Geometry(labels="diagnoses"), asked(noise(len(table)), table))
    assert "Did you mean 'diagnosis'" in other.skipped
    lacking = run_task(Geometry(other_lead="V5"), asked(noise(len(table)), table))
    assert "needs lead V5" in lacking.skipped


def test_a_collapsed_embedding_is_undefined_where_it_says_nothing(table):
    result = run_task(Geometry(), asked(np.full((len(table), 3), 0.1), table))
    assert result.extras["geometry/effective_rank"] == pytest.approx(1)
    assert np.isnan(result.extras["geometry/participation_ratio"])
    assert result.estimates["geometry/mean_cosine"].value == pytest.approx(1)
    assert result.estimates["geometry/uniformity"].value == pytest.approx(0)
    assert np.isnan(result.estimates["geometry/silhouette"].value)
    assert any(n.startswith("undefined on these records:") and "class_ratio" in n for n in result.notes)


def test_many_patients_are_drawn_alike_for_every_encoder(table, monkeypatch):
    monkeypatch.setattr(module, "MOST_PATIENTS", 25)
    result = run_task(Geometry(), asked(noise(len(table)), table))
    assert result.extras["geometry/n_test"] == 25
    assert result.notes[0].startswith("pairs: of 25 of ")
    rows, names = (table.fold == 10).to_numpy(), table.patient.to_numpy(str)
    drawn = one_record_each(rows, names, 25, 0)
    assert len(np.unique(names[drawn])) == 25
    assert rows[drawn].all()
    back = np.arange(len(table))[::-1]
    there = one_record_each(rows[back], names[back], 25, 0)
    assert set(names[back][there]) == set(names[drawn])


def test_who_is_judged(table):
    home = asked(noise(len(table)), table)
    for split, on, want in (
        (OFFICIAL, None, table.fold == 10),
        (SELECTION, None, table.fold == 9),
        (OFFICIAL, home, table.fold != 9),
        (SELECTION, home, table.fold == 9),
    ):
        assert (judged(asked(noise(len(table)), table, split=split, home=on)) == want).all()


def test_other_options_have_other_names():
    tasks = [
        Geometry(),
        Geometry(score="age"),
        Geometry(labels="rhythm"),
        Geometry(other_lead="II"),
        Geometry(lead="II"),
        Geometry(lead="II", other_lead="I"),
    ]
    assert [task.prefix for task in tasks[:4]] == [
        "geometry",
        "geometry/score_age",
        "geometry/labels_rhythm",
        "geometry/and_II",
    ]
    assert len({task.prefix for task in tasks}) == len(tasks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "scoer2"}, "Did you mean 'score2'"),
        ({"other_lead": "VI"}, "unknown lead 'VI'"),
        ({"other_lead": "I"}, "I is the task's lead already"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Geometry(**options)


def test_a_map_by_principal_axes_and_one_of_neighbours():
    z = np.concatenate([noise(20, 6) + 8 * np.eye(6)[0], noise(20, 6) - 8 * np.eye(6)[0]])
    centred = unit(z) - unit(z).mean(axis=0)
    axes = np.linalg.svd(centred)[2][:2]
    assert np.abs(map_2d(z, "pca", 0)) == pytest.approx(np.abs(centred @ axes.T), abs=1e-9)
    points = map_2d(z, "tsne", 0)
    assert points.shape == (40, 2)
    group = np.arange(40) < 20
    assert silhouette_samples(points, group).min() > 0
    assert (points == map_2d(z, "tsne", 0)).all()


@pytest.mark.parametrize(("z", "message"), [(noise(4), "map of 4"), (np.full((9, 2), np.nan), "finite")])
def test_a_map_of_nothing_is_refused(z, message):
    with pytest.raises(DataError, match=message):
        map_2d(z, "pca", 0)
