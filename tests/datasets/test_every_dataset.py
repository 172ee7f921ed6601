"""What every dataset promises, over all of them: each is read from a tiny folder in its published layout (layouts/NAME.py)."""

import importlib
import json
import re

import numpy as np
import pandas as pd
import pytest

from clef_ray.datasets import COVARIATES, LEADS, Signal, UnreadableError, covariates_of
from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import DATASETS
from clef_ray.scores import FIELDS
from clef_ray.shards import ingest_local, load_corpus, read_table

#: Leads beyond the standard twelve that a dataset may have.
OTHER_LEADS = re.compile(r"MLII|MLI|MLIII|V\d|CM\d|CC5|ECG\d?|vx|vy|vz|V2R|[XYZ]|ekg", re.IGNORECASE)


@pytest.fixture(scope="module", params=DATASETS.names())
def made(request, tmp_path_factory):
    """(the layout, its options, the dataset, its table)."""
    layout = importlib.import_module(f"layouts.{request.param}")
    folder = tmp_path_factory.mktemp(request.param)
    options = layout.write(folder)
    dataset = DATASETS.get(request.param)(**options)
    return layout, options, dataset, dataset.table()


def again(dataset, options):
    return type(dataset)(**options)


def test_records_are_named_once_and_sorted(made):
    layout, _, _, table = made
    assert len(table) == layout.RECORDS
    assert table["record"].map(type).eq(str).all()
    assert table["record"].is_unique
    assert table["record"].is_monotonic_increasing


def test_patients_are_stable_and_in_one_fold(made):
    layout, options, dataset, table = made
    assert table["patient"].map(type).eq(str).all()
    assert table["patient"].nunique() == layout.PATIENTS
    assert table["fold"].isin(range(1, 11)).all()
    assert table.groupby("patient")["fold"].nunique().eq(1).all()
    pd.testing.assert_frame_equal(again(dataset, options).table(), table)


def test_covariates_are_those_declared_in_their_units(made):
    _, _, dataset, table = made
    assert set(dataset.covariates) <= set(COVARIATES)
    for name, values in covariates_of(table).items():
        known = values[~np.isnan(values)]
        assert known.size == 0 or name in dataset.covariates, name
        low, high = FIELDS[name].low, FIELDS[name].high
        assert ((known >= low) & (known <= high)).all(), name
    for name in dataset.covariates:  # a fixture shows everything that the dataset can give
        assert table[name].notna().any(), name


def test_labels_are_of_their_vocabulary(made):
    _, _, dataset, table = made
    assert dataset.headline in ("", *dataset.label_sets)
    for name, classes in dataset.label_sets.items():
        assert len(set(classes)) == len(classes) > 1
        found = [labels for labels in table[f"label_{name}"] if labels is not None]
        assert found, f"no record has a label of {name}"
        assert all(
            labels and set(labels) <= set(classes) and len(set(labels)) == len(labels) for labels in found
        )
    for name, unit in dataset.targets.items():
        assert unit
        assert table[f"target_{name}"].dtype == np.float64
        assert table[f"target_{name}"].notna().any(), name


def test_signals_are_int16_with_gains_to_millivolts(made):
    _, _, dataset, table = made
    read = 0
    for row in table.to_dict("records"):
        try:
            signal = dataset.signal(row)
        except UnreadableError:
            continue
        read += 1
        assert isinstance(signal, Signal)
        assert signal.raw_CT.dtype == np.int16
        assert signal.raw_CT.shape[0] == len(signal.leads) == len(signal.gain_C) == len(signal.baseline_C)
        assert signal.fs > 0
        assert set(dataset.leads) <= set(signal.leads)
        assert np.nanmax(np.abs(signal.millivolts())) < 20, "not in mV"
    assert read > 0


def test_shape_is_positive_and_leads_are_named(made):
    _, _, dataset, _ = made
    assert dataset.fs > 0
    assert dataset.samples > 0
    assert dataset.leads
    assert len(set(dataset.leads)) == len(dataset.leads)
    for lead in dataset.leads:
        assert lead in LEADS or OTHER_LEADS.fullmatch(lead), lead


def test_it_says_where_it_comes_from(made):
    _, _, dataset, _ = made
    assert dataset.citation
    assert dataset.licence
    assert dataset.source.url.startswith("https://")
    assert dataset.source.access in ("open", "registered", "credentialed")
    assert dataset.source.how
    if dataset.source.physionet is not None:
        assert re.fullmatch(r"[\w.-]+/[\d.]+", dataset.source.physionet)


def test_parameters_name_the_content_and_no_place(made):
    _, options, dataset, _ = made
    text = json.dumps(dataset.parameters(), sort_keys=True, allow_nan=False)
    assert str(options.get("root", "no such text")) not in text
    assert json.dumps(again(dataset, options).parameters(), sort_keys=True) == text


def test_it_comes_through_ingestion(made, tmp_path):
    _, _, dataset, table = made
    manifest = ingest_local(dataset, str(tmp_path / "shards"), max_bad=0.99)
    assert manifest.records + sum(manifest.quarantined.values()) == len(table)
    assert manifest.records > 0
    stored = read_table(str(tmp_path / "shards"))
    kept = table[table["record"].isin(stored["record"])].reset_index(drop=True)
    for name in ("record", "patient", "fold", *COVARIATES, *(f"target_{n}" for n in dataset.targets)):
        pd.testing.assert_series_equal(stored[name], kept[name], check_dtype=False)
    for name in dataset.label_sets:
        assert stored[f"label_{name}"].tolist() == kept[f"label_{name}"].tolist()
    corpus = load_corpus(str(tmp_path / "shards"), dataset.fs)
    assert np.isfinite(corpus.signals.millivolts()).all()


def test_a_folder_that_is_not_there_or_empty_is_named(made, tmp_path):
    _, options, dataset, _ = made
    if "root" not in options:
        pytest.skip("is not read from a folder")
    for folder in (tmp_path / "nothing", tmp_path):
        with pytest.raises((DataError, ConfigError), match=str(folder)):
            type(dataset)(**{**options, "root": str(folder)})


def test_a_folder_is_recognised_by_its_own_signature_only(made):
    """`--data FOLDER` finds the dataset by these files; the first match wins, so no other may match."""
    _, options, dataset, _ = made
    if "root" not in options or not dataset.signature:
        pytest.skip("is not recognised by its files")
    from pathlib import Path

    matching = [
        name
        for name in DATASETS.names()
        if any(any(Path(options["root"]).glob(pattern)) for pattern in DATASETS.get(name).signature)
    ]
    assert matching == [type(dataset).__module__.rpartition(".")[2]]
