"""The store goes away under a running training: it waits, and ends with what it would have ended with."""

import threading

import pytest

from clef_ray.config import Run, override
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.distributed import load_state
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, history_so_far
from clef_ray.trial import pretrain_here

SETTINGS = {
    "method": "simclr",
    "signals.fs": 100,
    "signals.seconds": 5,
    "views.lead": "I",
    "optimiser.batch": 16,
    "optimiser.epochs": 3,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("shards"))
    ingest_local(Synthetic(patients=30, seed=0), folder)
    return load_corpus(folder, 100.0, ("I",))


def weights(store):
    return {k: v.numpy().tobytes() for k, v in load_state(store, ENCODER)["encoder"].items()}


def test_three_seconds_without_a_store_change_nothing(proxy, corpus, tmp_path):
    """It goes away once the first epoch is kept, so that the second epoch's checkpoint meets the outage."""
    run = override(Run(data=corpus.manifest.fingerprint), SETTINGS)
    calm, store, kept = Store(str(tmp_path)), Store(proxy.uri("outage"), 30.0), []

    def listen(epoch):
        if epoch["epoch"] == 1:
            kept.extend(history_so_far(store))
            proxy.down()
            threading.Timer(3.0, proxy.up).start()

    pretrain_here(run, corpus, calm, device="cpu")
    pretrain_here(run, corpus, store, listen, device="cpu")
    assert [e["epoch"] for e in kept] == [1]
    assert weights(store) == weights(calm)
