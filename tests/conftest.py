"""What tests share: real ECGs where there are any, one local Ray, one pool of two processes for everything distributed."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from gloo_pool import GlooPair

REPOSITORY = Path(__file__).resolve().parent.parent

# A machine that is busy with something else is no counterexample.
hypothesis.settings.register_profile("clef_ray", deadline=None)
hypothesis.settings.load_profile("clef_ray")

# More threads than cores make every small matrix product slower; a test's figures must not depend on the machine.
torch.set_num_threads(min(2, os.cpu_count() or 1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; torch sees none")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that hung may have left Ray's CPUs or a lock behind, for which all the others would wait just as long: the suite ends there."""
    report = yield
    if report.failed and call.excinfo and "from pytest-timeout" in str(call.excinfo.value):
        item.session.shouldfail = f"{item.nodeid} hung"
    return report


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For small matrices: a second thread waits longer for its turn on a busy machine than it works."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real ECGs: CLEF_RAY_REALDATA, or ../shared/data beside the project."""
    named = os.environ.get("CLEF_RAY_REALDATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real ECGs: {folder} is not a folder; set CLEF_RAY_REALDATA")
    return folder


@pytest.fixture(scope="session")
def local_ray() -> Iterator[str]:
    """One real Ray with two CPUs for the whole run, started when the first test asks; the value is its dashboard's URL."""
    from clef_ray.cluster.session import session

    with session(num_cpus=2) as dashboard:
        yield dashboard


@pytest.fixture(scope="session")
def gloo_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlooPair]:
    """`gloo_pair.run(function, *args)` -> both ranks' results; torch.distributed is initialised there, never in the test's process."""
    pair = GlooPair(tmp_path_factory.mktemp("gloo"))
    yield pair
    pair.close()
