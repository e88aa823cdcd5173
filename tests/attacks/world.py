"""The world of an attack: a node with a quiet neighbour on it, canaries on the host, and what must be the same afterwards as before."""
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attack
import mse
import netspace
import outside
from catalogue import HERE, attack_file
from control import load

# A sanitized interpreter needs several times the memory.
MEMORY_MIB = 512 if mse.SANITIZED else 128
STORAGE_MIB = 32
THREADS = 8
CPUS = 0.5
NEIGHBOUR = """for folder in ("/root", "/tmp", "/dev/shm", "/mse-app"):
    with open(folder + "/file-of-the-neighbour", "w") as file:
        file.write("MARKER")


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is quiet"]
"""


class Canaries:
    """What an attack on the host would hit: processes, sockets, files, shared memory."""

    def __init__(self, folder):
        self.token = f"mse-canary-{os.getpid()}-{random.randrange(1 << 32):08x}"
        self.file = Path(folder) / self.token
        self.file.write_text("the host's own file")
        self.file.chmod(0o666)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"\0{self.token}")
        self.listener.listen(64)
        self.heard = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self.shm_key = random.randrange(1 << 20, 1 << 30)
        subprocess.run([sys.executable, "-c", f"import ctypes; c = ctypes.CDLL(None); assert c.shmget({self.shm_key}, 4096, 0o1666) >= 0; "
                        f"assert c.msgget({self.shm_key}, 0o1666) >= 0; c.syscall({attack.NUMBERS['mq_open']}, b'{self.token}', 0o102, 0o666, None)"],
                       check=True)
        self.shm_file = Path(f"/dev/shm/{self.token}")
        self.shm_file.write_text("canary")
        self.shm_file.chmod(0o666)
        self.processes = {0: self._process(0)}

    def _listen(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.heard += 1
            peer.close()

    @staticmethod
    def _process(uid):
        return subprocess.Popen(["sleep", "infinity"], user=uid, group=uid, extra_groups=[], stdin=subprocess.DEVNULL, start_new_session=True)

    def of_user(self, uid):
        if uid not in self.processes:
            self.processes[uid] = self._process(uid)
        return self.processes[uid]

    def named(self):
        return {"canary": str(self.file), "abstract": self.token, "shm_key": self.shm_key, "shm_file": str(self.shm_file), "queue": self.token}

    def check(self):
        assert self.file.read_text() == "the host's own file"
        assert self.shm_file.read_text() == "canary"
        heard, self.heard = self.heard, 0
        assert heard == 0, "somebody has reached the host's abstract socket"
        dead = [uid for uid, process in self.processes.items() if process.poll() is not None]
        assert not dead, f"canary processes of the users {dead} have ended"

    def remove(self, uid):
        process = self.processes.pop(uid, None)
        if process is not None:
            process.kill()
            process.wait()

    def close(self):
        for uid in list(self.processes):
            self.remove(uid)
        self.listener.close()
        self.shm_file.unlink(missing_ok=True)
        subprocess.run(["ipcrm", "-M", str(self.shm_key), "-Q", str(self.shm_key)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL(None).syscall({attack.NUMBERS['mq_unlink']}, b'{self.token}')"], check=True)


class Attacker:
    """One attack, deployed."""

    def __init__(self, world, name, folder, app):
        self.world = world
        self.name = name
        self.folder = folder
        self.module = load(attack_file(name))
        self.take(app)

    def take(self, app):
        node = self.world.node
        self.app = app
        self.uid = json.loads((node.app_folder(app.id) / "shim.json").read_text())["uid"]
        self.shim = node.shim_of(app.id)
        self.enclave = node.enclave_of(app.id)

    def ask(self, path, timeout=60, check=True, **given):
        arguments = [word for key, value in given.items() for word in ("--data-urlencode", f"{key}={value}")]
        result = self.app.curl(path, "-G", "--fail", "--max-time", str(timeout * mse.PATIENCE), *arguments, check=check, timeout=timeout + 5)
        return json.loads(result.stdout) if result.returncode == 0 and result.stdout else None

    def crash(self, path, **given):
        """Asks for what nobody answers: the enclave is lost over it."""
        return self.ask(path, check=False, **given)

    def answers(self):
        return self.app.curl("/health", check=False).stdout == "healthy"

    def wait_for_restart(self, seconds=30):
        mse.wait_until(lambda: self.world.node.enclave_of(self.app.id) not in (None, self.enclave) and self.answers(), seconds, "the enclave's restart")
        self.enclave = self.world.node.enclave_of(self.app.id)

    def alive(self):
        assert self.world.node.enclave_of(self.app.id) == self.enclave, f"{self.name}: the enclave is another one"
        assert self.answers(), f"{self.name}: the app does not answer"
        assert self.app.status()["status"] == "running"


class World:
    def __init__(self, folder):
        self.folder = Path(folder)
        first = 400_000 + os.getpid() % 10_000 * 1000
        self.uids = range(first, first + 1000)
        self.node = mse.Node(self.folder / "node", f"""
uids = {{ first = {first}, count = 1000 }}
[plans.free]
memory_mib = {MEMORY_MIB}
cpus = {CPUS}
storage_mib = {STORAGE_MIB}
threads = {THREADS}
lifetime_minutes = 60
[quotas]
apps = 1000
apps_per_owner = 1000
""")
        self.net = netspace.Netspace(self.folder)
        self.pool = ThreadPoolExecutor(max_workers=2)
        self.deployments = {}
        self.plan = []
        self.canaries = Canaries(self.folder)
        self.before = self.host_files()
        self.marker = f"marker-of-the-neighbour-{random.randrange(1 << 64):016x}"

    def start(self):
        self.node.start()
        self.owner = mse.Owner(self.folder / "owner", self.node)
        self.neighbour = self.owner.deploy(self.owner.project("neighbour", {"app.py": NEIGHBOUR.replace("MARKER", self.marker)}))

    def close(self):
        self.pool.shutdown(cancel_futures=True)
        self.canaries.close()
        self.node.destroy()
        self.net.close()

    # Deploying takes longer than attacking: the next ones are on their way while one is under test.

    def expect(self, names):
        self.plan = list(names)
        self._ahead()

    def _ahead(self):
        while self.plan and len(self.deployments) < 3:
            name = self.plan.pop(0)
            self.deployments[name] = self.pool.submit(self.deploy, name)

    def deploy(self, name, **options):
        module = load(attack_file(name))
        project = f"{name.replace('/', '-').replace('_', '-')}-{random.randrange(1 << 32):08x}"
        files = {"app.py": attack_file(name).read_text(), "attack.py": (HERE / "attack.py").read_text()}
        options = {"secrets": '{"login": "the-secret-of-an-attack"}', "extra": getattr(module, "CONFIGURATION", ""), **options}
        folder = self.owner.project(project, files, **options)
        return Attacker(self, name, folder, self.owner.deploy(folder))

    def deploy_again(self, attacker):
        """A new version in the place of the old one."""
        attacker.take(self.owner.deploy(attacker.folder))

    def attacker(self, name):
        self._ahead()
        future = self.deployments.get(name) or self.pool.submit(self.deploy, name)
        attacker = future.result(timeout=300)
        self.deployments.pop(name, None)
        self._ahead()
        return attacker

    # What must be so after each attack.

    def check(self):
        assert self.node.get("/v1/node")["api"] == 1
        assert self.node.process.poll() is None
        # curl believes the certificate that was verified at the deployment, and no other.
        assert self.neighbour.get("/") == "all is quiet"
        self.canaries.check()
        hits, self.net.hits = self.net.hits, []
        assert hits == [], "somebody has reached the node's own service"

    def network(self):
        return {"good": outside.GOOD, "good6": outside.GOOD6, "other": outside.OTHER, "other6": outside.OTHER6, "metadata": outside.METADATA,
                "port": self.net.port, "node": netspace.NODE, "node6": netspace.NODE6}

    def host_files(self):
        """What the users of this node's apps own outside of its folder, and what bears an attack's name."""
        found = set()
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
            for where, folders, names in os.walk(folder):
                if Path(where) == self.folder:
                    folders.clear()
                    continue
                for name in folders + names:
                    path = f"{where}/{name}"
                    try:
                        if os.lstat(path).st_uid in self.uids or name.startswith("mse-attack-"):
                            found.add(path)
                    except OSError:
                        pass
        return found

    def traces(self, attacker):
        """What is left of an app on the host."""
        left = []
        canary = self.canaries.processes.get(attacker.uid)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or (canary is not None and int(entry.name) == canary.pid):
                continue
            try:
                if os.stat(entry).st_uid == attacker.uid or attacker.app.id in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    left.append(f"process {entry.name} {(entry / 'comm').read_text().strip()}")
            except OSError:
                pass
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        left += [line for line in mounts.splitlines() if attacker.app.id in line]
        for file in Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                if attacker.app.id in file.read_text():
                    left.append(str(file))
            except OSError:
                pass
        for where, folders, _ in os.walk("/sys/fs/cgroup"):
            left += [f"{where}/{name}" for name in folders if attacker.app.id[:12] in name]
        return left + sorted(self.host_files() - self.before)

    def stop(self, attacker):
        attacker.app.stop()
        mse.wait_until(lambda: not self.traces(attacker), 20, f"the end of all of {attacker.name}: {self.traces(attacker)}")
        self.canaries.remove(attacker.uid)

    def given(self, attacker):
        """What each attack is told about the host: real targets."""
        own, root = self.canaries.of_user(attacker.uid), self.canaries.processes[0]
        return {"pids": f"{own.pid},{root.pid},{attacker.shim}", "data": str(self.node.data), "marker": self.marker, "node_socket": str(self.node.socket),
                "control_socket": str(self.node.app_folder(attacker.app.id) / "control.sock"), "uid": attacker.uid, **self.canaries.named(), **self.network()}


def control(name, given):
    """What comes of the same attempts without the walls."""
    module = load(attack_file(name))
    kept = getattr(module, "CONTROL_KEEPS", ())
    namespaces = [f"--{kind}" for kind in ("mount", "uts", "ipc", "net", "cgroup") if kind not in kept]
    if "pid" not in kept:
        namespaces += ["--pid", "--fork", "--mount-proc"]
    result = mse.run(["unshare", *namespaces, "--propagation", "private", sys.executable, HERE / "control.py", attack_file(name),
                      *[f"{key}={value}" for key, value in given.items()]], timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(re.search(r"^\{.*\}$", result.stdout, re.M).group())


def make_world():
    folder = Path(tempfile.mkdtemp(prefix="mse-world-", dir="/tmp"))
    folder.chmod(0o755)
    world = World(folder)
    try:
        world.start()
    except BaseException:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return world
