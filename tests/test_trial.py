"""What a trial's evaluation hands to its tasks, on its own corpus and on targets, and what it keeps."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from clef_ray import trial
from clef_ray.ablation import Arm, Trial
from clef_ray.config import Run, override, task_spec
from clef_ray.datasets import COVARIATES
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.features import FOLDER
from clef_ray.evaluate.judging import Judging
from clef_ray.evaluate.risks import risks
from clef_ray.scores.score2 import Score2
from clef_ray.shards import Corpus, Stored
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, RECORD


def made(patients, seed, mark, leads=("I",), **facts):
    """A corpus whose signals hold the age of the patient and nothing else."""
    table = Synthetic(patients=patients, seed=seed, records_per_patient=1).table()
    age = table.age.to_numpy(np.float32)[:, None, None]
    signals = Stored.of_millivolts(np.tile(age, (1, len(leads), 5000 if patients > 1000 else 500)))
    said = {"dataset": "synthetic", "leads": leads, "label_sets": {}, "headline": "", "targets": {}, **facts}
    return Corpus(signals, table, 500.0, leads, SimpleNamespace(fingerprint=mark, **said))


@pytest.fixture
def corpus():
    return made(1500, 1, "abc")


@pytest.fixture
def age_encoder(monkeypatch):
    """Embeddings on a half circle by exp(age / 15). The list of the numbers of records that were encoded."""
    encoded = []

    def features(x_NT):
        encoded.append(len(x_NT))
        low, high = np.exp(np.array([18, 100]) / 15)  # of all patients: they come in pieces
        angle = np.pi * (np.exp(x_NT[:, 0] / 15) - low) / (high - low)
        return np.column_stack([np.cos(angle), np.sin(angle)])

    encoder = SimpleNamespace(load=lambda path, device: SimpleNamespace(features=features, run=RUN))
    monkeypatch.setattr(trial, "Embedder", encoder)
    return encoded


TASK = task_spec("score_spearman:permutations=1")
PROBE = task_spec("diagnosis:labels=rhythm")
RUN = override(Run(data="other"), {"method": "random"})
JUDGING = Judging((TASK,), "abc")
SELECTION = replace(JUDGING, split="selection")


def evaluated(corpus, folder, judging=JUDGING, **options):
    return trial.evaluate(RUN, judging, corpus, Store(str(folder)), **options)["zeroshot"]


def test_an_encoder_of_age_has_no_partial_correlation_with_the_score(corpus, age_encoder, tmp_path):
    estimates = evaluated(corpus, tmp_path).estimates
    assert estimates["zeroshot/rsa"].value > 0.5
    assert abs(estimates["zeroshot/rsa_beyond"].value) < 0.15


def test_with_age_and_sex_alone_the_partial_correlation_is_undefined(corpus, age_encoder, tmp_path):
    corpus.table[[name for name in COVARIATES if name not in ("age", "sex")]] = np.nan
    result = evaluated(corpus, tmp_path)
    assert result.estimates["zeroshot/rsa"].value > 0.5
    assert np.isnan(result.estimates["zeroshot/rsa_beyond"].value)
    assert any("age and sex determine the risk" in note for note in result.notes)


def test_the_second_risk_is_the_centres_person_of_that_age_and_sex(corpus):
    table = corpus.table
    covariates = {name: table[name].to_numpy(float) for name in COVARIATES}
    names = table.patient.to_numpy(str)
    centre = {"smoker": 0.0, "sbp": 120.0, "total_cholesterol": 6.0, "hdl": 1.3}
    alike = covariates | {field: np.full(len(table), value) for field, value in centre.items()}
    whole, age_sex = risks("score2", table)
    np.testing.assert_array_equal(whole, Score2()(covariates, names).value_N)
    np.testing.assert_array_equal(age_sex, Score2()(alike, names).value_N)


def test_a_score_that_age_and_sex_do_not_give_has_no_second_risk(corpus):
    table = corpus.table.assign(findings=1.0)
    whole, age_sex = risks("acute", table)
    assert np.isfinite(whole).all()
    assert np.isnan(age_sex).all()


def finished(storage, run=RUN):
    """The folder of a run that was trained, as far as evaluation looks at it."""
    store = trial.run_store(str(storage), run)
    store.write_bytes(RECORD, json.dumps({"history": [], "seconds": 1.0}).encode())
    store.write_bytes(ENCODER, b"which the fixture stands for")
    return store


def test_a_split_has_results_of_its_own(corpus, age_encoder, tmp_path):
    """The two never answer for one another, neither when they are computed nor when they are read."""
    one, storage, store = Trial(Arm("random", {}), 0, RUN), str(tmp_path), finished(tmp_path)
    official = trial.evaluate(RUN, JUDGING, corpus, store)["zeroshot"]
    assert trial.load_outcome(one, SELECTION, storage) is None
    selection = trial.evaluate(RUN, SELECTION, corpus, store)["zeroshot"]
    folds = corpus.table.fold
    assert official.extras["zeroshot/n_test"] == (folds == 10).sum()
    assert selection.extras["zeroshot/n_test"] == (folds == 9).sum()
    for judging, result in ((JUDGING, official), (SELECTION, selection)):
        stored = trial.load_outcome(one, judging, storage)
        assert stored.results["zeroshot"].extras == result.extras
    assert trial.load_outcome(one, JUDGING, storage).metrics["zeroshot/n_test"] == (folds == 10).sum()


@pytest.mark.parametrize("split", ["official", "selection"])
def test_an_encoder_that_saw_the_judged_patients_is_refused(corpus, age_encoder, tmp_path, split):
    seen = override(Run(data="abc"), {"train_folds": (1, 9)})
    with pytest.raises(ConfigError, match="fold 9 would be seen in pretraining and judged on"):
        trial.evaluate(seen, replace(JUDGING, split=split), corpus, Store(str(tmp_path)))


def test_a_target_that_pretraining_saw_is_refused_as_well(small, age_encoder, tmp_path):
    """Though the corpus that is called its own is another one."""
    seen, (home, target) = override(Run(data="bbb"), {"train_folds": (1, 10)}), small
    judging = Judging((TASK,), "aaa", (("t", "bbb"),))
    with pytest.raises(ConfigError, match="fold 10 would be seen in pretraining and judged on"):
        trial.evaluate(seen, judging, home, Store(str(tmp_path)), {"t": target})


def test_a_new_task_on_a_run_whose_encoder_was_freed_names_the_remedy(corpus, tmp_path):
    """`clef-ray gc --encoders` frees what a report has judged; another task needs it again, and no retry would bring it back."""
    store = Store(str(tmp_path))
    store.write_bytes(RECORD, b"{}")
    with pytest.raises(DataError, match=rf"score_spearman.*gc --encoders.*delete {tmp_path}/{RECORD}"):
        trial.evaluate(RUN, JUDGING, corpus, store)


@pytest.fixture
def small():
    """Two corpora: the one of pretraining has labels, the other one has none, and another lead beside I."""
    home, target = made(250, 1, "aaa"), made(260, 2, "bbb", leads=("V5", "I"))
    home.manifest.label_sets, home.manifest.headline = {"rhythm": ("AF", "SR")}, "rhythm"
    home.table["label_rhythm"] = [["AF"] if a > 60 else ["SR"] for a in home.table.age]
    return home, target


def both(small, name="other"):
    """Judged by both tasks on the corpus of pretraining and on the other one."""
    return Judging((TASK, PROBE), "aaa", ((name, "bbb"),)), {name: small[1]}


def test_targets_are_judged_kept_and_read_again(small, age_encoder, tmp_path):
    """The metrics of a target begin with its name; what it lacks is said, and the rest goes on."""
    judging, targets = both(small)
    store = finished(tmp_path)
    results = trial.evaluate(RUN, judging, small[0], store, targets)
    assert list(results) == ["zeroshot", "probe/rhythm", "other/zeroshot", "other/probe/rhythm"]
    for key, result in results.items():
        assert all(name.startswith(f"{key}/") for name in (*result.estimates, *result.extras))
    assert "unknown label set 'rhythm'" in results["other/probe/rhythm"].skipped
    assert [key for key, result in results.items() if not result.estimates] == ["other/probe/rhythm"]
    encoded = list(age_encoder)
    assert sum(encoded) == 250 + 260
    again = trial.evaluate(RUN, judging, small[0], store, targets)
    outcome = trial.load_outcome(Trial(Arm("random", {}), 0, RUN), judging, str(tmp_path))
    for other in (again, outcome.results):
        assert list(other) == list(results)
        for key, result in results.items():
            assert (other[key].extras, other[key].skipped) == (result.extras, result.skipped)
            assert list(other[key].estimates) == list(result.estimates)
    assert (
        outcome.metrics["other/zeroshot/rsa"]
        == results["other/zeroshot"].estimates["other/zeroshot/rsa"].value
    )
    assert age_encoder == encoded, "what is stored is not run"


def test_a_target_is_the_same_under_another_name_and_another_beside_another_corpus(
    small, age_encoder, tmp_path
):
    """Its results are kept without the name that a command gives it, and say beside which corpus they are."""
    store, (judging, targets) = finished(tmp_path), both(small)
    first = trial.evaluate(RUN, judging, small[0], store, targets)
    files = set(store.list("evaluate"))
    judging, targets = both(small, "renamed")
    second = trial.evaluate(RUN, judging, small[0], store, targets)
    assert set(store.list("evaluate")) == files
    assert second["renamed/zeroshot"].extras == {
        name.replace("other/", "renamed/"): value for name, value in first["other/zeroshot"].extras.items()
    }
    alone = trial.evaluate(RUN, Judging((TASK,), "bbb"), small[1], store)
    assert len(store.list("evaluate")) == len(files) + 1
    assert set(alone["zeroshot"].extras) != set(), "the target as a corpus of its own is another question"


def test_tasks_are_given_the_corpus_of_pretraining_beside_the_target(
    small, age_encoder, tmp_path, monkeypatch
):
    seen = []

    def watch(task, material):
        seen.append(
            (task.name, material.facts.fingerprint, material.home and material.home.facts.fingerprint)
        )
        return trial.TaskResult()

    monkeypatch.setattr(trial, "run_task", watch)
    judging, targets = both(small)
    trial.evaluate(RUN, judging, small[0], Store(str(tmp_path)), targets)
    names = ("score_spearman", "diagnosis")
    assert seen == [*((name, "aaa", None) for name in names), *((name, "bbb", "aaa") for name in names)]


def test_any_lead_is_i_where_there_is_one_else_the_first(age_encoder, tmp_path):
    """And a corpus without the lead that a task names is skipped with the reason."""
    told = {}
    for number, leads in enumerate([("V5", "I"), ("V5", "V6")]):
        corpus = made(250, 1, f"m{number}", leads)
        gain_N = corpus.signals.gain_NK[:, 0]
        gain_N[:] = gain_N[::-1].copy()  # V5 holds the ages of others
        tasks = tuple(task_spec(f"score_spearman:lead={lead},permutations=1") for lead in ("any", "I", "V5"))
        judging = Judging(tasks, corpus.manifest.fingerprint)
        found = trial.evaluate(RUN, judging, corpus, Store(str(tmp_path / str(number))))
        told[leads] = [
            result.skipped or round(next(iter(result.estimates.values())).value, 12)
            for result in found.values()
        ]
    any_lead, first, fifth = told["V5", "I"]
    assert any_lead == first != fifth
    any_lead, first, fifth = told["V5", "V6"]
    assert any_lead == fifth
    assert first == "it needs lead I; the shards hold V5, V6"


def features_of(store):
    return store.list(FOLDER)


def test_embeddings_are_made_once_and_kept(small, age_encoder, tmp_path):
    """Another task, in another process, reads them; another lead or rate has its own."""
    store, home = finished(tmp_path), small[1]
    ask = lambda *tasks: trial.evaluate(RUN, Judging(tuple(map(task_spec, tasks)), "bbb"), home, store)  # noqa: E731
    first = ask("score_spearman:permutations=1")
    assert age_encoder == [260]
    assert len(features_of(store)) == 1
    z_ND = np.load(
        tmp_path / f"runs/{RUN.fingerprint()}/{FOLDER}" / features_of(store)[0], allow_pickle=False
    )
    assert z_ND.shape == (260, 2)
    assert z_ND.dtype == np.float32
    store.delete(ENCODER)
    other = ask("score_spearman:permutations=2")
    assert age_encoder == [260], "not even the encoder is needed"
    assert (
        other["zeroshot"].estimates["zeroshot/rsa"].value == first["zeroshot"].estimates["zeroshot/rsa"].value
    )
    with pytest.raises(DataError, match="gc --encoders"):
        ask("score_spearman:lead=V5,permutations=1")
    store.write_bytes(ENCODER, b"back")
    ask("score_spearman:lead=V5,permutations=1", "score_spearman:rate=250,permutations=1")
    assert age_encoder == [260] * 3
    assert len(features_of(store)) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-5],
        lambda content: b"nonsense" * 100,
        lambda content: npy(np.zeros((259, 2), np.float32)),
        lambda content: npy(np.zeros((260, 2))),
        lambda content: npy(np.zeros(260, np.float32)),
        lambda content: npy(np.array([{}] * 260, dtype=object)),
    ],
)
def test_embeddings_that_cannot_be_used_are_told_and_made_again(small, age_encoder, tmp_path, damage):
    store, home = finished(tmp_path), small[1]
    trial.evaluate(RUN, Judging((TASK,), "bbb"), home, store)
    (name,) = features_of(store)
    before = store.read_bytes(f"{FOLDER}/{name}")
    store.write_bytes(f"{FOLDER}/{name}", damage(before))
    with pytest.warns(UserWarning, match=rf"{name} is damaged.*computed again"):
        trial.evaluate(RUN, Judging((task_spec("score_spearman:permutations=2"),), "bbb"), home, store)
    assert age_encoder == [260, 260]
    assert store.read_bytes(f"{FOLDER}/{name}") == before


def npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()
