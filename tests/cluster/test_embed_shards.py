"""Embeddings by Ray Data are those that evaluation makes itself."""

import io
import json

import numpy as np
import pytest

from clef_ray.cli import main
from clef_ray.cluster.features import embed_shards
from clef_ray.config import Run, override, task_spec
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ConfigError
from clef_ray.evaluate import features
from clef_ray.shards import Manifest, OnDisk, ingest_local, load_corpus
from clef_ray.store import Store
from clef_ray.trial import pretrain_here, run_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TASKS = ("diagnosis", "diagnosis:lead=II,rate=50")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    ingest_local(Synthetic(patients=130, seed=2), str(folder), records_per_part=60)
    return str(folder)


@pytest.fixture
def trained(shards, tmp_path):
    settings = {"signals.fs": 100, "signals.seconds": 2.5, "method": "random"}
    run = override(Run(data=Manifest.load(shards).fingerprint), settings)
    store = run_store(str(tmp_path), run)
    pretrain_here(run, load_corpus(shards, 100.0), store)
    return run, store


def test_they_are_the_same_but_for_rounding_and_made_once(local_ray, shards, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "AT_ONCE", 50)  # several pieces, of several workers
    run, store = trained
    tasks = [task_spec(text) for text in TASKS]
    assert embed_shards(store.path(), shards, tasks, workers=2) == 2
    assert embed_shards(store.path(), shards, tasks, workers=2) == 0
    other = Store(str(tmp_path / "other"))
    corpus = OnDisk.open(shards, 100.0)
    encoder = features.Embedder.load(store.path(), "cpu")
    for task in tasks:
        built, mark = task.build(features.TASKS), corpus.manifest.fingerprint
        here = features.Features(run, lambda: encoder, corpus, other)(built)
        name = features.file_name(run, mark, built.lead, built.rate)
        there = np.load(io.BytesIO(store.read_bytes(name)))
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-5 * np.abs(here).max())
        assert here.shape == (corpus.manifest.records, encoder.dim)


def test_evaluation_by_workers_says_the_same(local_ray, shards, trained, capsys):
    _, store = trained
    command = ["evaluate", store.path(), "--data", shards, "--tasks", "diagnosis", "--json"]
    assert main([*command, "--workers", "2"]) == 0
    by_workers = json.loads(capsys.readouterr().out)
    for name in store.list("evaluate") + store.list("features"):
        store.delete(name)
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == by_workers


def test_no_workers_are_refused(shards, trained):
    with pytest.raises(ConfigError, match=r"--workers 0: at least 1 is needed"):
        embed_shards(trained[1].path(), shards, [task_spec("diagnosis")], workers=0)
