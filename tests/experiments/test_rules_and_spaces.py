"""What the experiments `leakage` and `geometry` compare, and on whom."""

import pytest
from experiment_files import load

from clef_ray.ablation import plan
from clef_ray.cli.data import find


@pytest.mark.parametrize("name", ["leakage", "geometry"])
def test_every_metric_of_the_headline_is_asked_for_or_a_gap_of_what_is(name):
    ablation, _ = load(name)
    made = plan(ablation, "", seeds=1, arms=["random"]).on("", targets=dict.fromkeys(ablation.targets, ""))
    keys = {asked.key for asked in made.judging.asked(made.trials[0].run)}
    parts = [metric for pair in ablation.gaps.values() for metric in pair]
    assert {m.rpartition("/")[0] for m in (*ablation.headline, *parts) if m not in ablation.gaps} <= keys
    assert {*ablation.gaps} == {m for m in ablation.headline if m.startswith("leak/")}
    assert made.judging.gaps == ablation.gaps


def test_the_copy_holds_pretrainings_recordings_and_the_others_are_other_people_of_the_same_kind():
    home = find("synthetic", 100).build()
    built = {name: find(data, 100).build() for name, data in load("leakage")[0].targets.items()}
    copy, others = built["copy"], built["others"]
    assert (copy.seed, copy.patients, copy.records_per_patient) == (
        home.seed,
        others.patients,
        others.records_per_patient,
    )
    assert others.seed != home.seed
    held, seen = copy.table(), home.table()
    both = held.merge(seen, on=["record", "patient", "fold"])
    assert both.patient.nunique() == copy.patients
    row = both.iloc[-1].to_dict()
    assert (copy.signal(row).raw_CT == home.signal(row).raw_CT).all()


def test_the_space_is_drawn_of_the_people_whom_it_is_measured_on():
    ablation, _ = load("geometry")
    assert ablation.headline[0].startswith(f"{ablation.clouds}/geometry")
    assert find(ablation.targets[ablation.clouds], 100).build().seed != find("synthetic", 100).build().seed
