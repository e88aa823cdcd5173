"""The same for the files of the node itself: its database, its simulated platform, the runtime and the images. What cannot be used is refused by name, and apps that
run serve on whatever becomes of msed."""
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

import mse
from hostile_files import CHANGED, DEEDS, IRREGULAR
from test_hostile_host import CODE, SERVES, UNTOUCHED, Lane, write_untouched

STARTS = "starts"
# Without a database the folder is no node's, and with an empty one it is a new node's; SQLite finds some changes and lives with others.
DATABASE = {"": r"msed\.db", "emptied": STARTS, "gone": "no database of a node", "rolled back": STARTS, "another app's": STARTS,
            **{deed: rf"{STARTS}|msed\.db" for deed in ("one byte in the middle", "one byte at the tail", "cut in half", "cut at a block", "huge")}}
# Keys, certificates and ids: nothing works without them, and none is made anew behind the operator's back but a certificate, which says what the old one said.
IDENTITY = {"": "sim/"}
# The sealing secret is 32 random bytes: others open no state, which each enclave finds for itself.
SECRET = {"": "sealing.secret", "one byte in the middle": STARTS, "another app's": STARTS}
# It is signed: what does not hold is made anew, or seen by whoever verifies.
COLLATERAL = {"": rf"{STARTS}|sim/"}
ANYTHING = {"": STARTS}
FILES = {
    "msed.db": (DATABASE, list(DEEDS)),
    "msed.db-wal": ({"": rf"{STARTS}|msed\.db"}, ["one byte at the head", "one byte in the middle", "cut in half", "a fifo", "a folder", "a link to itself"]),
    "msed.db-shm": ({"": rf"{STARTS}|msed\.db"}, ["one byte at the head", "emptied", "a fifo", "a folder", "a link to itself"]),
    "msed.lock": ({"": STARTS, **dict.fromkeys([*IRREGULAR, "a link elsewhere"], r"msed\.lock")}, [*IRREGULAR, "a link elsewhere", "gone", "huge"]),
    "msed.db.reserve": (ANYTHING, ["emptied", "a fifo", "a folder", "a link elsewhere", "gone"]),
    "sim/lock": ({"": rf"{STARTS}|sim/"}, ["a fifo", "a link to itself", "a folder", "gone"]),
}
SIM = ["one byte in the middle", "another app's", "a fifo", "gone"]
for name in ("platform.json", *(f"{key}.key" for key in ("root", "pck_ca", "pck", "tcb"))):
    FILES[f"sim/{name}"] = (IDENTITY, SIM)
for name in ("root", "pck_ca", "pck", "tcb"):
    FILES[f"sim/{name}.pem"] = ({**IDENTITY, "gone": STARTS}, SIM)
FILES["sim/sealing.secret"] = (SECRET, SIM)
for name in ("tcb_info.json", "qe_identity.json", "root_ca.crl", "pck.crl", "collateral.state"):
    FILES[f"sim/{name}"] = (COLLATERAL, SIM)
FOLDERS = {"apps", "bundles", "sim"}


def copy_node_files(data, to):
    (to / "sim").mkdir(parents=True)
    for path in (*data.glob("msed.*"), *data.glob("sim/*")):
        if path.is_file() and not path.is_symlink():
            shutil.copy2(path, to / path.relative_to(data))


@pytest.fixture
def victim(folder):
    """A node that has been killed, an app of it that serves on, and the files of another node and of its own first moment."""
    other = mse.Node(folder / "other").start()
    other.kill()
    node = mse.Node(folder / "node").start()
    node.terminate()
    copy_node_files(node.data, folder / "early")
    node.start()
    owner = mse.Owner(folder / "owner", node)
    app = owner.deploy(owner.project("survivor", CODE, secrets='{"login": "the-secret-of-0"}'))
    node.kill()
    copy_node_files(node.data, folder / "kept")
    yield node, app
    node.destroy()


def put_back(folder, node):
    for path in (*node.data.glob("msed.*"), node.data / "sim"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(folder / "kept", node.data, dirs_exist_ok=True)
    node.log.unlink(missing_ok=True)


def started(node):
    """Whether it starts, or what it says at its end."""
    try:
        node.start()
    except AssertionError:
        assert node.process.poll() == 1, f"{node.process.poll()}: {node.log.read_text()}"
        return node.log.read_text()
    return STARTS


def test_msed_that_finds_its_files_changed_refuses_by_name_or_starts_and_apps_serve_on(folder, victim):
    node, app = victim
    outside = write_untouched(folder)
    found = {str(path.relative_to(node.data)) for path in (*node.data.iterdir(), *node.data.glob("sim/*"))}
    assert found == set(FILES) | FOLDERS, "a new kind of file: say what becomes of msed when somebody meddles with it"
    enclave = node.enclave_of(app.id)
    for name, (expectations, deeds) in FILES.items():
        for deed in deeds:
            what = f"{name} is {deed}"
            expected = expectations.get(deed, expectations[""])
            put_back(folder, node)
            DEEDS[deed](node.data / name, other=folder / "other" / "data" / name, early=folder / "early" / name, outside=outside)
            result = started(node)
            assert re.search(expected, result), f"{what}: {result}"
            assert not re.search(r"ERROR: \w+Sanitizer|runtime error:", node.log.read_text(errors="replace")), what
            assert outside.read_text() == UNTOUCHED, what
            if node.process.poll() is None:
                node.kill()
            assert app.get("/secret") == "the-secret-of-0" and node.enclave_of(app.id) == enclave, what
    put_back(folder, node)
    node.start()
    mse.wait_until(lambda: app.status()["status"] == "running", what="the status")
    assert app.verify().returncode == 0


def test_collateral_that_was_changed_convinces_nobody(folder, own_node):
    owner = mse.Owner(folder / "owner", own_node)
    app = owner.deploy(owner.project("collateral", CODE, secrets='{"login": "the-secret-of-0"}'))
    for name in ("tcb_info.json", "qe_identity.json", "root_ca.crl", "pck.crl"):
        path = own_node.data / "sim" / name
        kept = path.read_bytes()
        for deed in ("one byte in the middle", "cut in half", "emptied", "a fifo", "gone"):
            DEEDS[deed](path)
            assert app.verify().returncode == 1, f"{name} is {deed}"
            assert app.get("/secret") == "the-secret-of-0"
            DEEDS["gone"](path)
            path.write_bytes(kept)
    assert app.verify().returncode == 0


@pytest.mark.parametrize("deed", ["a fifo", "a folder", "a link to itself"])
def test_a_shims_log_that_is_none_keeps_msed_from_nothing_else(folder, own_node, deed):
    owner = mse.Owner(folder / "owner", own_node)
    app, neighbour = (owner.deploy(owner.project(name, CODE, secrets='{"login": "the-secret-of-0"}')) for name in ("app", "neighbour"))
    log = own_node.app_folder(app.id) / "shim.err"
    DEEDS[deed](log)
    os.kill(own_node.shim_of(app.id), signal.SIGKILL)
    mse.wait_until(lambda: "shim.err" in own_node.log.read_text(), what="the line in the log")
    begun = time.monotonic()
    assert neighbour.stop()["status"] == "stopped" and time.monotonic() - begun < 10 * mse.PATIENCE
    DEEDS["gone"](log)
    mse.wait_until(lambda: app.curl("/secret", check=False).stdout == "the-secret-of-0", 30, "the new shim")


# ---- the runtime and the image, each a copy that may be changed ----

@pytest.fixture(scope="module")
def copied():
    folder = Path("/tmp") / f"mse-copied-{os.getpid()}"
    folder.mkdir(mode=0o755)
    for part in ("bin", "lib"):
        shutil.copytree(mse.PREFIX / part, folder / "prefix" / part, symlinks=True)
    shutil.copytree(mse.STORE / "images" / "mse-flask", folder / "images" / "mse-flask", symlinks=True)
    node = mse.Node(folder / "node", config=f'images = "{folder / "images"}"\n')
    node.bin = folder / "prefix" / "bin"
    node.start()
    owner = mse.Owner(folder / "owner", node)
    app = owner.deploy(owner.project("copied", CODE, secrets='{"login": "the-secret-of-0"}'))
    app.secret = "the-secret-of-0"
    node.kill()
    shim = node.shim_of(app.id)
    os.kill(shim, signal.SIGTERM)
    mse.wait_until(lambda: mse.program_name(shim) != "mse-shim", what="the end of the shim")
    lane = Lane(app, node, folder)
    lane.keep()
    yield folder, lane
    lane.end()
    node.destroy()
    shutil.rmtree(folder)


# Below the image's rootfs; and the file that spares the node from reading the whole image each time, which is not believed when it does not fit.
MATERIALS = {
    "prefix/bin/mse-enclave": {"": "runtime file 'mse-enclave'"},
    "prefix/lib/libmse_python.so": {"": r"runtime file 'libmse_python\.so'"},
    "images/mse-flask/rootfs/usr/lib/os-release": {"": "image 'mse-flask'"},
    "images/mse-flask/digest.cache": {"": SERVES},
}


@pytest.mark.parametrize("name", MATERIALS)
def test_what_an_app_is_made_of_is_refused_by_name_when_it_was_changed(copied, name):
    folder, lane = copied
    path = folder / name
    kept = folder / "kept"
    shutil.copy2(path, kept)
    outside = lane.outside
    for deed in ("one byte in the middle", "cut in half", "a link to itself", "a link elsewhere", "a fifo", "gone", "huge"):
        lane.restore()
        DEEDS[deed](path, outside=outside)
        lane.start()
        lane.expect(MATERIALS[name][""], f"{name} is {deed}")
        lane.end()
        DEEDS["gone"](path)
        shutil.copy2(kept, path)
    lane.restore()
    lane.start()
    lane.expect(SERVES, "everything put back")
    lane.end()
