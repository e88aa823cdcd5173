import os
import shutil
import tempfile
from pathlib import Path

import pytest

import mse


def pytest_configure(config):
    for program in ("mse", "msed", "mse-shim", "mse-enclave"):
        if not (mse.BIN / program).exists():
            pytest.exit(f"{mse.BIN / program} is not built: run make", returncode=2)
    if os.geteuid() != 0:
        pytest.exit("the system tests start nodes, which needs root", returncode=2)


@pytest.fixture
def folder():
    """A folder with a short path, for Unix sockets; removed when the test passes."""
    path = Path(tempfile.mkdtemp(prefix="mse-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def node():
    """One node for the tests of a module."""
    path = Path(tempfile.mkdtemp(prefix="mse-node-", dir="/tmp"))
    started = mse.Node(path).start()
    yield started
    started.destroy()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def own_node(folder):
    """A node for one test alone, which may kill it."""
    started = mse.Node(folder / "node").start()
    yield started
    started.destroy()


@pytest.fixture
def owner(folder, node):
    return mse.Owner(folder / "owner", node)
