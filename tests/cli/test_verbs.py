"""The verbs as typed: the examples of --help work as printed, one after the other, and mistakes are told in one line."""

import json
import re
import subprocess
import sys

import pytest

from clef_ray.cli import build_parser, main


def clef_ray(*arguments, cwd):
    command = [sys.executable, "-m", "clef_ray", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def example(verb):
    """The command that `clef-ray VERB --help` shows."""
    actions = next(
        a for a in build_parser()._actions if hasattr(a, "choices") and a.choices and "synth" in a.choices
    )
    return re.search(r"clef-ray (.+)", actions.choices[verb].epilog)[1].split()


def test_every_verb_has_an_example_in_its_help(capsys):
    for verb in ("synth", "ingest", "score", "pretrain", "evaluate", "sweep", "bench", "doctor"):
        assert example(verb)[0] == verb
        with pytest.raises(SystemExit) as exit_:
            main([verb, "--help"])
        assert exit_.value.code == 0
        assert re.search("examples?:", capsys.readouterr().out)


@pytest.mark.ray
@pytest.mark.slow
def test_the_examples_work_as_printed(tmp_path):
    made = clef_ray(*example("synth"), "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    manifest = json.loads(made.stdout)
    assert set(manifest) == {"records", "patients", "quarantined", "fitted", "hints", "parts", "fingerprint"}
    assert manifest["patients"] == 500
    trained = clef_ray(*example("pretrain"), cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / trained.stdout.strip().splitlines()[-1] / "encoder.pt").exists()
    judged = clef_ray(*example("evaluate"), "--json", cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    metrics = json.loads(judged.stdout)
    assert 0.5 < metrics["probe/auroc"] <= 1
    assert {
        "zeroshot/rsa",
        "zeroshot/readout",
        "zeroshot/axis",
        "zeroshot/rsa_age",
        "zeroshot/rsa_permuted",
    } <= set(metrics)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingest", "ptbx", "--root", ".", "--out", "x"], "Did you mean 'ptbxl'"),
        (["ingest", "ptbxl", "--root", "/nowhere", "--out", "x"], "/nowhere"),
        (["synth", "--patients", "-3", "--out", "x"], "patients"),
        (["evaluate", "nothing"], "no trained encoder at"),
        (["sweep", "nothing.py"], "no experiment file nothing.py"),
        (["pretrain", "--set", "method=mocko"], "unknown method 'mocko'"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.startswith("error: ")
    assert "Traceback" not in told
