import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import mse  # noqa: E402
import netspace  # noqa: E402
import world as worlds  # noqa: E402


def pytest_configure(config):
    if os.geteuid() != 0 or not (mse.BIN / "msed").exists():
        pytest.exit("the attacks need root, and the programs: run make check-attacks", returncode=2)
    if not config.option.collectonly:
        netspace.unshare()


@pytest.fixture(scope="session")
def world(request):
    """One node for all attacks, which have to leave it as it was."""
    made = worlds.make_world()
    made.expect(item.callspec.params["name"] for item in request.session.items
                if item.originalname == "test_the_attack_does_what_it_must_and_no_more" and hasattr(item, "callspec"))
    yield made
    made.close()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def targets(world):
    """Canaries that the attempts without walls may reach."""
    canaries = worlds.Canaries(world.folder)
    yield {**canaries.named(), "pids": str(canaries.processes[0].pid), "data": str(world.node.data), "node_socket": str(world.node.socket),
           "control_socket": str(world.node.app_folder(world.neighbour.id) / "control.sock"), "uid": os.getuid(), **world.network()}
    canaries.close()
