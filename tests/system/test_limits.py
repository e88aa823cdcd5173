"""An app gets what its plan has, and no more: memory, files in memory, CPU, processes and threads, open files. And nobody else notices."""
import itertools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

import mse

MIB = 1 << 20
numbers = itertools.count()
# A sanitized enclave is several times the size and several times slower.
MEMORY = 192 * mse.PATIENCE
CONFIG = f"""[plans.free]
memory_mib = {MEMORY}
cpus = 0.3
storage_mib = 64
processes = 64
open_files = 256
[plans.other]
memory_mib = {MEMORY}
cpus = 0.3
storage_mib = 64
threads = 4
processes = 64
"""

BOMBS = {"app.py": '''import os
import threading
import time
from flask import Flask
app = Flask(__name__)
hoard = []

@app.route("/health")
def health():
    return "healthy"

@app.route("/memory")
def memory():
    while True:
        hoard.append(b"x" * (4 << 20))

@app.route("/tmp")
def tmp():
    number = 0
    while True:
        for folder in ("/tmp", "/mse-app", "/dev/shm"):
            try:
                with open(f"{folder}/{number}", "wb") as file:
                    file.write(b"x" * (4 << 20))
            except OSError:
                pass
        hoard.append(b"x" * (1 << 20))
        number += 1

@app.route("/spin")
def spin():
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pass
    return "spun"

@app.route("/threads")
def threads():
    done = threading.Event()
    started = 0
    try:
        for _ in range(1000):
            threading.Thread(target=done.wait, daemon=True).start()
            started += 1
    except RuntimeError as error:
        return f"{started} {error}"
    finally:
        done.set()
    return f"{started} all"

@app.route("/files")
def files():
    opened = []
    try:
        while True:
            opened.append(open("/dev/null"))
    except OSError as error:
        return f"{len(opened)} {error.strerror}"
'''}

MEMORY_AT_IMPORT = {"app.py": "from flask import Flask\napp = Flask(__name__)\nhoard = []\nwhile True:\n    hoard.append(b'x' * (4 << 20))\n"}


def hierarchies():
    """Where groups are, by controller: as the machine has them."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        point, kind, options = fields.split()[4], tail.split()[0], tail.split()[2].split(",")
        if kind == "cgroup2" and {"memory", "cpu", "pids"} <= set(Path(point, "cgroup.controllers").read_text().split()):
            return dict.fromkeys(("memory", "cpu", "pids"), Path(point) / "mse")
        for controller in ("memory", "cpu", "pids"):
            if kind == "cgroup" and controller in options:
                found[controller] = Path(point) / "mse"
    return found


TREES = hierarchies()
V2 = len(set(TREES.values())) == 1


def group(app, controller, part="", base=None):
    return (base or TREES)[controller] / app.id[:12] / part


def processes_of(app, part="enclave"):
    return [int(pid) for pid in (group(app, "pids", part) / "cgroup.procs").read_text().split()]


def quota(app):
    """Thousandths of a CPU."""
    if V2:
        allowed, period = (group(app, "cpu") / "cpu.max").read_text().split()
    else:
        allowed, period = ((group(app, "cpu") / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return int(allowed) * 1000 // int(period)


def enclave(app):
    return next(pid for pid in processes_of(app) if mse.program_name(pid) == "mse-enclave")


def is_gone(app):
    return not any(group(app, controller).exists() for controller in TREES)


@pytest.fixture(scope="module")
def node():
    path = Path(subprocess.check_output(["mktemp", "-d", "/tmp/mse-node-XXXXXX"], text=True).strip())
    started = mse.Node(path, CONFIG).start()
    yield started
    started.destroy()
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def owner(folder, node):
    return mse.Owner(folder / "owner", node)


@pytest.fixture
def app(owner):
    deployed = owner.deploy(owner.project(f"bombs-{next(numbers)}", BOMBS))
    yield deployed
    deployed.stop()


def await_reason(app):
    mse.wait_until(lambda: app.status()["status"] == "on_error", 60, "the end")
    return app.status()["reason"]


def test_the_enclave_and_its_loader_are_in_the_group_with_the_plans_limits(app):
    names = {mse.program_name(pid) for pid in processes_of(app)}
    assert names == {"mse-enclave", "bwrap"}
    assert processes_of(app, "helpers") == [] or "mse-enclave" not in map(mse.program_name, processes_of(app, "helpers"))
    memory = group(app, "memory", "enclave")
    assert int((memory / ("memory.max" if V2 else "memory.limit_in_bytes")).read_text()) == MEMORY * MIB
    swap = memory / ("memory.swap.max" if V2 else "memory.memsw.limit_in_bytes")
    if swap.exists():
        assert int(swap.read_text()) == (0 if V2 else MEMORY * MIB)
    assert int((group(app, "pids", "enclave") / "pids.max").read_text()) == 64 + 2
    mse.wait_until(lambda: quota(app) == 300, what="the end of the boost")
    limits = Path(f"/proc/{enclave(app)}/limits").read_text()
    assert re.search(r"Max open files\s+256\s+256\s", limits)
    assert app.status()["limits"]["memory"] == MEMORY * MIB and "limits" not in [weakness["name"] for weakness in app.status()["weaker"]]


@pytest.mark.parametrize("path", ["/memory", "/tmp"])
def test_out_of_memory_ends_that_app_alone_and_its_owner_reads_why(owner, app, path):
    neighbour = owner.deploy(owner.project(f"neighbour-{path[1:]}", BOMBS))
    before = neighbour.status()
    app.curl(path, "--max-time", "60", check=False, timeout=90)
    assert await_reason(app) == f"out of memory: the app used more than its {MEMORY} MiB"
    assert "out of memory" in app.owner.mse("status", app.id, check=True).stdout
    assert app.status()["restarts"] == 0
    after = neighbour.status()
    assert (after["status"], after["restarts"]) == ("running", before["restarts"])
    assert neighbour.get("/health") == "healthy"
    neighbour.stop()


def test_out_of_memory_at_its_start_is_what_the_deployment_says(owner):
    folder = owner.project("hungry", MEMORY_AT_IMPORT)
    result = owner.mse("deploy", "--path", folder / "mse.toml", "-y", "--trust-image", mse.image_digest(), timeout=90)
    assert result.returncode == 1 and f"out of memory: the app used more than its {MEMORY} MiB" in result.stderr
    owner.mse("stop", "hungry", check=True)


def test_a_busy_app_gets_its_share_of_a_cpu_and_no_more(app):
    mse.wait_until(lambda: quota(app) == 300, what="the end of the boost")
    spinning = [subprocess.Popen(["curl", "-sS", "--cacert", app.certificate, app.url + "/spin"], stdout=subprocess.DEVNULL) for _ in range(3)]
    try:
        time.sleep(0.5)
        used, begun = mse.cpu_seconds(enclave(app)), time.monotonic()
        time.sleep(3)
        used, passed = mse.cpu_seconds(enclave(app)) - used, time.monotonic() - begun
    finally:
        for process in spinning:
            process.wait(timeout=60 * mse.PATIENCE)
    # 0.3, with a period's quota on either side. Nothing is said of how little it may be: the machine has others to serve.
    assert used <= 0.3 * passed + 0.1, f"{used} s of CPU in {passed} s"


def test_a_thread_bomb_meets_the_plans_number_and_the_app_lives(app):
    started, _, error = app.get("/threads").partition(" ")
    assert 20 < int(started) < 64 and "start new thread" in error
    assert app.get("/health") == "healthy"


def test_a_descriptor_bomb_meets_the_plans_number_and_the_app_lives(app):
    opened, _, error = app.get("/files").partition(" ")
    assert 100 < int(opened) < 256 and error == "Too many open files"
    assert app.get("/health") == "healthy"


def test_the_groups_go_with_the_app(owner):
    app = owner.deploy(owner.project("short", BOMBS))
    assert group(app, "memory").exists()
    app.stop()
    assert is_gone(app)


def test_a_killed_shims_groups_are_taken_over_by_the_next(app, node):
    before, shim = enclave(app), node.shim_of(app.id)
    os.kill(shim, signal.SIGKILL)
    mse.wait_until(lambda: node.shim_of(app.id) not in (None, shim) and app.curl("/health", check=False).stdout == "healthy", 60, "the next shim")
    assert enclave(app) != before
    assert int((group(app, "pids", "enclave") / "pids.max").read_text()) == 64 + 2
    assert {mse.program_name(pid) for pid in processes_of(app)} == {"mse-enclave", "bwrap"}


def test_groups_of_a_shim_that_was_killed_go_when_its_app_is_stopped(owner, own_node):
    owner = mse.Owner(own_node.folder / "owner", own_node)
    app = owner.deploy(owner.project("left", BOMBS))
    shim = own_node.shim_of(app.id)
    own_node.kill()
    os.kill(shim, signal.SIGKILL)
    mse.wait_until(lambda: own_node.shim_of(app.id) is None, what="the shim's end")
    assert group(app, "memory").exists()
    own_node.start()
    app.stop()
    assert is_gone(app)


def test_another_plan_is_asked_for_by_name_and_one_that_is_not_there_is_refused(owner):
    folder = owner.project("planned", BOMBS)
    text = (folder / "mse.toml").read_text()
    (folder / "mse.toml").write_text(text.replace('"free"', '"other"'))
    app = owner.deploy(folder)
    assert app.status()["plan"] == "other" and app.status()["limits"]["threads"] == 4
    app.stop()
    (folder / "mse.toml").write_text(text.replace('"free"', '"gold"'))
    result = owner.mse("deploy", "--path", folder / "mse.toml", "-y")
    assert result.returncode == 1 and "no plan 'gold'" in result.stderr


# ---- who may make groups ----

USER = 54322
WITHOUT = ["unshare", "--mount", "sh", "-c", "umount -R /sys/fs/cgroup && exec \"$@\"", "sh"]


def try_to_serve(folder, config, before=(), **options):
    """msed's output, and whether it came up; it is ended in either case."""
    folder.mkdir(exist_ok=True)
    path = folder / "msed.toml"
    path.write_text(config)
    process = subprocess.Popen([*map(str, before), mse.BIN / "msed", "--data", folder / "data", "--listen", f"unix:{folder}/msed.sock", "--config", path],
                               stderr=subprocess.PIPE, text=True, **options)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "listening on" in line:
            process.terminate()
    return process.wait(timeout=20 * mse.PATIENCE), "".join(lines)


def test_a_machine_without_groups_is_refused_with_what_to_do(folder):
    status, said = try_to_serve(folder, "", WITHOUT)
    assert status == 1 and "gives no control groups for memory, CPU and processes" in said
    assert "mount cgroup2 at /sys/fs/cgroup" in said and "insecure_unlimited" in said
    assert not (folder / "data").exists()


def test_a_machine_without_groups_is_announced_where_the_configuration_allows_it(folder):
    status, said = try_to_serve(folder, "[limits]\ninsecure_unlimited = true\n", WITHOUT)
    assert status == 0 and "apps are weaker here than they should be: no limits of memory, CPU and processes" in said


def test_where_there_are_groups_the_permission_changes_nothing(folder):
    status, said = try_to_serve(folder, "[limits]\ninsecure_unlimited = true\n")
    assert status == 0 and "no limits of memory" not in said


@pytest.fixture
def delegated():
    """Groups that root has given to an ordinary user: where his msed is started."""
    name = f"mse-test-{os.getpid()}"
    bases = {controller: tree.parent / name for controller, tree in TREES.items()}
    for base in set(bases.values()):
        base.mkdir()
        for path in (base, base / "cgroup.procs", *([base / "cgroup.subtree_control"] if V2 else [])):
            os.chown(path, USER, USER)
    yield bases
    for base in set(bases.values()):
        for path in sorted(base.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        base.rmdir()


def test_an_ordinary_users_node_uses_the_groups_that_were_delegated_to_him(folder, delegated):
    def enter():
        for base in set(delegated.values()):
            (base / "cgroup.procs").write_text("0")

    folder.chmod(0o755)
    (folder / "node").mkdir()
    os.chown(folder / "node", USER, USER)
    status, said = try_to_serve(folder / "node", "", preexec_fn=enter, user=USER, group=USER, extra_groups=[])
    assert status == 0 and "no limits of memory" not in said, said
    for base in set(delegated.values()):
        assert (base / "mse").is_dir() and (base / "mse").stat().st_uid == USER
