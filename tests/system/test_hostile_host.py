"""A host that meddles with the files of its apps and of its node: whatever it does is refused with a reason that names the file, or harmless. Nothing crashes, nothing
hangs, nothing is written through a link, nobody is served what is not his, and no plaintext comes to light."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

import mse
from hostile_files import CHANGED, DEEDS, IRREGULAR

CODE = {"app.py": '''# the-code-is-private
import json
import os
from pathlib import Path
from flask import Flask
app = Flask(__name__)
# Something for the log.
print("x" * 2000, flush=True)

@app.route("/health")
def health():
    return "healthy"

@app.route("/secret")
def secret():
    return json.loads(Path(os.environ["SECRETS_PATH"]).read_text())["login"]
'''}
PLAINTEXTS = (b"the-code-is-private", b"the-secret-of-")
LANES = 3
# A small disk is soon copied.
CONFIG = "[plans.free]\nmemory_mib = 512\ncpus = 0.38\nstorage_mib = 16\nthreads = 16\nlifetime_minutes = 240\n"
MAX_RSS_KIB = 128 * 1024
UNTOUCHED = "root:x:0:0:nobody may write here\n"

SERVES = "serves"
WAITS = "waits"

# Of each file in an app's folder: what becomes of the app when a shim is started on it, by deed; "" stands for all the others.
# SERVES: as if nothing had happened. WAITS: for its owner, with new keys. Else the reason, or what the shim says before it ends.
REFUSED_MANIFEST = "manifest"
SHIM_START = {
    "manifest.json": {"": REFUSED_MANIFEST, "rolled back": SERVES},
    "manifest.sig": {"": r"manifest(\.sig|'s signature)", "rolled back": SERVES},
    "bundle": {"": "bundle", "rolled back": SERVES},
    "sealed": {"": "sealed state", "rolled back": SERVES, "gone": WAITS, "emptied": WAITS},
    "shim.json": {"": r"shim\.json|another instance", "rolled back": SERVES},
    # A log that is none is not written to; of one that was cut or changed within, the owner sees that records are missing.
    "log": {"": SERVES, "one byte at the head": "'log' is not a log", "emptied": "'log' is not a log", "a link elsewhere": "'log'", "huge": "'log' has",
            "cut in half": f"{SERVES}|'log' is not a log", "cut at a block": f"{SERVES}|'log' is not a log", **dict.fromkeys(IRREGULAR, "'log'")},
    "status.json": {"": SERVES},
    "shim.lock": {"": SERVES, "a link elsewhere": r"shim\.lock", **dict.fromkeys(IRREGULAR, r"shim\.lock")},
    "control.sock": {"": SERVES, "a folder": "control socket"},
    "shim.err": {"": SERVES},
    "storage.lock": {"": SERVES, "a link elsewhere": "storage", **dict.fromkeys(IRREGULAR - {"a fifo"}, "storage")},
    # What is in it is authenticated block by block; one that nobody reads is not missed. Of what is put back whole, see docs/threat-model.md.
    "storage/disk": {"": "storage", "rolled back": SERVES, "one byte in the middle": f"{SERVES}|storage", "one byte at the tail": f"{SERVES}|storage"},
    "storage": {"": SERVES, **dict.fromkeys([*IRREGULAR, "a link elsewhere", "gone", "huge"], "storage")},
}
# Files beside them, of which msed alone knows.
NOT_THE_SHIMS = {"shim.err"}
# Where there is no earlier version, rolling back changes nothing; a socket is not swapped by copying it.
NOTHING_TO_DO = {("control.sock", deed) for deed in (*CHANGED, "rolled back", "another app's")}


def write_untouched(folder):
    path = folder / "outside"
    path.write_text(UNTOUCHED)
    return path


def copy_files(folder, to):
    """With their owners: the app's own user has the encrypted disk. What is neither file nor folder is not copied."""
    subprocess.run(["cp", "-a", "--sparse=always", folder, to], check=True)
    for path in to.rglob("*"):
        if not path.is_file() and not path.is_dir():
            path.unlink()


def rss_kib(pid):
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


class Lane:
    """One app whose folder is put back before each case. Cases of one lane come one after the other, since an instance has one shim."""

    def __init__(self, app, node, folder):
        self.app, self.folder = app, node.app_folder(app.id)
        self.snapshot = folder / f"snapshot-{app.id[:12]}"
        self.outside = write_untouched(folder)
        self.shim = None

    def keep(self):
        copy_files(self.folder, self.snapshot)

    def restore(self):
        shutil.rmtree(self.folder)
        copy_files(self.snapshot, self.folder)
        with socket.socket(socket.AF_UNIX) as left:
            descriptor = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
            left.bind(f"/proc/self/fd/{descriptor}/control.sock")
            os.close(descriptor)
        self.errors = self.snapshot.parent / f"{self.app.id[:12]}.err"
        self.errors.unlink(missing_ok=True)

    def start(self):
        with self.errors.open("ab") as errors:
            self.shim = subprocess.Popen([mse.BIN / "mse-shim", "--dir", self.folder], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def said(self):
        return self.errors.read_text(errors="replace")

    def status(self):
        """What the shim says of itself now."""
        try:
            with mse.control_socket(self.folder) as control:
                control.settimeout(5 * mse.PATIENCE)
                line = control.makefile("rb").readline()
            return json.loads(line) if line else None
        except OSError:
            return None

    def serves(self):
        return self.app.curl("/secret", check=False).stdout == self.app.secret

    def waits(self):
        """For its owner: it has other keys than the ones that were verified, and no app."""
        result = subprocess.run(["curl", "-ksS", "-o", "/dev/null", "-D", "-", self.app.url + "/secret"], capture_output=True, text=True, timeout=30 * mse.PATIENCE)
        return "mse-status: waiting" in result.stdout.lower() and self.app.curl("/", check=False).returncode != 0

    def outcome(self):
        if self.shim.poll() is not None:
            return self.said()
        status = self.status()
        if status is None:
            return None
        if status["status"] == "on_error":
            return status["reason"]
        if status["status"] == "running" and self.serves():
            return SERVES
        if status["status"] == "initializing" and not status["provisioned"] and self.waits():
            return WAITS
        return None

    def expect(self, expected, what):
        found = mse.wait_until(self.outcome, 30, f"an outcome of {what}")
        assert re.search(expected, found) if expected not in (SERVES, WAITS) else found == expected, f"{what}: {found!r}, expected {expected!r}"
        self.check(what)

    def check(self, what):
        assert self.shim.poll() in (None, 0, 1), f"{what}: the shim ended with {self.shim.returncode}: {self.said()}"
        said = self.said()
        assert not re.search(r"ERROR: \w+Sanitizer|runtime error:", said), f"{what}: {said}"
        assert self.outside.read_text() == UNTOUCHED, f"{what}: written through a link"
        if not mse.SANITIZED:
            assert rss_kib(self.shim.pid) < MAX_RSS_KIB, what
        for path in self.folder.iterdir():
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 24:
                content = path.read_bytes()
                assert not any(plaintext in content for plaintext in PLAINTEXTS), f"{what}: {path.name}"

    def end(self):
        if self.shim is not None:
            self.shim.kill()
            self.shim.wait()
            self.shim = None


@pytest.fixture(scope="module")
def lanes(tmp_path_factory):
    folder = Path("/tmp") / f"mse-hostile-{os.getpid()}"
    folder.mkdir(mode=0o755)
    node = mse.Node(folder / "node", config=CONFIG).start()
    owner = mse.Owner(folder / "owner", node)
    made = []
    for number in range(LANES):
        secret = f"the-secret-of-{number}"
        app = owner.deploy(owner.project(f"lane-{number}", CODE, secrets=json.dumps({"login": secret})))
        app.secret = secret
        made.append(Lane(app, node, folder))
    node.kill()
    for lane in made:
        shim = node.shim_of(lane.app.id)
        os.kill(shim, signal.SIGTERM)
        mse.wait_until(lambda: mse.program_name(shim) != "mse-shim", what="the end of a shim")
        lane.keep()
    yield made
    for lane in made:
        lane.end()
    node.destroy()
    shutil.rmtree(folder)


def in_lanes(lanes, cases):
    """Every case in one of the lanes, which work side by side; all that went wrong is told."""
    waiting, failures, lock = list(cases), [], threading.Lock()

    def work(lane):
        while True:
            with lock:
                if not waiting:
                    return
                case = waiting.pop(0)
            try:
                case(lane)
            except Exception as error:  # pylint: disable=broad-except
                with lock:
                    failures.append(f"{type(error).__name__}: {error}")
            finally:
                lane.end()

    threads = [threading.Thread(target=work, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "\n".join(failures)


def do(lane, lanes, name, deed):
    other = lanes[(lanes.index(lane) + 1) % len(lanes)]
    DEEDS[deed](lane.folder / name, other=other.snapshot / name, early=lane.snapshot / name, outside=lane.outside)


def test_every_kind_of_file_in_an_apps_folder_is_listed_here(lanes):
    for lane in lanes:
        lane.restore()
        lane.start()
        lane.expect(SERVES, "an app that nobody meddled with")
        lane.end()
        # Without the shim's mounts the folder is what the host has.
        found = {str(path.relative_to(lane.folder)) for path in lane.folder.rglob("*")} | NOT_THE_SHIMS
        assert found == set(SHIM_START), "a new kind of file: say what becomes of an app when a host meddles with it"


def test_a_shim_that_finds_its_files_changed_refuses_by_name_or_serves_on(lanes):
    def case(name, deed):
        expected = SHIM_START[name].get(deed, SHIM_START[name][""])

        def run(lane):
            lane.restore()
            do(lane, lanes, name, deed)
            lane.start()
            lane.expect(expected, f"{name} is {deed}")
        return run

    in_lanes(lanes, [case(name, deed) for name in SHIM_START for deed in DEEDS if name not in NOT_THE_SHIMS and (name, deed) not in NOTHING_TO_DO])


# While the enclave runs, and is then killed: the shim holds open what it has checked, and checks it again.
UNDER_A_RUNNING_APP = {
    "bundle": {"": SERVES, "huge": "bundle", **dict.fromkeys(CHANGED, "bundle")},
    "sealed": SHIM_START["sealed"],
    # All at once, since nothing comes of any of them.
    "manifest.json manifest.sig shim.json log status.json shim.lock control.sock": {"": SERVES},
}


def test_files_changed_under_a_running_app_are_refused_by_name_at_its_restart_or_harmless(lanes):
    def case(names, deed):
        expected = UNDER_A_RUNNING_APP[names].get(deed, UNDER_A_RUNNING_APP[names][""])
        what = f"{names} under a running app: {deed}"

        def run(lane):
            lane.restore()
            lane.start()
            lane.expect(SERVES, "before anything was changed")
            with mse.control_socket(lane.folder) as control:
                lines = control.makefile("rb")
                enclave = json.loads(lines.readline())["enclave_pid"]
                for name in names.split():
                    if (name, deed) not in NOTHING_TO_DO:
                        do(lane, lanes, name, deed)
                assert lane.serves(), what
                os.kill(enclave, signal.SIGKILL)
                # Asked over the connection that is there: the socket's name may be gone.
                control.settimeout(30 * mse.PATIENCE)
                while True:
                    status = json.loads(lines.readline())
                    if status["status"] == "on_error" or (status["restarts"] == 1 and status["status"] == "running"):
                        break
                    if expected == WAITS and status["restarts"] == 1 and status["status"] == "initializing" and status["enclave_pid"] != 0:
                        break
            if expected == SERVES:
                assert status["status"] == "running" and lane.serves(), f"{what}: {status}"
            elif expected == WAITS:
                mse.wait_until(lane.waits, what=what)
            else:
                assert status["status"] == "on_error" and re.search(expected, status["reason"]), f"{what}: {status}"
            lane.check(what)
        return run

    chosen = ["one byte in the middle", "cut in half", "emptied", "another app's", "a link to itself", "a fifo", "a folder", "gone", "huge"]
    in_lanes(lanes, [case(names, deed) for names in UNDER_A_RUNNING_APP for deed in chosen])
