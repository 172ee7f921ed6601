"""The tasks of CLEF, of the Challenges and the leakage probes: each on a tiny table whose metric is counted by hand."""

import importlib
import random
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clef_ray.datasets import COVARIATES
from clef_ray.errors import ConfigError
from clef_ray.evaluate.problem import Material, class_problem
from clef_ray.evaluate.run import run_task
from clef_ray.registry import DATASETS, TASKS
from clef_ray.tasks import Learnt, lead_in
from clef_ray.tasks._splits import icentia_parts

#: Task -> its dataset and what it asks for there: the label set and its number of classes (method.md §4), or the target and its unit.
CLASSES = {
    "ptbxl_diagnostic": ("ptbxl", "diagnostic", 44),
    "ptbxl_subdiagnostic": ("ptbxl", "subclass", 23),
    "ptbxl_superdiagnostic": ("ptbxl", "superclass", 5),
    "ptbxl_form": ("ptbxl", "form", 19),
    "ptbxl_rhythm": ("ptbxl", "rhythm", 12),
    "chapman_conditions": ("chapman", "condition", 38),
    "icentia_beat": ("icentia11k", "beat", 3),
    "icentia_rhythm": ("icentia11k", "rhythm", 3),
    "music_outcome": ("music", "outcome", 4),
    "mimic_lvef_class": ("mimic_iv_ecg", "lvef_class", 3),
    "mcmed_ed_dispo": ("mc_med", "ed_dispo", 4),
    "mcmed_dc_dispo": ("mc_med", "dc_dispo", 6),
    "mcmed_acuity": ("mc_med", "acuity", 5),
    "cpsc2018_rhythm": ("cpsc2018", "rhythm", 9),
    "cinc2017_rhythm": ("cinc2017", "rhythm", 4),
    "cinc2021_scored": ("cinc2021", "scored", 26),
    "code15_diagnosis": ("code15", "diagnosis", 6),
}
VALUES = {
    "mimic_lvef": ("mimic_iv_ecg", "lvef", "%"),
    "mcmed_sbp": ("mc_med", "sbp", "mmHg"),
    "mcmed_dbp": ("mc_med", "dbp", "mmHg"),
    "aurora_sbp": ("aurora_bp", "sbp", "mmHg"),
    "aurora_dbp": ("aurora_bp", "dbp", "mmHg"),
    "probe_age": ("", "age", "years"),
    "probe_sbp": ("", "sbp", "mmHg"),
}
ALL = [*CLASSES, *VALUES, "probe_sex"]

#: What a dataset's properties read of an instance, for those whose label sets and targets depend on it.
INSTANCES = {
    "code15": SimpleNamespace(_published=True),
    "mimic_iv_ecg": SimpleNamespace(_lvef=Path("LVEF.csv"), _scored=None, _tables=SimpleNamespace(hosp="hosp", ed=None)),
}  # fmt: skip
#: PTB-XL's classes stand in a file of the dataset; how many they are is checked on the real one below.
PTBXL = {labels: tuple(f"{labels}{k}" for k in range(n)) for ds, labels, n in CLASSES.values() if ds == "ptbxl"}  # fmt: skip


def declared(dataset, what):
    """The dataset's label_sets or targets."""
    if dataset == "ptbxl" and what == "label_sets":
        return PTBXL
    found = getattr(DATASETS.get(dataset), what)
    return found.fget(INSTANCES[dataset]) if isinstance(found, property) else found


@dataclass(frozen=True)
class Said:
    dataset: str
    leads: tuple
    label_sets: dict = field(default_factory=dict)
    headline: str = ""
    targets: dict = field(default_factory=dict)


def corpus(dataset, x_N, fold_N, label_sets=None, targets=None, **columns):
    """One feature; a patient per record."""
    names = [f"r{n:03d}" for n in range(len(x_N))]
    table = {
        "record": names,
        "patient": names,
        "fold": fold_N,
        **dict.fromkeys(COVARIATES, np.nan),
        **columns,
    }
    said = Said(dataset, ("I",), label_sets or {}, next(iter(label_sets or {"": ()})), targets or {})
    return Material(pd.DataFrame(table), said, lambda task: np.array(x_N, dtype=float)[:, None], n_boot=20)


#: Learnt from: x = -6..-1 is low, 1..6 high. Chosen by: one of each. Judged: at x = 1, 2, 3, ... what the case says.
TRAIN = [*range(-6, 0), *range(1, 7)]
TRAIN_FOLDS = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]


def judged_on(test):
    """(x, fold, letters) of all records."""
    letters = [*("L" * 6 + "H" * 6), "L", "H", *test]
    return [*TRAIN, -2, 2, *range(1, len(test) + 1)], [*TRAIN_FOLDS, 9, 9, *([10] * len(test))], letters


# In a row of letters L is a record of the low class, H of the high one, B of both. The score of the high class rises with x, that of the low
# class falls. An AUROC counts the pairs of a positive and a negative in which the positive has the larger score.
MULTILABEL = [
    # high: H3 > L1, L2; H5 and H6 > L1, L2, L4: 8 of 9. low: the same pairs.
    ("ptbxl_diagnostic", "diagnostic3", "diagnostic43", "LLHLHH", (8, 9), (8, 9)),
    # high: H2 > L1; H4, H5 > L1, L3: 5 of 9; low: the same.
    ("ptbxl_subdiagnostic", "subclass0", "subclass22", "LHLHHL", (5, 9), (5, 9)),
    # high: B2 and H3 > L1; H5 and B6 > L1, L4: 6 of 8. low, against H3 and H5: L1 and B2 below both, L4 below one, B6 below none: 5 of 8.
    ("ptbxl_superdiagnostic", "superclass0", "superclass4", "LBHLHB", (6, 8), (5, 8)),
    # high: H1 > none; B2 > none; H4 > L3: 1 of 3. low, against H1 and H4: B2 and L3 below H4: 2 of 4.
    ("ptbxl_form", "form1", "form18", "HBLH", (1, 3), (2, 4)),
    # high: H5 > L1..L4: 4 of 4; low: the same.
    ("ptbxl_rhythm", "rhythm0", "rhythm11", "LLLLH", (4, 4), (4, 4)),
    # high: H1 > none, H3 > L2: 1 of 4; low: the same pair.
    ("chapman_conditions", "SR", "AFIB", "HLHL", (1, 4), (1, 4)),
    # high: B1 > none, H3 > L2, B4 > L2: 2 of 3. low, against H3: B1 and L2 below, B4 not: 2 of 3.
    ("cpsc2018_rhythm", "NORM", "AFIB", "BLHB", (2, 3), (2, 3)),
    # high: B3 > L1, L2; H4 > L1, L2: 4 of 4. low, against H4: L1, L2, B3 below: 3 of 3.
    ("cinc2021_scored", "NSR", "TInv", "LLBH", (4, 4), (3, 3)),
    # high: H1 > none, H4 > L2, L3; H5 > L2, L3: 4 of 6; low: the same.
    ("code15_diagnosis", "SB", "ST", "HLLHH", (4, 6), (4, 6)),
]  # fmt: skip

# With exactly one of two classes per record, "not L" is "H": both AUROCs count the same pairs, of an H above an L.
EXCLUSIVE = [
    ("icentia_beat", "N", "V", "LLHH", (4, 4)),
    ("icentia_rhythm", "N", "AFIB", "LHLH", (3, 4)),  # H2 > L1; H4 > L1, L3
    ("music_outcome", "survivor", "scd", "LHHL", (2, 4)),  # H2, H3 > L1
    ("mimic_lvef_class", "reduced", "preserved", "HLHH", (2, 3)),  # H3, H4 > L2; H1 > none
    ("mcmed_ed_dispo", "Discharge", "ICU", "LLHLH", (5, 6)),  # H3 > L1, L2; H5 > L1, L2, L4
    ("mcmed_dc_dispo", "home", "hospice_or_death", "HHLL", (0, 4)),
    ("mcmed_acuity", "5", "1", "LHHLHL", (4, 9)),  # H2, H3 > L1; H5 > L1, L4
    ("cinc2017_rhythm", "N", "A", "LHL", (1, 2)),  # H2 > L1
]  # fmt: skip


def case(name, low, high, test, **records):
    dataset, labels, _ = CLASSES[name]
    x_N, fold_N, letters = judged_on(test)
    lists = {"L": [low], "H": [high], "B": [low, high]}
    label_sets = {labels: declared(dataset, "label_sets")[labels]}
    given = corpus(
        dataset, x_N, fold_N, label_sets, **{f"label_{labels}": [lists[one] for one in letters]}, **records
    )
    return TASKS.get(name)(), given


@pytest.mark.parametrize(("name", "low", "high", "test", "of_high", "of_low"), MULTILABEL)
def test_several_classes_of_a_record(name, low, high, test, of_high, of_low):
    task, given = case(name, low, high, test)
    assert not task.exclusive
    found = run_task(task, given)
    of_high, of_low = Fraction(*of_high), Fraction(*of_low)
    assert found.estimates[f"{name}/auroc/{high}"].value == pytest.approx(float(of_high))
    assert found.estimates[f"{name}/auroc/{low}"].value == pytest.approx(float(of_low))
    assert found.estimates[f"{name}/auroc"].value == pytest.approx(float((of_high + of_low) / 2))
    assert found.extras[f"{name}/classes"] == 2


@pytest.mark.parametrize(("name", "low", "high", "test", "pairs"), EXCLUSIVE)
def test_one_class_of_a_record(name, low, high, test, pairs):
    task, given = case(name, low, high, test)
    assert task.exclusive
    found = run_task(task, given)
    for metric in (f"{name}/auroc", f"{name}/auroc/{low}", f"{name}/auroc/{high}"):
        assert found.estimates[metric].value == pytest.approx(float(Fraction(*pairs))), metric


def test_every_task_of_classes_is_counted_above():
    assert {case[0] for case in [*MULTILABEL, *EXCLUSIVE]} == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_all_its_classes_are_asked_about(name):
    dataset, labels, count = CLASSES[name]
    classes = declared(dataset, "label_sets")[labels][:count]  # of CODE-15 the six are the first
    lists = [[one] for one in classes for _ in range(7)]
    given = corpus(
        dataset,
        np.zeros(7 * count),
        [1, 2, 3, 4, 5, 9, 10] * count,
        declared(dataset, "label_sets"),
        **{f"label_{labels}": lists},
    )
    problem = class_problem(TASKS.get(name)(), given)
    assert problem.names == classes
    assert len(problem.names) == count
    assert (problem.truth_NK == np.repeat(np.eye(count), 7, axis=0)).all()
    assert problem.kind == ("exclusive" if TASKS.get(name).exclusive else "multilabel")


def test_ptbxl_has_as_many_classes_as_the_paper_says(realdata):
    """Also of the set of all statements, which an extract's own tables lack."""
    dataset = DATASETS.get("ptbxl")(str(realdata / "ptbxl_subset"))
    statements = pd.read_csv(realdata / "ptbxl_subset" / "scp_statements.csv", index_col=0)
    counts = {"diagnostic": int(statements["diagnostic"].notna().sum())}
    counts |= {labels: len(classes) for labels, classes in dataset.label_sets.items()}
    assert counts == {labels: n for of, labels, n in CLASSES.values() if of == "ptbxl"}


# Learnt from, and chosen by, an exact line through `offset` with `slope`; of the judged records the error is given.
ERRORS = [
    ("mimic_lvef", 55.0, 2.0, [3, -5, 1, 0], Fraction(9, 4)),
    ("mcmed_sbp", 130.0, 4.0, [10, -10, 4], Fraction(24, 3)),
    ("mcmed_dbp", 80.0, -2.0, [6, 0], Fraction(6, 2)),
    ("aurora_sbp", 120.0, 5.0, [-7, -7, 7, 3, 1], Fraction(25, 5)),
    ("aurora_dbp", 75.0, 1.0, [2, 5], Fraction(7, 2)),
    ("probe_age", 60.0, 3.0, [-1, 12, 5], Fraction(18, 3)),
    ("probe_sbp", 125.0, -3.0, [8, 8, -8, -4], Fraction(28, 4)),
]


@pytest.mark.parametrize(("name", "offset", "slope", "errors", "mean"), ERRORS)
def test_values_are_off_by_what_was_added(name, offset, slope, errors, mean):
    dataset, target, _ = VALUES[name]
    x_N = np.array([*TRAIN, -2, 2, *range(1, len(errors) + 2)])
    y_N = offset + slope * x_N + np.array([0.0] * 14 + [*errors, np.nan])  # the last is not known
    column = target if target in COVARIATES else f"target_{target}"
    fold_N = [*TRAIN_FOLDS, 9, 9, *([10] * (len(errors) + 1))]
    targets = declared(dataset, "targets") if dataset else {}
    given = corpus(dataset or "generic", x_N, fold_N, targets=targets, **{column: y_N})
    found = run_task(TASKS.get(name)(), given)
    assert found.estimates[f"{name}/mae"].value == pytest.approx(float(mean), rel=1e-3)
    assert found.extras[f"{name}/n_test"] == len(errors)


def test_sex_is_one_class_of_those_whose_sex_is_known():
    x_N, fold_N, letters = judged_on("LHHL")  # H2 and H3 > L1 of 2 x 2 pairs
    sex = [{"L": 0.0, "H": 1.0}[one] for one in letters]
    given = corpus("generic", [*x_N, 9, 9], [*fold_N, 10, 1], sex=[*sex, np.nan, np.nan])
    found = run_task(TASKS.get("probe_sex")(), given)
    assert found.estimates["probe_sex/auroc"].value == pytest.approx(2 / 4)
    assert found.estimates["probe_sex/auroc/female"].value == pytest.approx(2 / 4)
    assert found.extras["probe_sex/n_test"] == 4
    # An AUROC is the same for either sex: the truth itself says that 1 is female.
    assert class_problem(TASKS.get("probe_sex")(), given).truth_NK[: len(sex), 0].tolist() == sex


def test_normal_and_other_exams_are_negatives_of_the_six_diagnoses():
    """Judged: a normal exam at x = 1, another at 3, tachycardia at 2 and 4: H2 > 1, H4 > 1, 3. One nobody annotated is not counted."""
    x_N, fold_N, _ = judged_on("LHLHL")
    lists = [*([["SB"]] * 6 + [["ST"]] * 6), ["SB"], ["ST"], ["NORM"], ["ST"], ["OTHER"], ["ST", "SB"], None]
    sets = declared("code15", "label_sets")
    found = run_task(
        TASKS.get("code15_diagnosis")(), corpus("code15", x_N, fold_N, sets, label_diagnosis=lists)
    )
    assert found.estimates["code15_diagnosis/auroc/ST"].value == pytest.approx(3 / 4)
    # SB falls with x; its only positive is at 4, below which nobody counts, above which none is.
    assert found.estimates["code15_diagnosis/auroc/SB"].value == 0
    assert found.extras["code15_diagnosis/n_test"] == 4
    assert {key.rpartition("/")[2] for key in found.estimates} & {"NORM", "OTHER"} == set()


def test_the_challenge_of_2017_scores_three_of_four_rhythms():
    """One feature per rhythm tells what a record looks like. Judged, as (looks like, is): N N, A N, A A, O O, N O, ~ ~."""
    judged = [("N", "N"), ("A", "N"), ("A", "A"), ("O", "O"), ("N", "O"), ("~", "~")]
    looks = [*"NAO~" * 7, *(seen for seen, _ in judged)]
    labels = [[one] for one in ["N", "A", "O", "~"] * 7] + [[true] for _, true in judged]
    fold_N = [fold for fold in (1, 2, 3, 4, 5, 6, 9) for _ in range(4)] + [10] * 6
    given = corpus("cinc2017", looks, fold_N, declared("cinc2017", "label_sets"), label_rhythm=labels)
    features_ND = np.array([[float(one == rhythm) for rhythm in "NAO~"] for one in looks])
    found = run_task(TASKS.get("cinc2017_rhythm")(), replace(given, features=lambda task: features_ND))
    # F1 = 2 right / (given + true): N 2 / (2 + 2), A 2 / (2 + 1), O 2 / (1 + 2), ~ 2 / (1 + 1).
    value = {key: estimate.value for key, estimate in found.estimates.items()}
    assert value["cinc2017_rhythm/cinc2017"] == pytest.approx((1 / 2 + 2 / 3 + 2 / 3) / 3)
    assert value["cinc2017_rhythm/cinc2017_noise"] == 1


def test_the_challenge_of_2021_rewards_what_is_treated_alike():
    """Sinus rhythm at x = -5, fibrillation at 5 and 6 are told; sinus rhythm at 5 is taken for fibrillation, worth 0.25 shared by two."""
    x_N, fold_N, _ = judged_on("LHHL")
    lists = [*([["NSR"]] * 6 + [["AF"]] * 6), ["NSR"], ["AF"], ["NSR"], ["AF"], ["AF"], ["NSR"]]
    x_N = [*x_N[:-4], -5, 5, 6, 5]
    given = corpus("cinc2021", x_N, fold_N, declared("cinc2021", "label_sets"), label_scored=lists)
    found = run_task(TASKS.get("cinc2021_scored")(), given)
    # Given: 1 + 1 + 1 + 0.125. Always sinus rhythm: 1 + 0.125 + 0.125 + 1. The truth: 4. (3.125 - 2.25) / (4 - 2.25)
    assert found.estimates["cinc2021_scored/cinc2021"].value == pytest.approx(1 / 2)


def test_the_six_diagnoses_are_those_of_the_dataset():
    classes = declared("code15", "label_sets")["diagnosis"]
    six = importlib.import_module("clef_ray.tasks.code15_diagnosis").SIX
    assert [name for name in classes if name not in ("NORM", "OTHER")] == [*six]


def test_exams_of_the_challenge_have_no_diagnoses():
    given = corpus("code15", [0.0], [1], {"chagas": ("negative", "positive")}, label_chagas=[["negative"]])
    assert "unknown label set 'diagnosis'" in run_task(TASKS.get("code15_diagnosis")(), given).skipped


@pytest.mark.parametrize("name", ALL)
def test_it_asks_for_what_its_dataset_declares(name):
    task = TASKS.get(name)()
    if name == "probe_sex":
        assert (task.dataset, task.labels) == ("", "sex")
        return
    dataset, asked, more = {**CLASSES, **VALUES}[name]
    assert task.dataset == dataset
    if name in CLASSES:
        assert task.labels == asked
        assert asked in declared(dataset, "label_sets")
        return
    assert (task.target, task.unit) == (asked, more)
    if not dataset:
        assert asked in COVARIATES
    elif asked in COVARIATES:
        assert asked in DATASETS.get(dataset).covariates
    else:
        assert declared(dataset, "targets")[asked] == more


@pytest.mark.parametrize("name", ALL)
def test_its_lead_is_one_of_its_dataset(name):
    """Lead I, the headline, wherever there is one; else the only lead."""
    task = TASKS.get(name)()
    leads = getattr(
        DATASETS.get(task.dataset or "icentia11k"), "leads", ("X", "Y", "Z")
    )  # MUSIC's are an option
    assert lead_in(task, leads) == ("I" if "I" in leads else leads[0])
    assert lead_in(TASKS.get(name)(lead="II"), ("I", "II")) == "II"


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("probe_")])
def test_another_corpus_is_refused(name):
    found = run_task(TASKS.get(name)(), corpus("mitdb", [0.0], [1]))
    assert found.skipped == f"it asks about {TASKS.get(name).dataset}, and these are records of mitdb"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("probe_age", "'age' is known with fewer than two values in train"),
        ("probe_sbp", "'sbp' is known with fewer than two values in train"),
        ("probe_sex", "no class of 'sex' has enough records"),
    ],
)
def test_a_corpus_without_the_covariate_is_refused(name, said):
    x_N, fold_N, _ = judged_on("LH")
    assert said in run_task(TASKS.get(name)(), corpus("cinc2017", x_N, fold_N)).skipped


def test_a_corpus_without_the_target_is_refused():
    """A table of ejection fractions is an option of MIMIC-IV-ECG."""
    given = corpus("mimic_iv_ecg", [0.0], [1], {"report": ("normal", "abnormal")}, label_report=[["normal"]])
    assert "unknown target 'lvef'" in run_task(TASKS.get("mimic_lvef")(), given).skipped
    assert "unknown label set 'lvef_class'" in run_task(TASKS.get("mimic_lvef_class")(), given).skipped


def test_names_and_prefixes_differ():
    tasks = [TASKS.get(name)() for name in TASKS.names()]
    assert len({task.prefix for task in tasks}) == len(tasks)
    for name in ALL:
        assert TASKS.get(name)().prefix == name


@pytest.mark.parametrize("name", ALL)
def test_its_docstring_names_the_source(name):
    said = importlib.import_module(f"clef_ray.tasks.{name}").__doc__
    assert "et al." in said or "method.md" in said
    rows = {
        **dict(zip([*CLASSES][:13], range(1, 14), strict=True)),
        "mimic_lvef": 14,
        "mcmed_sbp": 15,
        "mcmed_dbp": 16,
    }
    rows |= {"aurora_sbp": 17, "aurora_dbp": 18}
    assert (f"CLEF's task {rows.get(name)} of 18" in said) == (name in rows)


#: Task -> words of why its published split is not made from a table.
REFUSED = {
    **{name: "published split is the folds; leave it out" for name in CLASSES if name.startswith("ptbxl")},
    "chapman_conditions": "ingested with chapman.split",
    "music_outcome": "ingested with music.split=row_order",
    "mimic_lvef_class": "row order",
    "mimic_lvef": "row order",
    **{name: "mc_med.split=chrono" for name in ALL if name.startswith("mcmed")},
    **{name: "order of participants.tsv" for name in ALL if name.startswith("aurora")},
    "cpsc2018_rhythm": "no part of the dataset",
    "cinc2017_rhythm": "never published",
    "cinc2021_scored": "never published",
    "code15_diagnosis": "not part of this dataset",
    **{name: "a leakage probe has no" for name in ALL if name.startswith("probe")},
}


@pytest.mark.parametrize("name", ALL)
def test_its_published_split_is_made_or_refused_before_anything_runs(name):
    task = TASKS.get(name)
    if name not in REFUSED:
        assert task.published is not Learnt.published
        assert task(split="published").prefix == f"{name}/published"
        return
    with pytest.raises(ConfigError, match=REFUSED[name]) as error:
        task(split="published")
    assert f"task {name}.split" in str(error.value)
    with pytest.raises(ConfigError, match=REFUSED[name]):
        task().published(pd.DataFrame())


@pytest.fixture(scope="module")
def icentia_lists():
    """CLEF's preparation, step by step, with Python's global generator."""
    before = random.getstate()
    random.seed(42)
    patients = [f"p{number // 1000:02d}/p{number:05d}/" for number in range(11_000)]
    random.shuffle(patients)
    random.setstate(before)
    names = [line.split("/")[1] for line in patients]
    return {"train": names[:7699], "validation": names[7699 : 7699 + 1650], "test": names[7699 + 1650 :]}


def test_icentia_is_drawn_as_published(icentia_lists):
    everybody = pd.Series([f"p{number:05d}" for number in range(11_000)])
    before = random.getstate()
    part_N = icentia_parts(everybody)
    assert random.getstate() == before
    assert part_N.value_counts().to_dict() == {"train": 7699, "validation": 1650, "test": 1651}
    for part, names in icentia_lists.items():
        assert set(everybody[part_N == part]) == set(names)
    some = pd.Series(["p00007", "p10999", "x", "p11000", "p00007"])
    assert icentia_parts(some).tolist() == [part_N[7], part_N[10_999], "", "", part_N[7]]


@pytest.mark.parametrize(("name", "high"), [("icentia_beat", "V"), ("icentia_rhythm", "AFIB")])
def test_icentia_is_judged_on_the_published_patients(name, high, icentia_lists):
    """All in one fold, which judges nobody: the parts alone decide. H2 > L1; H4 > L1, L3."""
    task, given = case(name, "N", high, "LHLH")
    taken = {part: iter(names) for part, names in icentia_lists.items()}
    parts = ["train"] * 12 + ["validation"] * 2 + ["test"] * 4
    given.table["patient"], given.table["fold"] = [next(taken[part]) for part in parts], 1
    assert run_task(task, given).skipped is not None
    found = run_task(type(task)(split="published"), given)
    assert found.estimates[f"{name}/published/auroc"].value == pytest.approx(3 / 4)
    assert not any("also learnt from" in note for note in found.notes)
