"""A disk that is full: nothing crashes, apps serve on and can be stopped, and everything recovers once there is room."""
import errno
import json
import os
import signal

import pytest

import mse
from test_survival import COUNTER, SECRET, serves

DISK_MIB = 640


class Disk:
    """A small file system under a node's data folder."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        mse.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "mse-test", path], check=True)
        self.filler = path / "filler"

    def fill(self):
        """To the last byte."""
        block = bytes(1 << 20)
        with self.filler.open("ab", buffering=0) as file:
            while block:
                try:
                    if file.write(block) < len(block):
                        block = block[:len(block) // 2]
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    block = block[:len(block) // 2]
        left = os.statvfs(self.path)
        assert left.f_bavail == 0

    def free(self):
        self.filler.unlink()


@pytest.fixture
def disk(folder):
    made = Disk(folder / "node" / "data")
    yield made
    mse.run(["umount", "-l", made.path], check=True)


@pytest.fixture
def node(folder, disk):
    # Such a disk has no room for the storage that plans promise by default.
    started = mse.Node(folder / "node", config="[plans.free]\nstorage_mib = 16\n").start()
    yield started
    disk.filler.unlink(missing_ok=True)
    started.destroy()


def app_of(folder, node, name):
    owner = mse.Owner(folder / "owner", node)
    return owner.deploy(owner.project(name, COUNTER, secrets=SECRET))


def test_apps_serve_on_and_come_back_and_are_stopped_on_a_full_disk(folder, disk, node):
    app = app_of(folder, node, "first")
    disk.fill()
    assert serves(app)

    enclave = node.enclave_of(app.id)
    os.kill(enclave, signal.SIGKILL)
    mse.wait_until(lambda: node.enclave_of(app.id) not in (None, enclave) and serves(app), what="the restart")
    os.kill(node.shim_of(app.id), signal.SIGKILL)
    mse.wait_until(lambda: node.shim_of(app.id) is not None and serves(app), 40, "the new shim")

    # What needs room is refused, by name.
    project = app.owner.project("second", COUNTER, secrets=SECRET)
    refused = app.owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", mse.image_digest(), "--json", timeout=90)
    assert refused.returncode == 1
    message = json.loads(refused.stdout)["error"]["message"]
    assert "No space left on device" in message or "the disk is full" in message

    # Killed, and ended in order, after which it finds no file to write to.
    for end in (node.kill, node.terminate):
        end()
        disk.fill()
        node.start()
        assert app.status()["status"] == "running" and serves(app)
        disk.fill()

    assert app.stop()["status"] == "stopped"
    left = {path.name for path in node.app_folder(app.id).iterdir()}
    assert "bundle" not in left and "sealed" not in left
    disk.fill()
    node.kill()
    node.start()
    assert app.status()["status"] == "stopped" and node.shim_of(app.id) is None

    disk.free()
    other = app_of(folder, node, "third")
    assert serves(other)


def test_a_stop_is_durable_whatever_the_disk_says(folder, disk, node):
    """Of an app that was stopped on a full disk nothing is left to resume, even when msed has not heard of the end."""
    app = app_of(folder, node, "durable")
    disk.fill()
    node.kill()
    shim = node.shim_of(app.id)
    with mse.control_socket(node.app_folder(app.id)) as control:
        control.sendall(json.dumps({"command": "stop", "reason": "stopped by its owner"}).encode() + b"\n")
        mse.wait_until(lambda: mse.program_name(shim) != "mse-shim", what="the end of the shim")
    disk.fill()
    told = json.loads((node.app_folder(app.id) / "status.json").read_text())
    assert told["status"] == "stopped" and told["final"] is True
    node.start()
    mse.wait_until(lambda: app.status()["status"] == "stopped", what="the status")
