"""One S3 server for all tests here, each with a proxy of its own before it."""

from collections.abc import Iterator

import pytest
from object_store import Proxy, keys, proxy_of, s3_server


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The server's own address, and its keys in the environment."""
    with keys(), s3_server() as address:
        yield address


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    with proxy_of(server) as made:
        yield made
