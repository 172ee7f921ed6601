"""What `clef-ray doctor` says of an object store: each trouble in a line of its own, soon."""

import time

import pytest
from object_store import Fault

from clef_ray.doctor.services import storage


def only(uri):
    (check,) = storage(uri)
    return check


def test_a_store_that_can_be_written(proxy):
    check = only(proxy.uri("team"))
    assert check.ok
    assert "can be written" in check.detail


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("InvalidAccessKeyId", "does not accept these credentials (AWS_ACCESS_KEY_ID"),
        ("AccessDenied", "refuses: the credentials are wrong, or lack the right"),
    ],
)
def test_wrong_credentials(proxy, code, told):
    proxy.fault = lambda request: Fault(403, f"<Error><Code>{code}</Code></Error>".encode())
    assert told in only(proxy.uri("team")).detail
    assert len(proxy.seen) == 1


def test_a_wrong_bucket(proxy):
    check = only(proxy.uri("team").replace("//clef/", "//clev/"))
    assert f"there is no such bucket at {proxy.url}" in check.detail


def test_nobody_there(proxy):
    proxy.down()
    begin = time.monotonic()
    check = only(proxy.uri("team"))
    assert check.level == "problem"
    assert f"nothing answers at {proxy.url}" in check.detail
    assert time.monotonic() - begin < 60, "not for all the patience of an experiment"
