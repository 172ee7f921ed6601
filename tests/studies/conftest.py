"""What the tests of studies share."""

import pytest


@pytest.fixture
def uri(tmp_path) -> str:
    """A fresh SQLite file in a folder that is not there yet."""
    return f"sqlite:///{tmp_path}/optuna/optuna.db"
