"""plan.json and `clef-ray report`: a report made again from the store is the report that the sweep wrote, byte for byte."""

import argparse
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ablation_outcomes import LINEAGE, VALUES, outcomes, toy_plan
from examples import TOLD, ablation_report, keep, sweep_report

from clef_ray.ablation import Arm
from clef_ray.cli.report import run
from clef_ray.errors import ConfigError, DataError
from clef_ray.report import Gain, compare, write_report
from clef_ray.report.record import RECORD, Report, dump, load
from clef_ray.store import Store


def asked(experiment=None, **changes):
    options = {"storage": "storage", "plan": "", "format": "html", "open": False}
    return argparse.Namespace(**{"experiment": experiment, **options, **changes})


def written(storage, made, found, study=None, lineage=TOLD, resources=None):
    keep(str(storage), made, found)
    if study is not None:
        keep(str(storage), replace(made, split="official"), study.winner)
    store = Store(str(storage)).child("reports")
    compared = compare(made, found, study, leakage=lineage.get("leakage", ""))
    return write_report(store, made, found, compared, lineage, study, resources)


@pytest.fixture
def toy_report(tmp_path):
    made = toy_plan()
    return written(tmp_path, made, outcomes(made, VALUES))


@pytest.mark.parametrize("kind", ["ablation", "sweep"])
def test_the_report_is_made_again_byte_for_byte(tmp_path, kind, capsys):
    """Arms of several families, a failed run, stopped runs, shared runs, the study and its winner: all of it comes back."""
    if kind == "ablation":
        made, found = ablation_report(counts=(1, 7), seeds=2)
        found[0] = replace(found[0], shared_with="clef-7 seed 0")
        files = written(tmp_path, made, found, resources={"CPU": 2.0})
    else:
        made, found, study = sweep_report(12)
        files = written(tmp_path, made, found, study, resources={"CPU": 4.0, "GPU": 0.5})
    before = {name: Path(path).read_bytes() for name, path in files.items()}
    for name, path in files.items():
        if name != RECORD:
            Path(path).unlink()
    assert run(asked(made.ablation.name, storage=str(tmp_path))) == 0
    after = {p.name: p.read_bytes() for p in Path(files[RECORD]).parent.iterdir()}
    assert after == before
    printed = capsys.readouterr().out
    assert files["report.html"] in printed
    assert "Answer." in printed


def test_the_record_needs_no_result_that_the_store_holds(toy_report):
    record = json.loads(Path(toy_report[RECORD]).read_text(encoding="utf-8"))
    assert len(record["trials"]) == len(record["outcomes"]) == 15
    assert all(o["history"] == [] for o in record["outcomes"])
    assert "replicates" not in str(record)


def test_a_plan_that_grew_keeps_arms_that_its_ablation_does_not_list(tmp_path):
    made = toy_plan()
    late = replace(made.trials[0], arm=Arm("late", {"loss.alpha": 0.5}, "CLEF"))
    grown = replace(made, trials=(*made.trials, late), identity="ab" * 8)
    folder = Store(str(tmp_path))
    folder.write_bytes(RECORD, dump(Report(grown, [], LINEAGE), ""))
    read = load(folder, str(tmp_path)).plan
    assert read.trials == grown.trials
    assert read.fingerprint() == "ab" * 8


def test_a_run_that_is_gone_is_missing_and_no_value(tmp_path, toy_report):
    made = toy_plan()
    shutil.rmtree(tmp_path / "runs" / made.trials[0].run.fingerprint())
    read = load(Store(str(Path(toy_report[RECORD]).parent)), str(tmp_path))
    rows = {row.arm.name: row for row in compare(read.plan, read.outcomes).rows}
    assert (rows["clef-1"].complete, rows["clef-1"].missing) == (2, 1)


def test_runs_of_another_version_are_refused(toy_report, tmp_path, monkeypatch):
    monkeypatch.setattr("clef_ray.config.SCIENCE_VERSION", 99)
    with pytest.raises(
        DataError, match=r"plan.json: clef-1 seed 0 was run \w{16} and is run \w{16} in this version"
    ):
        load(Store(str(Path(toy_report[RECORD]).parent)), str(tmp_path))


def test_the_newest_plan_is_taken_or_the_one_that_is_named(tmp_path, capsys):
    plans = [replace(toy_plan(), identity=f"{mark}0000000000000") for mark in ("aaa", "bbb", "abc")]
    for hour, made in zip((9, 11, 10), plans, strict=True):
        written(tmp_path, made, outcomes(made, VALUES), lineage={"finished": f"2026-01-01 {hour:02d}:00 UTC"})
    for plan, chosen in (("", "bbb"), ("a", "abc"), ("aa", "aaa")):
        run(asked("toy", storage=str(tmp_path), plan=plan))
        assert f"/toy-{chosen}00000/report.html" in capsys.readouterr().out
    with pytest.raises(
        ConfigError, match=r"unknown plan 'x' \(in --plan, toy\).*Available: aaa00000, abc00000, bbb00000"
    ):
        run(asked("toy", storage=str(tmp_path), plan="x"))


def test_a_folder_is_taken_with_the_runs_beside_it(toy_report, capsys):
    folder = Path(toy_report[RECORD]).parent
    (folder / "report.html").unlink()
    run(asked(f"{folder}/", storage="elsewhere"))
    assert (folder / "report.html").is_file()
    assert "0.827" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "first"),
    [("md", "**Leakage:** pretraining saw 800 patients"), ("tex", "% needs \\usepackage{booktabs}")],
)
def test_a_table_alone_goes_to_the_standard_output(toy_report, tmp_path, capsys, form, first):
    run(asked("toy", storage=str(tmp_path), format=form))
    printed = capsys.readouterr().out
    assert printed.startswith(first)
    assert printed == Path(toy_report[f"table.{form}"]).read_text(encoding="utf-8")


def test_an_unknown_experiment_is_told_the_near_match(toy_report, tmp_path):
    with pytest.raises(
        ConfigError, match=r"unknown experiment 'toi' \(in .*/reports\)\. Did you mean 'toy'\? Available: toy"
    ):
        run(asked("toi", storage=str(tmp_path)))


def test_all_experiments_are_listed_the_newest_last(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(asked(storage=str(tmp_path))) == 0
    assert "No reports in" in capsys.readouterr().out
    long = "ablate_a_name_that_is_long_and_has_no_place_to_break"
    for name, day, count in ((long, 3, 15), ("early", 2, 14)):
        made = toy_plan(name=name)
        written(
            tmp_path, made, outcomes(made, VALUES)[:count], lineage={"finished": f"2026-01-0{day} 10:00 UTC"}
        )
    run(asked(storage=str(tmp_path)))
    shown = capsys.readouterr().out.splitlines()
    heads = [place for place, line in enumerate(shown) if not line.startswith("  ")]
    found = [shown[place].split() for place in heads]
    assert [(line[0], line[2], line[5]) for line in found] == [
        ("early", "2026-01-02", "14/15"),
        (long, "2026-01-03", "15/15"),
    ]
    assert all(re.fullmatch(r"[0-9a-f]{8}", line[1]) for line in found)
    below = shown[heads[0] + 1 : heads[1]]
    assert " ".join(line.strip() for line in below) == compare(made, outcomes(made, VALUES)[:14]).answer
    assert max(map(len, below)) <= 80


def test_a_record_with_targets_comes_back(tmp_path):
    """Its plan names them with their fingerprints, and its outcomes have their metrics; a record of before there were any has none."""
    made = toy_plan(targets={"other": "/data/other"})
    made = made.on(made.data, targets={"other": "beef" * 4, "another": "cafe" * 4})
    found = [
        replace(
            o,
            results={**o.results, **{f"{n}/probe": o.results["probe"].prefixed(n) for n, _ in made.targets}},
        )
        for o in outcomes(made, VALUES)
    ]
    files = written(tmp_path, made, found)
    folder = Store(str(Path(files[RECORD]).parent))
    again = load(folder, str(tmp_path))
    assert again.plan == made
    assert again.plan.fingerprint() == made.fingerprint() != replace(made, targets=()).fingerprint()
    assert again.plan.targets == (("another", "cafe" * 4), ("other", "beef" * 4))
    assert [o.metrics for o in again.outcomes] == [o.metrics for o in found]
    assert "other/probe/auroc" in again.outcomes[0].metrics
    record = json.loads(folder.read_bytes(RECORD))
    del record["plan"]["targets"], record["ablation"]["targets"]
    folder.write_bytes(RECORD, json.dumps(record).encode())
    old = load(folder, str(tmp_path))
    assert (old.plan.targets, dict(old.plan.ablation.targets)) == ((), {})
    assert [set(o.results) for o in old.outcomes] == [{"probe"}] * len(found)


def test_a_record_of_before_the_limits_and_the_gain_still_loads(tmp_path):
    made, found, study = sweep_report(12)
    gain = (Gain("zeroshot/rsa", 0.012, 0.002, 0.022, "▲", "sweep_clef_final-0123abcd"),)
    late = replace(study.rows[2], feasible=False)
    study = replace(
        study,
        rows=(*study.rows[:2], late, *study.rows[3:]),
        gain=gain,
        stopping="asha on valid/rsa",
        judged=2,
    )
    path = Path(written(tmp_path, made, found, study)[RECORD])
    folder = Store(str(path.parent))
    assert load(folder, str(tmp_path)).study.rows == study.rows
    assert load(folder, str(tmp_path)).study.gain == gain
    record = json.loads(path.read_text(encoding="utf-8"))
    for key in ("gain", "stopping", "judged"):
        del record["study"][key]
    for row in record["study"]["rows"]:
        del row["feasible"]
    path.write_text(json.dumps(record), encoding="utf-8")
    old = load(folder, str(tmp_path)).study
    assert (old.gain, old.stopping, old.judged) == ((), "", 0)
    assert all(row.feasible for row in old.rows)


def test_open_shows_the_page(toy_report, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run(asked("toy", storage=str(tmp_path), open=True))
    assert opened == [Path(toy_report["report.html"]).as_uri()]
