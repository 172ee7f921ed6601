"""The object store is away for a minute under a running sweep, which waits for it and ends with what it would have ended with."""

import threading
import time

import pytest
from object_store import keys, proxy_of, s3_server
from storage_hosts import PATIENCE, Host, history, the_run, until_epoch
from tiny_sweep import EPOCHS

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.shards import ingest_local
from clef_ray.store import Store

#: Seconds for which the store is away.
AWAY = 60


@pytest.mark.ray
@pytest.mark.faults
@pytest.mark.timeout(3 * PATIENCE)
def test_the_object_store_is_away(tmp_path, monkeypatch):
    with keys(), s3_server() as server, proxy_of(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        storage, data = Store("s3://clef/team"), "s3://clef/shards"
        ingest_local(Synthetic(patients=150, seed=0), data, 100)
        host = Host(tmp_path / "host", proxy.url)
        arguments = host.sweep(data, storage.uri)
        process = host.start(f"import sys\nfrom clef_ray.cli import main\nsys.exit(main({arguments!r}))")
        try:
            before = until_epoch(storage, 2, host.alive(process))
            assert len(before) < EPOCHS, "it trains still"
            proxy.down()
            threading.Timer(AWAY, proxy.up).start()
            begin = time.monotonic()
            assert process.wait(PATIENCE) == 0, host.log.read_text()
        finally:
            host.switch_off(process)
        after = history(the_run(storage))
        assert [e["epoch"] for e in after] == list(range(1, EPOCHS + 1))
        assert after[: len(before)] == before, "no finished epoch was trained again"
        print(f"\nobject store away for {AWAY} s: goes on by itself, {time.monotonic() - begin:.1f} s")
