"""A shim that has turned against its node: whatever it says to msed, msed goes on with its work, and is not filled."""
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

import mse
from test_survival import COUNTER, SECRET, serves

SECONDS = 3
MAX_LOG_GROWTH = 16 * 1024
# The log that SQLite writes ahead is folded back at about 4 MiB.
MAX_DATABASE_GROWTH = 6 << 20
MAX_CPU = 0.5


class FakeShim:
    """In the place of an app's shim, which has ended: holds its lock and listens at its control socket."""

    def __init__(self, folder, behave):
        self.folder, self.behave, self.ending = folder, behave, False
        self.lock = (folder / "shim.lock").open("r+")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        (folder / "control.sock").unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self.listener.bind(f"/proc/self/fd/{descriptor}/control.sock")
        os.close(descriptor)
        self.listener.listen(8)
        self.connections = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.ending:
            if not select.select([self.listener], [], [], 0.2)[0]:
                continue
            connection, _ = self.listener.accept()
            self.connections += 1
            connection.settimeout(0.5)
            with connection:
                try:
                    for piece in self.behave(self):
                        connection.sendall(piece)
                        if self.ending:
                            break
                except OSError:
                    pass

    def close(self):
        self.ending = True
        self.thread.join()
        self.listener.close()
        (self.folder / "control.sock").unlink(missing_ok=True)
        self.lock.close()


def status_line(instance, **changes):
    """As a shim formats it."""
    status = {"changed_at": 1, "enclave_pid": 0, "final": False, "instance_id": instance, "measurement": None, "provisioned": False, "reason": None,
              "restarts": 0, "status": "initializing", "weaker": "",
              "metrics": dict.fromkeys(("requests", "errors", "in_flight", "bytes_in", "bytes_out", "log_lost"), 0)}
    return json.dumps({**status, **changes}).encode() + b"\n"


def closes_at_once(shim):
    return []


def talks_nonsense(shim):
    while True:
        yield b"\x1b[2J\xff nonsense\n"


def never_ends_its_line(shim):
    while True:
        yield b"x" * 65536


def changes_its_status_without_end(shim):
    number = 0
    while True:
        yield b"".join(status_line(shim.folder.name, restarts=number + i, reason=f"change {number + i}",
                                   status=("initializing", "on_error", "running")[i % 3]) for i in range(100))
        number += 100


def is_another_apps(shim):
    while True:
        yield status_line("ab" * 32, status="running")
        time.sleep(0.01)


def says_nothing(shim):
    while not shim.ending:
        time.sleep(0.1)
    yield b""


def sizes(node):
    database = sum(path.stat().st_size for path in node.data.glob("msed.db*") if not path.name.endswith(".reserve"))
    return node.log.stat().st_size, database


def deploy(owner):
    # Names belong to the owner of one test.
    return owner.deploy(owner.project(f"counter-{uuid.uuid4().hex[:8]}", COUNTER, secrets=SECRET))


@pytest.fixture
def apps(owner):
    made = [deploy(owner) for _ in range(2)]
    yield made
    for app in made:
        owner.mse("stop", app.id)


@pytest.fixture
def neighbour(owner):
    app = deploy(owner)
    yield app
    owner.mse("stop", app.id)


@pytest.fixture(scope="class")
def new_victim(node):
    """Deploys an app. msed leaves those whose shims were hostile alone for a while: after the last test all of them must be found again."""
    folder = Path(tempfile.mkdtemp(prefix="mse-", dir="/tmp"))
    owner, victims = mse.Owner(folder / "owner", node), []

    def new():
        victims.append(deploy(owner))
        return victims[-1]
    yield new
    for victim in victims:
        mse.wait_until(lambda: victim.status()["status"] == "running" and serves(victim), 60, "the app's own shim")
        owner.mse("stop", victim.id)
    shutil.rmtree(folder, ignore_errors=True)


def take_place_of(node, app, behave):
    """msed is told to look away while the shim is exchanged, or it would start another."""
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        shim = node.shim_of(app.id)
        os.kill(shim, signal.SIGKILL)
        mse.wait_until(lambda: mse.program_name(shim) != "mse-shim", what="the end of the shim")
        return FakeShim(node.app_folder(app.id), behave)
    finally:
        os.kill(node.process.pid, signal.SIGCONT)


class TestHostileShims:
    @pytest.mark.parametrize("behave", [
        closes_at_once, talks_nonsense, never_ends_its_line, changes_its_status_without_end, is_another_apps, says_nothing,
    ])
    def test_a_hostile_shim_keeps_msed_from_nothing_and_fills_nothing(self, node, new_victim, neighbour, behave):
        victim = new_victim()
        log, database = sizes(node)
        shim = take_place_of(node, victim, behave)
        try:
            used, begun = mse.cpu_seconds(node.process.pid), time.monotonic()
            while time.monotonic() - begun < SECONDS:
                asked = time.monotonic()
                assert node.get(f"/v1/apps/{neighbour.id}")["status"] == "running"
                assert time.monotonic() - asked < 2 * mse.PATIENCE
                time.sleep(0.2)
            assert shim.connections > 0
            used, passed = mse.cpu_seconds(node.process.pid) - used, time.monotonic() - begun
            assert used < MAX_CPU * passed, f"{used:.1f} of {passed:.1f} s"
            assert serves(neighbour)
            log_now, database_now = sizes(node)
            assert log_now - log < MAX_LOG_GROWTH and database_now - database < MAX_DATABASE_GROWTH
            assert b"\x1b" not in node.log.read_bytes()
            if behave is is_another_apps:
                told = node.get(f"/v1/apps/{victim.id}")
                assert told["status"] == "on_error" and "another app's supervisor" in told["reason"]
            assert neighbour.stop()["status"] == "stopped"
        finally:
            shim.close()


def test_a_shim_that_is_stopped_holds_msed_up_no_more_than_itself(node, apps):
    victim, neighbour = apps
    stopped = node.shim_of(victim.id)
    os.kill(stopped, signal.SIGSTOP)
    waiting = []
    try:
        # As many as its socket lets wait: the next one would, without end.
        for _ in range(12):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            descriptor = os.open(node.app_folder(victim.id), os.O_PATH | os.O_DIRECTORY)
            waiting[-1].connect_ex(f"/proc/self/fd/{descriptor}/control.sock")
            os.close(descriptor)
        node.kill()
        node.start()
        assert node.get(f"/v1/apps/{neighbour.id}")["status"] == "running"
        assert neighbour.stop()["status"] == "stopped"
    finally:
        for connection in waiting:
            connection.close()
        os.kill(stopped, signal.SIGCONT)
    assert serves(victim)
    mse.wait_until(lambda: victim.status()["status"] == "running", what="the status")


def test_sockets_that_were_exchanged_do_not_stop_the_other_app(node, apps):
    first, second = apps
    folders = [node.app_folder(app.id) for app in apps]
    node.kill()
    # msed finds the one's shim in the other's folder.
    (folders[0] / "control.sock").rename(folders[0] / "kept")
    (folders[1] / "control.sock").rename(folders[0] / "control.sock")
    (folders[0] / "kept").rename(folders[1] / "control.sock")
    try:
        node.start()
        mse.wait_until(lambda: "another app's supervisor" in (first.status()["reason"] or ""), what="the reason")
        # It may take as long as a stop may take, and in the end it fails; no need to wait for it.
        asked = threading.Thread(target=lambda: first.owner.mse("stop", first.id, timeout=90))
        asked.start()
        time.sleep(2)
        assert serves(second) and serves(first)
    finally:
        (folders[0] / "control.sock").rename(folders[0] / "kept")
        (folders[1] / "control.sock").rename(folders[0] / "control.sock")
        (folders[0] / "kept").rename(folders[1] / "control.sock")
    # Now that its own shim is found again, the stop goes through.
    asked.join()
    assert first.status()["status"] == "stopped" and serves(second)
