"""What is measured from the host while an attack runs, where its own report would prove nothing. One context manager an attack, by its name;
the attempts are made where it yields."""
import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mse
import world as worlds

watches = {}


def watching(name):
    def add(function):
        watches[name] = contextlib.contextmanager(function)
        return function
    return add


@contextlib.contextmanager
def nothing_more(world, attacker, given):
    yield


def watch(name):
    return watches.get(name, nothing_more)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@watching("escapes/descriptors_sent")
def shim_holds_nothing(world, attacker, given):
    before = descriptors(attacker.shim)
    yield
    assert abs(descriptors(attacker.shim) - before) <= 2
    assert world.node.shim_of(attacker.app.id) == attacker.shim


@watching("escapes/core_dump")
def no_core_file(world, attacker, given):
    yield
    attacker.crash("/crash")
    attacker.wait_for_restart()
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii")
    folders = [world.node.app_folder(attacker.app.id), Path("/"), Path("/tmp"), Path(pattern).parent if pattern.startswith("/") else Path("/var/tmp")]
    cores = [path for folder in folders for path in folder.glob("*core*") if path.is_file() and path.stat().st_uid in (attacker.uid, 0) and path.stat().st_size > 1 << 20]
    assert cores == []
    attacker.alive()


@watching("keys/sealing_key_after_restart")
def restarted_first(world, attacker, given):
    attacker.crash("/crash")
    attacker.wait_for_restart()
    yield


@watching("keys/protocol")
def ended_and_restarted(world, attacker, given):
    yield
    for path in ("/unknown", "/giant"):
        attacker.crash(path)
        attacker.wait_for_restart()
    assert world.node.shim_of(attacker.app.id) == attacker.shim


@watching("keys/storage_key")
def storage_stays_as_it_was(world, attacker, given):
    yield
    attacker.ask("/write")
    for path in ("/fresh", "/existing"):
        attacker.crash(path)
        attacker.wait_for_restart()
        assert attacker.ask("/read") == "content"


@watching("keys/overwritten_state")
def does_not_come_back(world, attacker, given):
    yield
    os.kill(attacker.enclave, signal.SIGKILL)
    mse.wait_until(lambda: attacker.app.status()["status"] == "on_error", 40, "the failure")
    assert "sealed state" in attacker.app.status()["reason"]


@watching("storage/earlier_version")
def deployed_anew(world, attacker, given):
    left = attacker.ask("/leave")
    assert {"/root", "/tmp", "/mse-app"} <= set(left)
    older = attacker.app.id
    world.deploy_again(attacker)
    assert attacker.app.id != older
    yield


def searched(folder, texts):
    """Files whose name or content has one of the texts; what is on the disk, and not what somebody has mounted over it."""
    found = []
    for path in Path(folder).rglob("*"):
        if any(text in os.fsencode(path) for text in texts):
            found.append(path)
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                rest = b""
                while block := file.read(1 << 22):
                    if any(text in rest + block for text in texts):
                        found.append(path)
                        break
                    rest = block[-100:]
    return found


@watching("storage/plaintext_on_disk")
def nothing_on_the_disk(world, attacker, given):
    texts = (b"content-that-nobody-must-read", b"name-that-nobody-must-read")
    assert attacker.ask("/write") == "written"
    # This folder's disk alone: others' may be slow.
    subprocess.run(["sync", "--file-system", world.node.data], check=True)
    folder = world.node.app_folder(attacker.app.id)
    assert searched(world.node.data, texts) == []
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > worlds.STORAGE_MIB << 19
    yield
    attacker.app.stop()
    mse.wait_until(lambda: not (folder / "storage").exists(), 20, "the end of the storage")
    assert searched(world.node.data, texts) == []
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1 << 22


def out_of_memory(world, attacker, given):
    yield
    attacker.crash("/bomb")
    mse.wait_until(lambda: attacker.app.status()["status"] == "on_error", 60, "the end of the app")
    assert "memory" in attacker.app.status()["reason"]
    assert world.node.shim_of(attacker.app.id) == attacker.shim


watching("bombs/memory")(out_of_memory)
watching("bombs/memory_files")(out_of_memory)


@watching("bombs/disk")
def no_more_than_its_share(world, attacker, given):
    folder = world.node.app_folder(attacker.app.id)

    def taken():
        return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    before = taken()
    yield
    assert taken() <= before + (2 << 20), "the room was reserved"


@watching("bombs/log")
def log_stays_small(world, attacker, given):
    yield
    folder = world.node.app_folder(attacker.app.id)
    limit = json.loads((folder / "shim.json").read_text())["log_size"]
    assert sum(path.stat().st_size for path in folder.glob("*") if path.is_file() and path.name.startswith(("log", "shim"))) < 3 * limit


@watching("bombs/cpu")
def others_have_their_turn(world, attacker, given):
    yield
    attacker.ask("/bomb")
    # What was saved up is used up first.
    time.sleep(1)
    cpu, began = mse.cpu_seconds(attacker.enclave), time.monotonic()
    for _ in range(10):
        asked = time.monotonic()
        assert world.neighbour.get("/") == "all is quiet"
        world.node.get("/v1/node")
        assert time.monotonic() - asked < 5 * mse.PATIENCE
        time.sleep(0.2)
    share = (mse.cpu_seconds(attacker.enclave) - cpu) / (time.monotonic() - began)
    assert share < worlds.CPUS * 1.3 + 0.1, f"{share:.2f} cores, and the plan gives {worlds.CPUS}"
    mse.wait_until(attacker.answers, 30, "an answer after the bomb")


@watching("bombs/stack")
def comes_back(world, attacker, given):
    yield
    attacker.crash("/crash")
    attacker.wait_for_restart()


@watching("bombs/restarts")
def stays_down(world, attacker, given):
    yield
    budget = json.loads((world.node.app_folder(attacker.app.id) / "shim.json").read_text())["restart_failures"]
    for _ in range(budget + 2):
        attacker.crash("/end")
        mse.wait_until(lambda: attacker.answers() or attacker.app.status()["status"] == "on_error", 30, "a restart, or the end of them")
        if attacker.app.status()["status"] == "on_error":
            break
    assert attacker.app.status()["status"] == "on_error" and attacker.app.status()["reason"]
    assert world.node.shim_of(attacker.app.id) == attacker.shim


@watching("bombs/never_ends")
def is_stopped_in_time(world, attacker, given):
    yield
    time.sleep(1)
    began = time.monotonic()
    attacker.app.stop()
    mse.wait_until(lambda: mse.program_name(attacker.enclave) != "mse-enclave", 20, "the end of the enclave")
    assert time.monotonic() - began < 20 * mse.PATIENCE


@watching("bombs/compressed_body")
def arrives_as_it_was_sent(world, attacker, given):
    yield
    packed = gzip.compress(bytes(64 << 20))
    file = world.folder / "packed"
    file.write_bytes(packed)
    answer = json.loads(attacker.app.curl("/", "-H", "Content-Encoding: gzip", "-H", "Content-Type: text/plain", "--data-binary", f"@{file}").stdout)
    assert answer == [len(packed), "gzip"]
    attacker.alive()


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@watching("bombs/endless_answer")
def ends_with_the_connection(world, attacker, given):
    yield
    before = resident(attacker.enclave)
    for _ in range(worlds.THREADS * 2):
        result = attacker.app.curl("/endless", "--max-time", "0.5", "--limit-rate", "100k", "-o", "/dev/null", check=False)
        assert result.returncode == 28
    mse.wait_until(attacker.answers, 20, "a free thread")
    assert resident(attacker.enclave) - before < 32 << 20
    attacker.alive()


@watching("bombs/channel")
def shim_keeps_its_size(world, attacker, given):
    before = resident(attacker.shim)
    yield
    assert resident(attacker.shim) - before < 48 << 20
    assert world.node.shim_of(attacker.app.id) == attacker.shim


def told(attacker):
    return attacker.ask("/came", check=False) or {}


@watching("egress/inherited_socket")
def no_connection_from_the_node(world, attacker, given):
    yield
    for target in ("loopback", "closed port", "metadata"):
        before = len(world.net.seen())
        attacker.ask("/attack", check=False, target=target, timeout=1, **given)
        came = mse.wait_until(lambda: told(attacker).get(target, "under way") != "under way" and told(attacker)[target], 20, "the attempt")
        # It is tied to the loopback interface, which leads nowhere beyond.
        assert came == "timeout", f"{target}: {came}"
        assert not any("169.254" in line for line in world.net.seen()[before:])
    assert world.net.hits == []
    attacker.alive()


@watching("egress/bound_anew")
def nobody_outside_is_answered(world, attacker, given):
    yield
    for address in (given["node"], "127.0.0.2"):
        attacker.ask("/attack", check=False, address=address, timeout=1, **given)
        came = mse.wait_until(lambda: told(attacker).get(address), 20, "the attempt")
        # Being bound is not to be prevented; being reached is, from the node itself and from the outside.
        assert came == f"listens at {address} {attacker.app.port}"
        connect = f"import socket; socket.create_connection(({address!r}, {attacker.app.port}), 2)"
        for place in ([], ["nsenter", "--target", world.net.process.pid, "--net"]):
            assert mse.run([*place, sys.executable, "-c", connect]).returncode != 0, f"the app has answered at {address}"
    attacker.alive()


@watching("bombs/socket_buffers")
def sockets_hold_what_the_plan_gives(world, attacker, given):
    # What all sockets of the machine hold: the kernel does not tell it by namespace.
    def held():
        lines = Path("/proc/net/sockstat").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith(("TCP:", "UDP:"))) * os.sysconf("SC_PAGE_SIZE")
    yield
    for kind in ("tcp", "udp"):
        before = held()
        assert attacker.ask("/bomb", kind=kind) > 300, "the bomb has not gone off"
        # A buffer's first page is given in any case.
        assert held() - before < worlds.MEMORY_MIB << 20, f"{kind}: {held() - before} bytes"
        attacker.ask("/let_go")
    attacker.alive()


@watching("bombs/connections")
def kernel_keeps_few_of_them(world, attacker, given):
    def kept():
        folder = Path(f"/proc/{attacker.shim}/fd")
        counts = [mse.run(["nsenter", f"--net={path}", "cat", "/proc/sys/net/netfilter/nf_conntrack_count"], check=True).stdout
                  for path in folder.iterdir() if os.readlink(path).startswith("net:")]
        assert len(counts) == 2
        return max(map(int, counts))
    yield
    assert attacker.ask("/bomb", **given) == 60000
    assert 10000 < kept() < 17000
    attacker.alive()


@watching("egress/names")
def no_question_leaves(world, attacker, given):
    yield
    assert not any("the-secret-in-a-name" in line for line in world.net.seen())


@watching("egress/none")
def nothing_arrives(world, attacker, given):
    before = len(world.net.seen())
    yield
    assert world.net.seen()[before:] == []
