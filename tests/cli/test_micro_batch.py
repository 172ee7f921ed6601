"""`--micro-batch` as typed: it reaches training, and what cannot be is told in one line."""

import json
from pathlib import Path

from clef_ray.cli import main
from clef_ray.train import loop


def test_pretrain_encodes_in_pieces_and_names_the_run_as_without(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []
    original = loop.cut
    monkeypatch.setattr(loop, "cut", lambda *given: asked.append(given) or original(*given))
    settings = [
        "signals.fs=100",
        "signals.seconds=2",
        "views.lead=I",
        "optimiser.batch=16",
        "optimiser.epochs=1",
    ]
    command = ["pretrain", "--data", "synthetic:patients=40"]
    command += [part for setting in settings for part in ("--set", setting)]
    runs = []
    for pieces in (["--micro-batch", "5"], []):
        assert main([*command, *pieces, "--storage", f"store{len(pieces)}"]) == 0
        runs.append(Path(capsys.readouterr().out.strip().splitlines()[-1]))
    assert asked == [(16, 5, 1), (16, None, 1)]
    assert runs[0].name == runs[1].name
    losses = [json.loads((run / "pretrain.json").read_text())["history"][0]["loss"] for run in runs]
    assert abs(losses[0] - losses[1]) < 1e-3 * losses[1]
    assert main([*command, "--micro-batch", "0", "--storage", "store0", "--seed", "1"]) == 2
    assert "error: --micro-batch 0: at least 1 is needed" in capsys.readouterr().err
