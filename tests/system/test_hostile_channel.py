"""The real mse-enclave against a shim that does not keep to the channel's rules: it refuses and ends, or waits for its owner as if nothing had happened. It never
crashes, hangs, or goes on with state that is not its own."""
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import mse
from test_hostile_host import CODE

QUOTE, KEY, STARTED, COLLATERAL, LOAD, SAVE, LOG, STATUS, METRICS, OPEN_STORAGE = range(1, 11)
ANSWER, REFUSED, STOP = 64, 65, 66
WAITING, STATE_REFUSED = 1, 13
QUESTIONS = {KEY: bytes(range(32)), LOAD: b"", QUOTE: bytes(5000)}
ROOTFS = mse.STORE / "images" / "mse-flask" / "rootfs"


def frame(kind, payload=b""):
    return struct.pack(">IB", len(payload) + 1, kind) + payload


class Enclave:
    """In a sandbox that is put up by hand; `answer` gives the bytes that follow a question. Less than a frame, or None, is the end of the channel."""

    def __init__(self, app_files, answer, greeting=b""):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(20 * mse.PATIENCE)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.statuses = []
        binds = ["--ro-bind", ROOTFS / "usr", "/usr"]
        for name in ("lib", "lib64", "bin"):
            binds += ["--symlink", f"usr/{name}", f"/{name}"]
        binds += ["--ro-bind", mse.BIN / "mse-enclave", "/mse/bin/mse-enclave", "--ro-bind", mse.PREFIX / "lib", "/mse/lib"]
        for name in ("manifest.json", "manifest.sig", "bundle"):
            binds += ["--ro-bind", app_files / name, f"/mse/{name}"]
        for path in ("/mse-app", "/root", "/tmp"):
            binds += ["--tmpfs", path]
        command = ["bwrap", "--die-with-parent", "--unshare-pid", "--proc", "/proc", "--dev", "/dev", "--clearenv", *map(str, binds), "/mse/bin/mse-enclave"]
        if greeting:
            self.channel.sendall(greeting)
        self.process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{theirs.fileno()} 4<&{self.listener.fileno()}', "bash", *command],
                                        pass_fds=[theirs.fileno(), self.listener.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        theirs.close()
        self.thread = threading.Thread(target=self._serve, args=(answer,), daemon=True)
        self.thread.start()

    def _receive(self, size):
        data = b""
        while len(data) < size:
            part = self.channel.recv(size - len(data))
            if not part:
                raise OSError("the end of the channel")
            data += part
        return data

    def _serve(self, answer):
        try:
            while True:
                size, kind = struct.unpack(">IB", self._receive(5))
                payload = self._receive(size - 1)
                if kind == STATUS:
                    self.statuses.append(payload[0])
                if kind in (STATUS, LOG, METRICS, STARTED, OPEN_STORAGE):
                    continue
                told = answer(kind)
                self.channel.sendall(told or b"")
                if told is None or len(told) < 5 or len(told) - 4 < struct.unpack(">I", told[:4])[0]:
                    self.channel.shutdown(socket.SHUT_RDWR)
                    return
        except OSError:
            pass

    def outcome(self):
        """"waits", or its exit status."""
        def found():
            return "waits" if WAITING in self.statuses else None if self.process.poll() is None else str(self.process.returncode)
        return mse.wait_until(found, what="an outcome")

    def close(self):
        try:
            self.channel.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        try:
            output, _ = self.process.communicate(timeout=20 * mse.PATIENCE)
        finally:
            self.process.kill()
            self.listener.close()
            self.channel.close()
        # bubblewrap tells of a signal as 128 and more.
        assert self.process.returncode in (0, 1), f"{self.process.returncode}: {output.decode(errors='replace')}"
        assert b"Sanitizer" not in output and b"runtime error" not in output, output.decode(errors="replace")


def honest(kind):
    return frame(ANSWER, QUESTIONS[kind])


def at(question, told):
    """Honest but for one question."""
    return lambda kind: told if kind == question else honest(kind)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Of a provisioned app: what its enclave is given, and its sealed state."""
    folder = tmp_path_factory.mktemp("channel")
    node = mse.Node(folder / "n").start()
    owner = mse.Owner(folder / "owner", node)
    app = owner.deploy(owner.project("channel", CODE, secrets='{"login": "the-secret-of-0"}'))
    shutil.copytree(node.app_folder(app.id), folder / "kept", ignore=shutil.ignore_patterns("control.sock"))
    node.destroy()
    return folder / "kept"


@pytest.fixture
def enclave(files):
    made = []

    def make(*arguments, **options):
        made.append(Enclave(files, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_shim_that_keeps_to_the_rules_finds_it_waiting(enclave):
    assert enclave(honest).outcome() == "waits"


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_that_is_refused_cut_or_impossible_ends_it(enclave, question):
    told = [frame(REFUSED, b"no"), frame(REFUSED), frame(STOP), struct.pack(">IB", 0, ANSWER), struct.pack(">IB", 0xFFFFFFFF, ANSWER),
            struct.pack(">IB", 1 << 26, ANSWER), None]
    if question == KEY:
        told += [frame(ANSWER), frame(ANSWER, bytes(31)), frame(ANSWER, bytes(33))]
    for one in told:
        made = enclave(at(question, one))
        assert made.outcome() in ("0", "1"), one
    made = enclave(at(question, frame(ANSWER, bytes((24 << 20) + 1))))
    assert made.outcome() == "1"


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_channel_that_ends_within_an_answer_ends_it(enclave, question):
    whole = len(honest(question))
    for size in sorted({0, 1, 4, 5, 6, whole // 2, whole - 1}):
        if size >= whole:
            continue
        # What was begun is never taken for an answer.
        assert enclave(at(question, honest(question)[:size])).outcome() in ("0", "1"), size


def test_frames_that_nobody_asked_for_change_nothing(enclave):
    noise = b"".join(frame(kind, b"x" * 10) for kind in (QUOTE, STARTED, STATUS, SAVE, 0, 99, 255))
    made = enclave(lambda kind: noise * 20 + honest(kind), greeting=noise * 20)
    assert made.outcome() == "waits"


def test_answers_that_are_told_twice_or_in_the_place_of_others_are_no_state(enclave):
    # What comes second is dropped, or taken for the answer to the next question: then it does not fit.
    for answer in (lambda kind: honest(kind) * 2, lambda kind: frame(ANSWER, QUESTIONS[{KEY: LOAD, LOAD: QUOTE, QUOTE: KEY}[kind]])):
        made = enclave(answer)
        assert made.outcome() in ("waits", "0", "1")
        assert STATE_REFUSED in made.statuses or made.outcome() == "1" or made.statuses == [WAITING]


def test_sealed_state_that_is_anothers_or_was_changed_is_refused(enclave, files):
    sealed = (files / "sealed").read_bytes()
    for state in (sealed, sealed[:-1], b"x", os.urandom(100), bytes(24 << 20)):
        made = enclave(at(LOAD, frame(ANSWER, state)))
        assert made.outcome() == "1" and made.statuses == [STATE_REFUSED]
