"""Drives the real programs: a node in a throw-away folder, owners with configurations of their own, and applications."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path(os.environ.get("MSE_PREFIX", ROOT / "build")).resolve()
STORE = Path(os.environ.get("MSE_STORE", ROOT / "build" / "store")).resolve()
BIN = PREFIX / "bin"
SANITIZED = (PREFIX / "lib" / "libasan.so.8").exists()
# A sanitized build is several times slower, and the machine may be busy.
PATIENCE = 4 if SANITIZED else 1
APPS = ROOT / "tests" / "apps"
STORAGE_MIB = 64
FIRST_PORT = 10_000 + os.getpid() % 100 * 200


def run(command, timeout=60, check=False, **options):
    """One program to its end, its output as text."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout * PATIENCE, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} exited with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def image_digest(name="mse-flask"):
    listed = json.loads(run([BIN / "msed", "image", "list", "--data", STORE, "--json"], check=True).stdout)
    return next(image["digest"] for image in listed if image["name"] == name)


def wait_until(condition, seconds=20, what="a condition"):
    deadline = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about in {seconds * PATIENCE} s")


def processes(command_part, name=None):
    """Process ids whose command line contains the text (and, if given, whose program has this name)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            comm = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if command_part in line and (name is None or comm == name):
            found.append(int(entry.name))
    return found


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def children(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def program_name(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def cpu_seconds(pid):
    """Of all threads that the process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def control_socket(folder):
    """Connected to the shim of an app's folder, whose path may be longer than a socket's address."""
    connection = socket.socket(socket.AF_UNIX)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/control.sock")
    finally:
        os.close(descriptor)
    return connection


class Node:
    """msed with a data folder of its own."""

    bin = BIN

    def __init__(self, folder, config=""):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.socket = self.folder / "msed.sock"
        self.config = self.folder / "msed.toml"
        self.log = self.folder / "msed.log"
        # What stands first is of the top level, before any table of the test's own.
        # Ports of this process's own, so that several test runs on one machine do not meet.
        ports = "" if "ports" in config else f"ports = {{ first = {FIRST_PORT}, last = {FIRST_PORT + 199} }}\n"
        images = "" if "images" in config else f'images = "{STORE / "images"}"\n'
        # All of an app's storage is kept free for it on the disk, which several test runs may share.
        storage = "" if "[plans.free]" in config else f"\n[plans.free]\nstorage_mib = {STORAGE_MIB}\n"
        self.config.write_text(images + ports + config + storage)
        self.process = None

    @property
    def address(self):
        return f"unix:{self.socket}"

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "msed", "--data", self.data, "--listen", self.address, "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, what="an answer of msed")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"msed ended with {self.process.returncode}:\n{self.log.read_text()}")
        return self.get("/v1/node", check=False) is not None

    def request(self, method, path, body=None, headers=()):
        """(status, body bytes) of one request to the node."""
        command = ["curl", "-sS", "--unix-socket", self.socket, "-X", method, "-o", "-", "-w", "\n%{http_code}", f"http://node{path}"]
        for header in headers:
            command += ["-H", header]
        if body is not None:
            command += ["--data-binary", "@-"]
        result = subprocess.run([str(part) for part in command], input=body if body is not None else b"", capture_output=True, timeout=60)
        if result.returncode != 0:
            raise OSError(result.stderr.decode())
        content, _, status = result.stdout.rpartition(b"\n")
        return int(status), content

    def get(self, path, check=True):
        try:
            status, body = self.request("GET", path)
        except OSError:
            if check:
                raise
            return None
        if status != 200:
            if check:
                raise AssertionError(f"GET {path}: {status} {body!r}")
            return None
        return json.loads(body)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20 * PATIENCE)

    def app_folder(self, instance):
        return self.data / "apps" / instance

    def shims(self):
        return processes(str(self.data), "mse-shim")

    def shim_of(self, instance):
        """Not one of its children on their way to another program, which look like it, and whose numbers may be lower."""
        found = processes(str(self.app_folder(instance)), "mse-shim")
        return next((pid for pid in found if parent(pid) not in found), None)

    def enclave_of(self, instance):
        shim = self.shim_of(instance)
        return next((pid for pid in descendants(shim) if program_name(pid) == "mse-enclave"), None) if shim else None

    def destroy(self):
        """Ends everything, and looks for what must not be there."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()
        family = [pid for shim in self.shims() for pid in [shim] + descendants(shim)]
        for pid in self.shims():
            os.kill(pid, signal.SIGTERM)
        def gone():
            return not any(program_name(pid) in ("mse-shim", "mse-enclave", "bwrap") for pid in family)
        try:
            wait_until(gone, 20, "the end of the shims and their enclaves")
        finally:
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for log in [self.log, *self.data.glob("apps/*/*.err")]:
            text = log.read_text(errors="replace") if log.exists() else ""
            assert not re.search(r"ERROR: \w+Sanitizer|runtime error:", text), f"{log}:\n{text[-4000:]}"


class Owner:
    """`mse` with a configuration of its own."""

    def __init__(self, folder, node):
        self.folder = Path(folder)
        self.node = node
        self.conf = self.folder / "conf"
        self.conf.mkdir(parents=True, exist_ok=True)
        os.chmod(self.conf, 0o700)

    def environment(self):
        node = self.node if isinstance(self.node, str) else self.node.address
        return {**os.environ, "MSE_CONF_PATH": str(self.conf), "MSE_NODE": node, "NO_COLOR": "1"}

    def mse(self, *arguments, check=False, timeout=60, **options):
        return run([BIN / "mse", *arguments], timeout=timeout, check=check, env=self.environment(), stdin=subprocess.DEVNULL, **options)

    def json(self, *arguments, **options):
        result = self.mse(*arguments, "--json", check=True, **options)
        return json.loads(result.stdout)

    def project(self, name, source=None, secrets=None, application="app:app", health="/health", extra=""):
        """A folder with mse.toml and the code of tests/apps/<source>, or of a dictionary of files."""
        folder = self.folder / name
        code = folder / "code"
        if isinstance(source, dict):
            for path, text in source.items():
                (code / path).parent.mkdir(parents=True, exist_ok=True)
                (code / path).write_text(text)
        else:
            shutil.copytree(source if isinstance(source, Path) else APPS / source, code)
        lines = [f'name = "{name}"', 'project = "default"', 'resource = "free"', extra, "[code]", 'location = "./code"',
                 f'python_application = "{application}"', f'healthcheck_endpoint = "{health}"', 'docker = "mse-flask"']
        if secrets is not None:
            (folder / "secrets.json").write_text(secrets)
            lines.append('secrets = "./secrets.json"')
        (folder / "mse.toml").write_text("\n".join(lines) + "\n")
        return folder

    def deploy(self, folder, *more, **options):
        return App(self, self.json("deploy", "--path", Path(folder) / "mse.toml", "-y", "--trust-image", image_digest(), *more,
                                   timeout=90, **options))


class App:
    """A deployed application, as `mse deploy --json` tells of it."""

    def __init__(self, owner, answer):
        self.owner = owner
        self.answer = answer
        self.id = answer["id"]
        self.url = answer["url"].rstrip("/")
        self.certificate = answer["certificate"]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def curl(self, path, *arguments, check=True, timeout=30, text=True):
        command = ["curl", "-sS", "--cacert", self.certificate, *arguments, self.url + path]
        result = subprocess.run([str(part) for part in command], capture_output=True, text=text, timeout=timeout * PATIENCE)
        if check and result.returncode != 0:
            raise AssertionError(f"curl {path}: {result.returncode} {result.stderr}")
        return result

    def get(self, path, *arguments):
        return self.curl(path, *arguments).stdout

    def status_code(self, path, *arguments):
        return int(self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", *arguments).stdout)

    def status(self):
        return self.owner.json("status", self.id)

    def logs(self):
        return self.owner.mse("logs", self.id, check=True).stdout

    def stop(self):
        return self.owner.json("stop", self.id)

    def verify(self, *arguments):
        return self.owner.mse("verify", self.url, "--allow-simulation", *arguments, "--json")
