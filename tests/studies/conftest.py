"""What the tests of studies share."""

import pytest


@pytest.fixture
def uri(tmp_path) -> str:
    """A fresh journal in a folder that is not there yet: the cheapest storage, since the databases have tests of their own."""
    return f"journal:///{tmp_path}/optuna/optuna.log"
