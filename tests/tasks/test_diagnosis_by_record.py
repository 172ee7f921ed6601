"""The rule that deals records: what it is worth where persons can be recognised, and what it says of itself."""

import numpy as np
import pandas as pd
import pytest

from clef_ray.errors import ConfigError
from clef_ray.evaluate.inputs import OFFICIAL
from clef_ray.evaluate.problem import Material, class_problem
from clef_ray.evaluate.run import run_task
from clef_ray.tasks.diagnosis import Diagnosis
from clef_ray.tasks.diagnosis_by_record import DiagnosisByRecord


class Corpus:
    dataset, leads, targets, headline = "synthetic", ("I",), {}, "drawn"
    label_sets = {"drawn": ("HEADS",)}  # noqa: RUF012


def persons(patients=200, records=4):
    """A coin decides each person's class; the features say who it is and nothing else."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(patients), records)
    heads = rng.random(patients) < 0.5
    table = pd.DataFrame(
        {
            "record": [f"p{p}-{n % records}" for n, p in enumerate(who)],
            "patient": [f"p{p}" for p in who],
            "fold": 1 + who % 10,
            "label_drawn": [["HEADS"] if heads[p] else [] for p in who],
        }
    )
    features = rng.normal(size=(patients, 300))[who] + 0.1 * rng.normal(size=(len(who), 300))
    return Material(table, Corpus(), lambda _: features, n_boot=20)


def test_it_rewards_recognising_persons_as_the_split_by_patient_does_not():
    given = persons()
    honest = run_task(Diagnosis(), given).estimates["probe/auroc"].value
    leaky = run_task(DiagnosisByRecord(), given)
    assert honest < 0.75  # 20 patients: chance alone goes so far
    assert leaky.estimates["by_record/probe/auroc"].value > 0.95
    assert any("test patients" in note and "also learnt from" in note for note in leaky.notes)


def test_records_are_dealt_eight_to_one_to_one_whosever_they_are():
    problem = class_problem(DiagnosisByRecord(), persons(2000))
    shares = [part.mean() for part in problem.rows]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.015)
    fold_N = persons(2000).table["fold"].to_numpy()
    assert np.isin(fold_N[problem.rows.test], OFFICIAL.train).mean() == pytest.approx(0.8, abs=0.05)


def test_a_record_has_one_part_in_every_corpus_that_holds_it():
    table = persons().table
    part = DiagnosisByRecord().published(table)
    again = DiagnosisByRecord().published(table.iloc[::-3])
    assert (part[again.index] == again).all()
    assert (DiagnosisByRecord().published(table.assign(patient="p0", fold=10)) == part).all()


def test_it_is_this_rule_alone_and_its_name_says_so():
    assert DiagnosisByRecord().prefix == "by_record/probe"
    assert DiagnosisByRecord(labels="rhythm", fraction=0.5).prefix == "by_record/probe/rhythm/50pct"
    with pytest.raises(ConfigError, match=r"diagnosis_by_record\.split"):
        DiagnosisByRecord(split="leak_free")
