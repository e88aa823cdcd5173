"""An app's $HOME: on the node's disk, encrypted, of the plan's size; kept while the app lives, gone with it."""
import itertools
import json
import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest

import mse

STORAGE_MIB = 32
PLAN = f"[plans.free]\nstorage_mib = {STORAGE_MIB}\n"
NUMBERS = itertools.count()
PLAINTEXT = b"plaintext-that-nobody-else-is-to-read-" * 20


@pytest.fixture(scope="module")
def node():
    started = mse.Node(Path("/tmp") / f"mse-storage-{os.getpid()}", PLAN).start()
    yield started
    started.destroy()
    subprocess.run(["rm", "-rf", started.folder], check=True)


@pytest.fixture
def node_without(tmp_path):
    """A node on a machine on which a program is not what it should be."""
    made = []

    def make(program):
        node = mse.Node(Path("/tmp") / f"mse-storage-without-{os.getpid()}", PLAN)
        made.append(node)
        node.bin = tmp_path
        (tmp_path / "msed").write_text(f"""#!/bin/sh
exec unshare --mount --propagation slave sh -c 'mount --bind /dev/null {program} && exec {mse.BIN}/msed "$@"' sh "$@"
""")
        (tmp_path / "msed").chmod(0o755)
        return node.start()
    yield make
    for node in made:
        node.destroy()
        subprocess.run(["rm", "-rf", node.folder], check=True)


def deploy(owner):
    return owner.deploy(owner.project(f"storage{next(NUMBERS)}", "storage"))


@pytest.fixture(scope="module")
def shared(node):
    """One app for the tests that leave it as it was."""
    app = deploy(mse.Owner(node.folder / "owner-of-one", node))
    yield app
    app.stop()


def disk(node, app):
    return node.app_folder(app.id) / "storage" / "disk"


def put(app, name, data):
    answer = subprocess.run(["curl", "-sS", "--cacert", app.certificate, "--data-binary", "@-", f"{app.url}/put/{name}"], input=data,
                            capture_output=True, timeout=60 * mse.PATIENCE)
    assert answer.stdout == b"kept", answer


def get(app, name):
    return app.curl(f"/get/{name}", text=False).stdout


def comes_back(node, app, before):
    mse.wait_until(lambda: node.enclave_of(app.id) not in (None, before) and app.curl("/health", check=False).stdout == "healthy", 40, "the restart")


def loop_devices():
    """Backing files, as the kernel names them; those of apps are all called the same."""
    return sorted(device.name for device in Path("/sys/block").glob("loop*") if (device / "loop/backing_file").exists()
                  and (device / "loop/backing_file").read_text().strip() == "/disk")


def test_it_works_as_ext4_does(shared):
    lines = shared.get("/works").splitlines()
    assert len(lines) >= 9 and all(line.endswith(": works") for line in lines), lines


@pytest.mark.parametrize("seed", range(4))
def test_any_operation_after_any_other_gives_what_it_must(shared, seed):
    assert shared.curl(f"/random/{seed}/{600 if mse.SANITIZED else 1500}", timeout=120).stdout == "as it must be"


def test_a_write_beyond_the_plan_gets_enospc_and_room_that_is_freed_is_there_again(shared):
    for _ in range(2):
        came = json.loads(shared.curl("/fill", timeout=120).stdout)
        assert came["error"] == "ENOSPC"
        # What ext4 needs for itself comes off it; nothing ever exceeds it.
        assert STORAGE_MIB * 0.7 < came["written"] / (1 << 20) < STORAGE_MIB
    assert shared.get("/health") == "healthy"


def test_so_does_one_file_too_many_while_there_is_room(shared):
    for _ in range(2):
        came = json.loads(shared.curl("/files", timeout=120).stdout)
        assert came["error"] == "ENOSPC" and came["left"] == 0 and came["room"] > 0
        # One for each 16 KiB.
        assert came["inodes"] == STORAGE_MIB * 64 and came["count"] > came["inodes"] * 0.9
    assert shared.get("/health") == "healthy"


def test_all_of_it_is_set_aside_on_the_nodes_disk(node, shared):
    status = disk(node, shared).stat()
    assert status.st_size <= status.st_blocks * 512 and STORAGE_MIB << 20 <= status.st_size < (STORAGE_MIB + 1) << 20
    assert status.st_mode & 0o077 == 0 and status.st_uid == os.stat(f"/proc/{node.enclave_of(shared.id)}").st_uid


def test_a_deployment_without_room_on_the_disk_is_refused_with_what_to_do(folder):
    free = os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_frsize >> 20
    node = mse.Node(folder / "node", f"[plans.free]\nstorage_mib = {free}\n").start()
    try:
        owner = mse.Owner(folder / "owner", node)
        result = owner.mse("deploy", "--path", owner.project("large", "storage") / "mse.toml", "-y", "--trust-image", mse.image_digest())
        assert result.returncode == 1 and "no room for the storage of the plan 'free'" in result.stderr and "stop an app" in result.stderr
        assert list((node.data / "apps").iterdir()) == []
    finally:
        node.destroy()


@pytest.mark.parametrize("victim", ["enclave", "gocryptfs", "shim"])
def test_what_was_committed_is_there_after_a_kill(owner, node, victim):
    app = deploy(owner)
    chance = random.Random(victim)
    acknowledged, number = [], 0
    for _ in range(2):
        enclave, shim = node.enclave_of(app.id), node.shim_of(app.id)
        stop = threading.Event()

        def commit():
            nonlocal number
            while not stop.is_set():
                number += 1
                if app.curl(f"/commit/{number}", check=False).stdout == "committed":
                    acknowledged.append(number)
                else:
                    return

        before = len(acknowledged)
        thread = threading.Thread(target=commit)
        thread.start()
        mse.wait_until(lambda: len(acknowledged) > before + chance.randrange(5, 30), 60, "some commits")
        pid = {"enclave": enclave, "shim": shim, "gocryptfs": next(pid for pid in mse.children(shim) if mse.program_name(pid) == "gocryptfs")}[victim]
        os.kill(pid, signal.SIGKILL)
        thread.join()
        stop.set()
        comes_back(node, app, enclave)
        there = set(json.loads(app.get("/committed")))
        assert set(acknowledged) <= there
        # One more may have been committed and not acknowledged, at each kill.
        assert there <= set(range(1, number + 1))
    app.stop()


def test_a_stop_leaves_nothing_of_it(owner, node):
    before = loop_devices()
    app = deploy(owner)
    shim = node.shim_of(app.id)
    family = mse.descendants(shim)
    assert any(mse.program_name(pid) == "gocryptfs" for pid in family) and len(loop_devices()) == len(before) + 1
    put(app, "file", PLAINTEXT)
    app.stop()
    mse.wait_until(lambda: loop_devices() == before and not any(Path(f"/proc/{pid}").exists() for pid in [shim, *family]), what="the end of all of it")
    left = {path.name for path in node.app_folder(app.id).iterdir()}
    assert not left & {"storage", "storage.lock", "sealed", "bundle"}, left
    assert str(app.id) not in Path("/proc/self/mountinfo").read_text()


def test_nothing_is_mounted_on_the_host(node, shared):
    assert shared.id not in Path("/proc/self/mountinfo").read_text() and "gocryptfs" not in Path("/proc/self/mountinfo").read_text()


def test_the_nodes_disk_shows_neither_content_nor_names(owner, node):
    apps = [deploy(owner) for _ in range(2)]
    for app in apps:
        put(app, "name-that-nobody-knows", PLAINTEXT)
    for app in apps:
        data = disk(node, app).read_bytes()
        assert b"plaintext-that" not in data and b"name-that-nobody-knows" not in data and b"lost+found" not in data
    assert disk(node, apps[0]).read_bytes()[18:] != disk(node, apps[1]).read_bytes()[18:]
    for app in apps:
        app.stop()


def test_the_key_is_in_no_argument_and_no_variable(node, shared):
    gocryptfs = next(pid for pid in mse.children(node.shim_of(shared.id)) if mse.program_name(pid) == "gocryptfs")
    status = Path(f"/proc/{gocryptfs}/status").read_text()
    assert Path(f"/proc/{gocryptfs}/environ").read_bytes() == b""
    assert "-masterkey=stdin" in Path(f"/proc/{gocryptfs}/cmdline").read_text().split("\0")
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
    assert f"Uid:\t{os.stat(f'/proc/{node.enclave_of(shared.id)}').st_uid}\t" in status
    for namespace in ("mnt", "net", "ipc"):
        assert os.stat(f"/proc/{gocryptfs}/ns/{namespace}").st_ino != os.stat(f"/proc/self/ns/{namespace}").st_ino


def test_another_version_of_the_same_app_begins_with_an_empty_home(owner, node):
    folder = owner.project("versions", "storage")
    app = owner.deploy(folder)
    fresh = json.loads(app.get("/list"))
    put(app, "left", PLAINTEXT)
    assert set(fresh) == {".cache", ".cache/mse", ".tmp"}
    again = owner.deploy(folder)
    assert json.loads(again.get("/list")) == fresh
    again.stop()


def written_blocks(path, before):
    """Offsets of the encrypted file's blocks that differ."""
    after = path.read_bytes()
    return [at for at in range(18, len(after), 4128) if before[at:at + 4128] != after[at:at + 4128]]


def test_changed_blocks_give_errors_and_never_other_data(owner, node):
    app = deploy(owner)
    content = random.Random(1).randbytes(1 << 20)
    before = disk(node, app).read_bytes()
    put(app, "file", content)
    assert get(app, "file") == content
    blocks = written_blocks(disk(node, app), before)
    assert len(blocks) > 256
    with disk(node, app).open("r+b") as file:
        for at in blocks:
            for place in (at + 7, at + 2000):
                file.seek(place)
                byte = file.read(1)
                file.seek(place)
                file.write(bytes([byte[0] ^ 0x10]))
    # Whatever is still read is what was written, and the app is restarted or refused, never wrong.
    got = app.curl("/get/file", check=False, text=False).stdout
    assert got in (b"EIO", b"") or got == content
    assert got != content, "it was read from memory"
    app.stop()


@pytest.mark.parametrize("damage", ["garbled", "short", "empty", "missing", "link", "fifo", "folder", "exchanged"])
def test_an_app_whose_storage_was_meddled_with_is_on_error_and_can_be_stopped(owner, node, damage):
    app = deploy(owner)
    other = deploy(owner) if damage == "exchanged" else None
    path = disk(node, app)
    shim = node.shim_of(app.id)
    # While msed is told to leave it alone, nobody uses the file.
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        os.kill(shim, signal.SIGKILL)
        mse.wait_until(lambda: not any(mse.program_name(pid) == "gocryptfs" and os.stat(f"/proc/{pid}").st_uid == path.stat().st_uid
                                       for pid in mse.processes("gocryptfs")), what="the end of gocryptfs")
        if damage == "garbled":
            with path.open("r+b") as file:
                for at in range(18, 18 + 300 * 4128, 4128):
                    file.seek(at + 100)
                    file.write(b"garbled")
        elif damage == "short":
            os.truncate(path, path.stat().st_size // 2)
        elif damage == "empty":
            os.truncate(path, 0)
        elif damage == "exchanged":
            uid = path.stat().st_uid
            path.write_bytes(disk(node, other).read_bytes())
            os.chown(path, uid, uid)
        else:
            path.unlink()
            if damage == "link":
                path.symlink_to("/etc/passwd")
            elif damage == "fifo":
                os.mkfifo(path)
                os.chmod(path, 0o666)
            elif damage == "folder":
                path.mkdir(0o777)
    finally:
        os.kill(node.process.pid, signal.SIGCONT)
    mse.wait_until(lambda: app.status()["status"] == "on_error", 60, "on_error")
    assert app.status()["reason"].startswith("the app's storage cannot be opened: ")
    app.stop()
    if other is not None:
        assert other.get("/health") == "healthy"
        other.stop()


@pytest.mark.parametrize("program", ["/usr/bin/gocryptfs", "/usr/sbin/mke2fs"])
def test_the_owner_is_told_that_storage_cannot_be_had(node_without, program):
    node = node_without(program)
    owner = mse.Owner(node.folder / "owner", node)
    result = owner.mse("deploy", "--path", owner.project("unlucky", "storage") / "mse.toml", "-y", "--trust-image", mse.image_digest())
    assert result.returncode != 0
    assert "the app's storage cannot be opened" in result.stderr
