"""All of a team's work in an object store: made, trained, broken off and finished elsewhere, to the last bit."""

import json

import pytest
from storage_hosts import PATIENCE, Host, history, the_run, until_epoch
from tiny_sweep import EPOCHS

from clef_ray.datasets.synthetic import Synthetic
from clef_ray.distributed import load_state
from clef_ray.shards import ingest_local
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.long]

#: On the second host: Ray's ingestion into the store, the run that was broken off, and the same run undisturbed.
SECOND = """
import json, sys
from clef_ray.cli import main
from clef_ray.cluster.ingest import ingest
from clef_ray.cluster.session import session
with session(num_cpus=2):
    made = ingest("synthetic", {{"patients": 150, "seed": 0}}, {data2!r}, records_per_part=100, progress=False)
    print(json.dumps({{"fingerprint": made.fingerprint}}))
    codes = [main(arguments) for arguments in {commands!r}]
sys.exit(max(codes))
"""


def trained(run: Store) -> tuple[list, dict]:
    """What must not depend on where and when: epochs without their speed, and the weights."""
    epochs = [
        {k: v for k, v in e.items() if k not in ("seconds", "records_per_second")} for e in history(run)
    ]
    return epochs, {k: v.numpy().tobytes() for k, v in load_state(run, ENCODER)["encoder"].items()}


GROUP = ("--workers-per-trial", "2", "--cpus-per-worker", "0.9")


@pytest.mark.parametrize("group", [(), GROUP], ids=["alone", "group"])
@pytest.mark.timeout(3 * PATIENCE)
def test_a_run_that_one_host_began_ends_on_another_as_if_nothing_had_happened(
    proxy, tmp_path, monkeypatch, group
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    team = f"s3://clef/{tmp_path.name}"
    storage, calm, data = Store(f"{team}/team"), Store(f"{team}/calm"), f"{team}/shards"
    made = ingest_local(Synthetic(patients=150, seed=0), data, 100)
    first, second = (Host(tmp_path / name, proxy.url) for name in ("one", "two"))
    arguments = first.sweep(data, storage.uri, *group)
    process = first.start(f"import sys\nfrom clef_ray.cli import main\nsys.exit(main({arguments!r}))")
    try:
        before = until_epoch(storage, 2, first.alive(process))
    finally:
        first.switch_off(process)
    assert len(history(the_run(storage))) < EPOCHS, "it was broken off"
    commands = [second.sweep(data, where.uri, *group) for where in (storage, calm)]
    log = second.run(SECOND.format(data2=f"{team}/by-ray", commands=commands))
    assert json.loads(log.splitlines()[0])["fingerprint"] == made.fingerprint
    after = history(the_run(storage))
    assert [e["epoch"] for e in after] == list(range(1, EPOCHS + 1))
    assert after[: len(before)] == before, "an epoch that was trained again has other seconds"
    assert trained(the_run(storage)) == trained(the_run(calm))
    (report,) = storage.list("reports")
    assert {"report.html", "plan.json", "table.md"} <= set(storage.list(f"reports/{report}"))
    assert not [e.name for e in storage.walk("leases")], "nobody holds anything any more"
    assert not list((tmp_path / "two").glob("**/*.pt")), "checkpoints went to the store alone"
