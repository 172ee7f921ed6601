"""Who drives a sweep: one living process, and after its death the next."""

import json
import signal
import subprocess
import sys
import time

import pytest

from clef_ray.errors import ConfigError
from clef_ray.lease import lease
from clef_ray.store import Store

HOLD = """
import sys, time
from clef_ray.lease import lease
from clef_ray.store import Store
with lease(Store(sys.argv[1]), "sweep"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    store = Store(str(tmp_path))
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=f"process {first.pid}"), lease(store, "sweep"):
        pass
    with lease(store, "another"):
        pass
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    with lease(store, "sweep"), pytest.raises(ConfigError, match="already"), lease(store, "sweep"):
        pass
    assert not store.exists("leases/sweep.json")


@pytest.mark.parametrize(("age", "refused"), [(10, True), (500, False)])
def test_another_machine_lives_as_long_as_it_says_so(tmp_path, age, refused):
    store = Store(str(tmp_path))
    told = {"token": "x", "host": "elsewhere", "pid": 1, "since": 0.0, "beat": time.time() - age}
    store.write_bytes("leases/sweep.json", json.dumps(told).encode())
    if refused:
        with pytest.raises(ConfigError, match="on elsewhere"), lease(store, "sweep"):
            pass
    else:
        with lease(store, "sweep"):
            pass


def test_a_number_that_was_given_to_another_process_is_not_the_first_one(tmp_path):
    store = Store(str(tmp_path))
    with lease(store, "sweep"):
        own = json.loads(store.read_bytes("leases/sweep.json"))
    store.write_bytes("leases/sweep.json", json.dumps({**own, "since": own["since"] - 1}).encode())
    with lease(store, "sweep"):
        pass
