"""The matrices of all tests here are small."""

import pytest


@pytest.fixture(autouse=True)
def small(one_thread: None) -> None: ...
