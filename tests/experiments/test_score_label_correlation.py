"""The script that asks scores about labels, from its command line to its report."""

import json

import numpy as np
import pandas as pd
import pytest
from experiment_files import module

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards.ingest import ingest_local

SCRIPT = module("score_label_correlation")
DATA = "synthetic:patients=60,records_per_patient=1"


def test_from_data_to_report(tmp_path, capsys):
    assert SCRIPT.main(["--data", DATA, "--resamples", "5", "--storage", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    (folder,) = tmp_path.glob("reports/score_label_correlation-*")
    assert "score2 knows most about" in shown
    assert f"{folder}/report.html" in "".join(shown.split("\n"))
    assert {"report.html", "report.md", "table.csv", "rsa.png", "rsa.svg"} <= {
        p.name for p in folder.iterdir()
    }


def test_json_is_all_that_is_printed(tmp_path, capsys, monkeypatch):
    written = []
    monkeypatch.setattr("clef_ray.report.associations.write", lambda found, *_: written.append(found))
    assert SCRIPT.main(["--data", DATA, "--smoke", "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["figures"]) == len(written[0].rows)
    assert {f["score"] for f in told["figures"]} >= {"score2", "age", "sex", "acute", "score2 permuted"}


def test_the_smoke_version_of_the_default_is_small(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(SCRIPT, "read", lambda data: asked.append(data) or stop())

    def stop():
        raise KeyboardInterrupt

    for options in ([], ["--smoke"], ["--smoke", "--data", DATA]):
        assert SCRIPT.main([*options, "--storage", str(tmp_path)]) == 130
    assert asked == ["synthetic", SCRIPT.SMOKE, DATA]


@pytest.mark.parametrize(
    ("options", "why"),
    [(["--resamples", "0"], "at least 1"), (["--data", "/nowhere/at/all"], "no such path")],
)
def test_what_is_wrong_is_one_line(options, why, tmp_path, capsys):
    assert SCRIPT.main([*options, "--out", str(tmp_path)]) == 2
    assert why in capsys.readouterr().err


def test_a_corpus_without_ages_is_told_and_leaves_no_report(tmp_path, capsys, monkeypatch):
    asked = SCRIPT.read("synthetic:patients=30")
    monkeypatch.setattr(SCRIPT, "read", lambda _: asked._replace(table=asked.table.assign(age=np.nan)))
    assert SCRIPT.main(["--storage", str(tmp_path)]) == 2
    assert "nobody has: age" in capsys.readouterr().err
    assert not list(tmp_path.glob("reports/*"))


def test_a_dataset_and_its_shards_are_asked_the_same(tmp_path):
    """Also `findings`, which shards get when they are read, and a dataset's own table has not."""
    cohort = Synthetic(patients=12, records_per_patient=1)
    ingest_local(cohort, str(tmp_path))
    raw, sharded = SCRIPT.read("synthetic:patients=12,records_per_patient=1"), SCRIPT.read(str(tmp_path))
    assert raw.targets == sharded.targets == ("age", "sbp")
    assert dict(raw.label_sets) == dict(sharded.label_sets)
    for column in ("patient", "age", "sbp", "findings"):
        pd.testing.assert_series_equal(raw.table[column], sharded.table[column], check_dtype=False)
    assert [[*a] for a in raw.table["label_diagnosis"]] == [[*a] for a in sharded.table["label_diagnosis"]]
    assert raw.table["findings"].tolist() == [len({*a} - {"NORM"}) for a in raw.table["label_diagnosis"]]


def test_records_that_nobody_looked_at_have_no_findings():
    table = pd.DataFrame({"label_x": [["NORM"], None, ["A", "B", "NORM"], []]})
    found = SCRIPT._with_findings(table, "x")["findings"]
    np.testing.assert_array_equal(found, [0, np.nan, 2, 0])
    assert SCRIPT._with_findings(table, "")["findings"].isna().all()
