"""The figures of a sweep: what they count, and that they are measured on real sweeps. How long anything takes is not asserted."""

import json
import os
import subprocess
import sys
from concurrent.futures import Future

import pytest

from clef_ray.ablation import Outcome
from clef_ray.bench import sweep
from clef_ray.bench.measure import Figure
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.errors import ClefRayError
from clef_ray.shards import ingest_local


@pytest.mark.ray
@pytest.mark.long
def test_a_sweeps_figures_are_measured_on_real_sweeps():
    command = [sys.executable, "-m", "clef_ray", "bench", "sweep", "--quick", "--seconds", "0.5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["command"] == "clef-ray bench sweep --quick --seconds 0.5 --json"
    efficiency, wall, one, two = (Figure(**f) for f in printed["figures"])
    assert 0 < efficiency.ours < 100
    assert 0 < efficiency.plain < 100
    assert efficiency.met is None, "so short a trial has no target"
    assert wall.ratio == pytest.approx(wall.plain / wall.ours)
    assert (one.target, two.target) == ("<= 1 s", "<= 9 s")
    assert min(one.ours, two.ours) > 0


def ended(clock, monkeypatch, ends, compute):
    times = iter(ends)
    monkeypatch.setattr(sweep.time, "perf_counter", lambda: next(times))
    (trial,) = sweep.trials("data", 1, 1).trials
    for seconds in compute:
        clock.end(
            Outcome(trial, "COMPLETE", seconds={"pretrain": seconds - 0.25, "evaluate": 0.25, "wall": 99})
        )


def test_an_overhead_is_all_that_passes_between_two_ends_beyond_the_trials_own_work(monkeypatch):
    clock = sweep.Clock(lambda text: None)
    ended(clock, monkeypatch, ends=[107.0, 110.5, 115.0], compute=[2.0, 3.0, 4.25])
    assert clock.overheads() == [0.5, 0.25], "the first one's start is not counted"


def test_a_failed_trial_ends_the_measurement():
    clock = sweep.Clock(lambda text: None)
    (trial,) = sweep.trials("data", 1, 1).trials
    with pytest.raises(ClefRayError, match="the disk is full"):
        clock.end(Outcome(trial, "FAILED", reason="the disk is full"))


@pytest.mark.parametrize(("seconds", "met"), [(60.0, True), (59.0, None)])
def test_efficiency_is_the_share_of_all_slots_time_and_judged_for_long_trials_only(seconds, met):
    ours, plain = sweep.Timed(200.0, [96.0, 96.0, 95.0, 97.0]), sweep.Timed(192.0, [95.0, 95.0, 96.0, 96.0])
    efficiency, wall = sweep._efficiency(ours, plain, 2, seconds)
    assert efficiency.ours == 96.0
    assert efficiency.plain == pytest.approx(100 * 382 / 384)
    assert efficiency.met is met
    assert wall.ratio == 0.96
    assert sweep._efficiency(sweep.Timed(203.0, ours.compute), plain, 2, 60.0)[0].met is False


def test_every_slot_of_the_plain_loop_has_its_share(monkeypatch, tmp_path):
    people = ingest_local(Synthetic(patients=160, records_per_patient=1), str(tmp_path / "shards"))
    concrete = sweep.trials(people.fingerprint, 1, 3)
    shares = []
    monkeypatch.setattr(sweep, "processes", AtOnce)
    monkeypatch.setattr(sweep, "plain_trials", lambda share, *_: shares.append(share) or [1.0] * len(share))
    timed = sweep.plain_loop(concrete, str(tmp_path / "shards"), str(tmp_path), 2)
    assert [[t.seed for t in share] for share in shares] == [[0, 2], [1]]
    assert timed.compute == [1.0] * 3


class AtOnce:
    """A pool that works in this process."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


def test_the_processes_of_the_plain_loop_have_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with sweep.processes(1) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result(60) == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
