"""`clef-ray download` as typed; what comes over the network is tested in tests/datasets/test_download.py."""

import pytest
import wfdb
from physionet_server import Server

from clef_ray.cli import main
from clef_ray.datasets import Source
from clef_ray.registry import DATASETS

FILES = {f"records/{i}.dat": bytes([i]) * 1000 for i in range(30)} | {"table.csv": b"a,b\n"}


@pytest.fixture
def server(monkeypatch):
    with Server(DATASETS.get("ptbxl").source.physionet, FILES) as running:
        monkeypatch.setattr(wfdb.io.download.config, "db_index_url", running.url)
        yield running


def test_everything_comes_and_is_counted(server, tmp_path, capsys):
    assert main(["download", "ptbxl", "--root", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert f"{tmp_path}: 31 of 31 files are there and verified (31 are published)" in shown.out
    assert "31/31 files" in shown.err  # no terminal: a line now and then
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == {
        *FILES,
        "SHA256SUMS.txt",
    }


def test_only_and_limit(server, tmp_path, capsys):
    assert (
        main(
            [
                "download",
                "ptbxl",
                "--root",
                str(tmp_path),
                "--only",
                "*.csv",
                "--only",
                "records/1*.dat",
                "--limit",
                "3",
            ]
        )
        == 0
    )
    assert "3 of 3 files are there and verified (31 are published)" in capsys.readouterr().out
    assert main(["download", "ptbxl", "--root", str(tmp_path), "--only", "*.hea"]) == 2
    assert "none of the 31 files" in capsys.readouterr().err
    assert main(["download", "ptbxl", "--root", str(tmp_path), "--limit", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_files_that_stay_wrong_are_listed_and_the_exit_code_is_1(server, tmp_path, capsys):
    server.gone = {"table.csv"}
    server.wrong = {f"records/{i}.dat": b"no" for i in range(25)}
    assert main(["download", "ptbxl", "--root", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "5 of 31 files are there" in shown.out
    assert "records/0.dat: has another sha256" in shown.err
    assert "and 6 more" in shown.err
    assert "The same command tries these again." in shown.err
    server.gone, server.wrong = set(), {}
    assert main(["download", "ptbxl", "--root", str(tmp_path)]) == 0


def test_no_list_of_checksums_is_one_clear_line(server, tmp_path, capsys):
    server.sums = False
    assert main(["download", "ptbxl", "--root", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "SHA256SUMS.txt: not there" in shown


def test_a_credentialed_dataset_is_explained_and_asks_for_no_password(monkeypatch, tmp_path, capsys):
    source = Source(
        "https://physionet.org/content/some/1.0/", "credentialed", 1, 1, "see the page", physionet="some/1.0"
    )
    monkeypatch.setattr(DATASETS.get("ptbxl"), "source", source)
    assert main(["download", "ptbxl", "--root", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "wget -r -N -c -np" in shown
    assert "--user USER --ask-password https://physionet.org/files/some/1.0/" in shown
    assert f"--cut-dirs=3 -P {tmp_path} " in shown
    assert "CITI" in shown
    assert source.url in shown
    assert list(tmp_path.iterdir()) == []


def test_a_registered_one_needs_no_training(monkeypatch, tmp_path, capsys):
    source = Source(
        "https://physionet.org/content/some/1.0/", "registered", 1, 1, "see the page", physionet="some/1.0"
    )
    monkeypatch.setattr(DATASETS.get("ptbxl"), "source", source)
    assert main(["download", "ptbxl", "--root", str(tmp_path)]) == 1
    assert "CITI" not in capsys.readouterr().out


def test_what_is_published_elsewhere_is_explained(tmp_path, capsys):
    assert main(["download", "aurora_bp", "--root", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert DATASETS.get("aurora_bp").source.how in shown
    assert DATASETS.get("aurora_bp").source.url in shown


def test_an_unknown_dataset_gets_the_near_match(tmp_path, capsys):
    assert main(["download", "ptbx", "--root", str(tmp_path)]) == 2
    assert "Did you mean 'ptbxl'?" in capsys.readouterr().err
