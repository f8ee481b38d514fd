"""What all tests share: a generator, reproducible streams, the kernel backends, and oracles that may be absent."""

import collections
import os
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import kernels


@pytest.fixture(autouse=True)
def _streams():
    """Each test starts with the same named streams, whatever ran before it, and leaves them as they were."""
    state = minidl.random.get_state()
    minidl.manual_seed(0)
    yield
    minidl.random.set_state(state)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    """Run the test once with each body of the kernels."""
    if request.param == "numba":
        pytest.importorskip("numba")
    with kernels.using(request.param):
        yield request.param


@pytest.fixture
def kernels_as_before():
    """The choice "auto" of kernels during the test, and afterwards what was chosen before, threads included."""
    count = kernels.get_num_threads()
    with kernels.using("auto"):
        yield
    kernels.set_num_threads(count)


@pytest.fixture
def torch():
    """PyTorch, the oracle; tests that need it are skipped where it is not installed."""
    return pytest.importorskip("torch")


@pytest.fixture
def shared():
    """The folder with the real data files, beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the real data files in ../shared")
    return folder


def pytest_collection_modifyitems(items):
    """What compares with PyTorch can be left out with `-m "not torch"`; what takes long is for CI."""
    for item in items:
        if item.get_closest_marker("programs") and not os.environ.get("MINIDL_TEST_PROGRAMS"):
            item.add_marker(pytest.mark.skip(reason="takes long; MINIDL_TEST_PROGRAMS=1 has it run, as in CI"))
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker("torch")


def pytest_terminal_summary(terminalreporter):
    """A skipped test is a proof that was not given: say which and why, also in quiet runs."""
    reasons = collections.Counter(str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}", yellow=True)
