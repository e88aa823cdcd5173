"""What an application cannot do, and what the host does not see."""
import json
import re
import subprocess
from pathlib import Path

import pytest

import mse
from test_refused import CODE, PLAINTEXTS, SECRET


def test_no_way_to_start_a_process_works_and_the_app_lives_on(owner, node):
    app = owner.deploy(owner.project("processes", "processes"))
    enclave = node.enclave_of(app.id)
    lines = app.get("/").splitlines()
    assert len(lines) > 15
    # The C library's own system() has no other way to say it than the status of a shell that could not be started.
    assert all(re.search(r": (PermissionError|OSError|BlockingIOError)", line) for line in lines), lines
    by_audit = [line for line in lines if line.startswith(("os.fork:", "os.system:", "subprocess.run:", "os.posix_spawn:", "os.execv:"))]
    assert len(by_audit) == 5 and all("no-new-process" in line for line in by_audit), by_audit
    assert app.get("/children").strip() == "no children"
    assert node.enclave_of(app.id) == enclave, "the enclave is the one that it was"
    assert mse.children(enclave) == []
    assert app.status_code("/health") == 200
    app.stop()


def test_nothing_that_the_node_stores_receives_or_logs_is_plaintext(folder):
    """Code, names of files, secrets and output of an application, looked for in everything of the node's."""
    node = mse.Node(folder / "node").start()
    try:
        owner = mse.Owner(folder / "owner", node)
        code = {**CODE, "a-very-private-name.txt": "the-content-of-a-file", "deep/folder-that-nobody-knows/x.py": "# nothing"}
        code["app.py"] += '\n\n@app.route("/print")\ndef output():\n    print("what-the-app-printed", flush=True)\n    return "answer-of-the-app"\n'
        app = owner.deploy(owner.project("searched", code, secrets=SECRET))
        assert app.get("/print?query-of-a-user", "-H", "Cookie: cookie-of-a-user") == "answer-of-the-app"
        mse.wait_until(lambda: "what-the-app-printed" in app.logs(), what="the log")
        private = [*PLAINTEXTS, b"a-very-private-name", b"the-content-of-a-file", b"folder-that-nobody-knows", b"what-the-app-printed",
                   b"answer-of-the-app", b"query-of-a-user", b"cookie-of-a-user", b"app:app"]

        def search():
            found = []
            for path in (folder / "node").rglob("*"):
                if path.is_file() and not path.is_symlink():
                    data = str(path).encode() + path.read_bytes()
                    found += [(path, text) for text in private if text in data]
            return found

        assert (folder / "node" / "data" / "apps" / app.id / "log").stat().st_size > 0
        assert search() == []
        for pid in [node.process.pid, node.shim_of(app.id), *mse.descendants(node.shim_of(app.id))]:
            for file in ("cmdline", "environ"):
                data = Path(f"/proc/{pid}/{file}").read_bytes()
                assert not any(text in data for text in private)
        app.stop()
        assert search() == []
    finally:
        node.destroy()


def test_the_enclave_runs_as_nobody_of_the_hosts_without_capabilities_and_with_a_filter(owner, node):
    apps = [owner.deploy(owner.project(f"walls{number}", CODE, secrets=SECRET)) for number in range(2)]
    uids = set()
    for app in apps:
        status = Path(f"/proc/{node.enclave_of(app.id)}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        uids.add(fields["Uid"].split()[0])
        assert fields["Uid"].split()[0] not in ("0", "65534")
        assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1"
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert len(uids) == 2, "each app has a user of its own"
    for app in apps:
        app.stop()


ALONE = '''import os
from flask import Flask
app = Flask(__name__)

@app.route("/health")
def health():
    return "healthy"

@app.route("/")
def others():
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return "\\n".join(open(f"/proc/{pid}/comm").read().strip() for pid in pids if pid != os.getpid())
'''


def test_no_process_of_the_loader_is_left_for_an_app_to_take_over(owner, node):
    """One of the same user without the enclave's filter would be a way to start programs: its memory is a file."""
    app = owner.deploy(owner.project("alone", {"app.py": ALONE}))
    assert app.get("/") == ""
    enclave = node.enclave_of(app.id)
    assert Path(f"/proc/{enclave}/status").read_text().split("NSpid:\t")[1].split("\n")[0].split()[1:] == ["1"]
    app.stop()


def test_the_standard_library_works_within_the_filter(owner, node):
    app = owner.deploy(owner.project("library", "library"))
    lines = app.get("/").splitlines()
    assert len(lines) >= 25
    assert [line for line in lines if not line.endswith(": works")] == []
    app.stop()


HOST = '''import json
import os
from flask import Flask
app = Flask(__name__)

def text(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError as error:
        return f"{type(error).__name__}"

@app.route("/health")
def health():
    return "healthy"

@app.route("/")
def seen():
    me = {name: text("/proc/self/" + name) for name in os.listdir("/proc/self") if os.path.isfile("/proc/self/" + name)
          and name not in ("mem", "clear_refs", "pagemap", "exe")}
    tree = [os.path.join(where, name) for where, folders, files in os.walk("/dev") for name in folders + files]
    proc = {name: len(text("/proc/" + name)) for name in os.listdir("/proc") if os.path.isfile("/proc/" + name)}
    inside = {name: os.listdir("/proc/" + name) for name in os.listdir("/proc") if os.path.isdir("/proc/" + name) and not name.isdigit()}
    links = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + fd)]
    return json.dumps({"me": me, "dev": sorted(tree), "proc": proc, "inside": inside, "meminfo": text("/proc/meminfo"), "root": sorted(os.listdir("/")),
                       "links": links, "mse": sorted(os.listdir("/mse")), "environ": dict(os.environ)})

@app.route("/write")
def write():
    done = []
    for path in ("/proc/self/mem", "/proc/self/comm", "/proc/self/oom_score_adj", "/proc/self/uid_map", "/proc/sys/kernel/hostname", "/dev/new", "/usr/new", "/mse/new",
                 "/etc/hosts", "/proc/self/attr/current", "/proc/self/timerslack_ns", "/proc/self/clear_refs"):
        try:
            os.close(os.open(path, os.O_WRONLY | (os.O_CREAT if path.endswith("new") else 0)))
            done.append(path)
        except OSError:
            pass
    return " ".join(done)
'''


def test_an_app_sees_nothing_of_its_host(owner, node):
    """Neither where its image and its bundle come from, nor what others do, nor devices beyond the usual five."""
    app = owner.deploy(owner.project("host", {"app.py": HOST}))
    seen = json.loads(app.get("/"))
    everything = json.dumps([seen["me"], seen["links"], seen["environ"]])
    # Installed files of the runtime are mounted one by one: where mse is installed is the one path that shows.
    for line in seen["me"]["mountinfo"].splitlines():
        assert str(mse.PREFIX) not in line or " /mse/" in line, line
    private = (str(mse.STORE) + "/", str(node.folder), app.id, "/images/", "bundle")
    assert [text for text in private if text in everything] == []
    assert seen["me"]["mountinfo"].count(" / / ro,nosuid,nodev") == 1
    assert seen["dev"] == sorted(f"/dev/{name}" for name in ("fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"))
    # By length: what is covered is empty.
    assert {name for name, size in seen["proc"].items() if size > 0} == {"cpuinfo", "filesystems", "version", "meminfo", "loadavg", "stat", "mounts"}
    assert {name for name, content in seen["inside"].items() if content} == {"self", "thread-self", "net"}
    assert seen["meminfo"].split()[:2] == ["MemTotal:", str(512 * 1024)]
    assert "sys" not in seen["root"] and seen["mse"] == ["bin", "lib", "manifest.json", "manifest.sig"]
    assert set(seen["me"]["environ"].split("\0")) <= {"PWD=/", ""}
    assert seen["me"]["cgroup"].splitlines() and all(line.endswith(":/") for line in seen["me"]["cgroup"].splitlines())
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen["me"]["limits"].splitlines()[1:]}
    none = ["0", "0"]
    assert limits["Max core file size"] == limits["Max msgqueue size"] == limits["Max nice priority"] == limits["Max realtime priority"] == none
    assert limits["Max pending signals"] == ["1024", "1024"] and limits["Max stack size"] == [str(8 << 20)] * 2
    if not mse.SANITIZED:
        locked = int(re.search(r"VmLck:\s+(\d+) kB", seen["me"]["status"]).group(1))
        assert locked >= 64, "OpenSSL's private keys"
    assert app.get("/write") == ""
    app.stop()
