"""What `clef-ray ingest` makes of what is typed."""

import pytest
from ptbxl_folder import write_ptbxl

from clef_ray.cli import build_parser, ingest, main
from clef_ray.registry import DATASETS
from clef_ray.sections import Filters, Quality


@pytest.fixture
def given(monkeypatch):
    """What reaches the ingestion: (name, options, max_bad, quality, filters)."""
    calls = []
    monkeypatch.setattr(
        ingest, "_ingest", lambda name, options, _, *rest: calls.append((name, options, *rest)) or 0
    )
    return calls


@pytest.mark.parametrize(("typed", "rate"), [([], 100), (["--fs", "500"], 500), (["--set", "fs=500"], 500)])
def test_options_are_the_datasets_own(given, typed, rate):
    assert main(["ingest", "ptbxl", "--root", "in", "--out", "out", *typed]) == 0
    assert given == [("ptbxl", {"root": "in", "fs": rate}, 0.05, Quality(), Filters())]


def test_limits_and_filters_are_typed_values(given):
    typed = [
        "--quality",
        "amplitude_mv=30",
        "--quality",
        "duplicates=keep",
        "--filters",
        "notch=50",
        "--filters",
        "band=0.5,40",
    ]
    assert main(["ingest", "ptbxl", "--root", "in", "--out", "out", "--max-bad", "0.2", *typed]) == 0
    assert given[0][2:] == (
        0.2,
        Quality(amplitude_mv=30.0, duplicates="keep"),
        Filters(band=(0.5, 40.0), notch=50.0),
    )


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([], "name a dataset, one of"),
        (["ptbx", "--root", "x", "--out", "y"], "Did you mean 'ptbxl'"),
        (["ptbxl", "--out", "y"], "ingest ptbxl: give --root DIR"),
        (["ptbxl", "--root", "x"], "ingest ptbxl: give --out DIR"),
        (["ptbxl", "--root", "x", "--out", "y", "--max-bad", "7"], "--max-bad 7: give a share of 0 to 1"),
        (["ptbxl", "--root", "x", "--out", "y", "--max-bad", "nan"], "--max-bad nan: give a share of 0 to 1"),
        (["ptbxl", "--root", "x", "--out", "y", "--set", "fss=3"], "Did you mean 'fs'"),
        (
            ["ptbxl", "--root", "x", "--out", "y", "--set", "fs"],
            "--set fs: give KEY=VALUE, e.g. --set seconds=10",
        ),
        (["ptbxl", "--root", "x", "--out", "y", "--fs", "250"], "Available: 100, 500"),
        (
            ["ptbxl", "--root", "x", "--out", "y", "--quality", "amplitude=3"],
            "Did you mean 'quality.amplitude_mv'",
        ),
        (
            ["ptbxl", "--root", "x", "--out", "y", "--quality", "flat_share=3"],
            "quality.flat_share: 3 given; allowed is",
        ),
        (
            ["ptbxl", "--root", "x", "--out", "y", "--filters", "notch=much"],
            "filters.notch: 'much' is not a valid float",
        ),
        (["ptbxl", "--root", "x", "--out", "y", "--filters", "band=40,0.5"], "0 < low < high is needed"),
    ],
)
def test_mistakes_are_told_in_one_line(given, capsys, typed, told):
    assert main(["ingest", *typed]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1
    assert given == []


def test_the_list_names_every_dataset_with_what_it_needs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["ingest", "--list"]) == 0
    printed = capsys.readouterr().out
    for name in DATASETS.names():
        source = DATASETS.get(name).source
        assert f" {name} " in printed
        assert source.url in printed
        if source.records is not None:
            assert f"{source.records:,}" in printed
    assert "clef-ray download ptbxl" in printed
    assert "CC BY 4.0" in printed


def test_help_shows_examples_that_parse(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["ingest", "--help"])
    printed = capsys.readouterr().out.partition("example:")[2]
    examples = [line.split() for line in printed.splitlines() if line.startswith("  clef-ray ingest")]
    assert len({words[2] for words in examples}) >= 3
    for words in examples:
        build_parser().parse_args(words[1:])


@pytest.mark.ray
def test_a_folder_is_ingested_with_limits_and_said(local_ray, tmp_path, capsys):
    source = write_ptbxl(tmp_path / "in", n=4)
    typed = ["ingest", "ptbxl", "--root", str(source), "--out", str(tmp_path / "out")]
    assert main([*typed, "--quality", "amplitude_mv=1000", "--filters", "notch=25"]) == 0
    assert "4 records of 3 patients in 1 parts; quarantined: none" in capsys.readouterr().out
    assert main([*typed, "--quality", "amplitude_mv=1000"]) == 2
    assert "filters.notch is 25.0 there and None here" in capsys.readouterr().err
