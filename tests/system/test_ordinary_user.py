"""The whole of a node as an ordinary user runs it, on a machine that allows user namespaces: the same walls, and what is weaker said by name."""
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

import mse
from internet import NODE4, Internet
from test_egress import PROBE, Probe, reached, refused

USER = 54321
AS_USER = {"user": USER, "group": USER, "extra_groups": []}
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}


@pytest.fixture(scope="module")
def prefix():
    """The programs where that user can read them."""
    path = Path(tempfile.mkdtemp(prefix="mse-user-", dir="/tmp"))
    path.chmod(0o755)
    for part in ("bin", "lib", "share"):
        shutil.copytree(mse.PREFIX / part, path / part, symlinks=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class UserNode(mse.Node):
    def __init__(self, folder, prefix):
        super().__init__(folder, f'images = "{folder}/data/images"\n[limits]\ninsecure_unlimited = true\n')
        self.bin = prefix / "bin"
        os.chown(self.folder, USER, USER)
        self.config.chmod(0o644)

    def msed(self, *arguments, check=True):
        return mse.run([self.bin / "msed", *arguments, "--data", self.data, "--config", self.config], check=check, timeout=120, env=ENVIRONMENT, **AS_USER)

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.bin / "msed", "--data", self.data, "--listen", self.address, "--config", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT, **AS_USER)
        mse.wait_until(self._answers, what="an answer of msed")
        return self


class UserOwner(mse.Owner):
    def __init__(self, folder, node):
        super().__init__(folder, node)
        os.chown(self.folder, USER, USER)
        os.chown(self.conf, USER, USER)

    def mse(self, *arguments, check=False, timeout=60, **options):
        return mse.run([self.node.bin / "mse", *arguments], timeout=timeout, check=check, stdin=subprocess.DEVNULL,
                       env={**ENVIRONMENT, "MSE_CONF_PATH": str(self.conf), "MSE_NODE": self.node.address}, **AS_USER, **options)

    def project(self, *arguments, **options):
        folder = super().project(*arguments, **options)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)
        return folder


@pytest.fixture(scope="module")
def packed_image():
    """What root's store has, as root would hand it to a user."""
    path = Path(tempfile.mkdtemp(prefix="mse-image-", dir="/tmp"))
    path.chmod(0o755)
    mse.run(["tar", "-C", mse.STORE / "images" / "mse-flask" / "rootfs", "-cf", path / "mse-flask.tar", "."], timeout=120, check=True)
    (path / "mse-flask.tar").chmod(0o644)
    yield path / "mse-flask.tar"
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def node(prefix, packed_image):
    with pytest.raises(KeyError):
        pwd.getpwuid(USER)
    path = Path(tempfile.mkdtemp(prefix="mse-node-", dir="/tmp"))
    path.chmod(0o755)
    started = UserNode(path / "node", prefix)
    assert mse.image_digest() in started.msed("image", "import", "mse-flask", packed_image).stdout, "the digest is the same whoever owns the files"
    started.start()
    yield started
    started.destroy()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def owner(folder, node):
    folder.chmod(0o755)
    return UserOwner(folder / "owner", node)


def status_lines(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def test_an_ordinary_user_deploys_verifies_reads_logs_and_stops(owner, node):
    app = owner.deploy(owner.project("hello", "flask_hello"))
    assert app.status()["status"] == "running"
    assert app.status_code("/health") == 200
    assert owner.mse("verify", app.url, "--allow-simulation", "--json").returncode == 0
    assert app.logs() is not None
    assert app.stop()["status"] == "stopped"
    mse.wait_until(lambda: node.shim_of(app.id) is None, what="the shim's end")


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_an_app_has_a_network_of_its_own_or_none(node, prefix, folder, mode):
    """Tap devices are open to all where udev made their file, and to root alone where it did not."""
    folder.chmod(0o755)
    with Internet(folder):
        mse.run(["mount", "-t", "tmpfs", "mse", "/dev/net"], check=True)
        os.mknod("/dev/net/tun", stat.S_IFCHR, os.makedev(10, 200))
        os.chmod("/dev/net/tun", mode)
        own = UserNode(folder / "node", prefix)
        own.config.write_text(own.config.read_text().replace(f"{own.folder}/data/images", f"{node.data}/images"))
        own.start()
        try:
            owner = UserOwner(folder / "owner", own)
            app = owner.deploy(owner.project("network", PROBE, extra='[network]\negress = ["api.test:443", "node.test:8888"]\n'))
            app.__class__ = Probe
            services = [socket.create_server(address) for address in (("127.0.0.1", 9999), (NODE4, 8888))]
            for host, port in ("127.0.0.1", 9999), ("192.0.2.2", 9999), ("node.test", 8888), (NODE4, 8888), ("203.0.113.6", 443), ("169.254.169.254", 80):
                assert refused(app.tcp(host, port)), host
            for service in services:
                service.close()
            if mode == 0o666:
                mse.wait_until(lambda: reached(app.tcp("api.test"), "203.0.113.5"), what="the connection")
            else:
                mse.wait_until(lambda: "offline" in [weakness["name"] for weakness in app.status()["weaker"]], what="the status")
                assert refused(app.tcp("api.test")) and "/dev/net/tun" in (own.app_folder(app.id) / "shim.err").read_text()
            app.stop()
        finally:
            own.destroy()


def test_what_is_weaker_is_said_by_name(owner, node):
    app = owner.deploy(owner.project("weak", "environment"))
    sentence = next(weakness["text"] for weakness in app.status()["weaker"] if weakness["name"] == "user")
    assert f"weaker here: {sentence}" in owner.mse("status", app.id, check=True).stdout
    assert "user" in [weakness["name"] for weakness in node.get("/v1/node")["weaker"]]
    assert f"apps are weaker here than they should be: {sentence}" in node.log.read_text()
    app.stop()


def test_nothing_of_it_is_privileged_on_the_host(owner, node):
    app = owner.deploy(owner.project("plain", "environment"))
    shim = node.shim_of(app.id)
    for pid in (node.process.pid, shim, *mse.descendants(shim)):
        status = status_lines(pid)
        assert set(status["Uid"].split()) == {str(USER)} and set(status["Gid"].split()) == {str(USER)}, status
    for pid in (node.process.pid, shim):
        # The kernel gives what it says of an undumpable process to root: other programs of this user can neither read its memory nor trace it.
        assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
        assert status_lines(pid)["NoNewPrivs"] == "1" and status_lines(pid)["Seccomp"] == "2"
    enclave = node.enclave_of(app.id)
    status = status_lines(enclave)
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == status["CapInh"] == status["CapAmb"] == "0" * 16
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    for namespace in ("user", "mnt", "pid", "ipc", "uts"):
        assert os.readlink(f"/proc/{enclave}/ns/{namespace}") != os.readlink(f"/proc/{node.process.pid}/ns/{namespace}"), namespace
    # The node's folders are this user's own, and the enclave is this user too: that they are not among its mounts is what protects them.
    seen = {line.split()[3] for line in Path(f"/proc/{enclave}/mountinfo").read_text().splitlines()}
    assert not any(path.startswith(str(node.data)) for path in seen)
    app.stop()


def test_an_enclave_that_crashes_comes_back_with_the_same_certificate(owner, node):
    app = owner.deploy(owner.project("crash", "environment"))
    first = node.enclave_of(app.id)
    os.kill(first, signal.SIGKILL)
    mse.wait_until(lambda: node.enclave_of(app.id) not in (None, first) and app.status()["status"] == "running", what="another enclave")
    assert app.status_code("/health") == 200
    assert app.status()["restarts"] == 1
    app.stop()


def test_a_shim_that_is_killed_leaves_nothing_and_is_replaced(owner, node):
    app = owner.deploy(owner.project("killed", "environment"))
    shim = node.shim_of(app.id)
    family = mse.descendants(shim)
    os.kill(shim, signal.SIGKILL)
    mse.wait_until(lambda: not any(mse.program_name(pid) for pid in family), what="the end of what the shim had started")
    mse.wait_until(lambda: node.shim_of(app.id) not in (None, shim) and app.status()["status"] == "running", what="another shim")
    assert app.status_code("/health") == 200
    app.stop()


def test_apps_live_on_while_the_users_msed_is_away(owner, node):
    app = owner.deploy(owner.project("alone", "environment"))
    node.kill()
    assert app.status_code("/health") == 200
    node.start()
    mse.wait_until(lambda: app.status()["status"] == "running", what="the app in the new msed's eyes")
    assert app.stop()["status"] == "stopped"


def test_building_an_image_says_what_to_do_instead(node):
    result = node.msed("image", "build", "mse-python", check=False)
    assert result.returncode == 1
    assert "it takes root" in result.stderr and "msed image import mse-python" in result.stderr


def test_a_folder_is_imported_with_the_digest_that_it_has_as_roots(node, folder):
    folder.chmod(0o755)
    tree = folder / "tree"
    (tree / "usr" / "bin").mkdir(parents=True)
    for name, mode in (("usr/bin/tool", 0o4755), ("usr/bin/other", 0o2711), ("data", 0o640)):
        (tree / name).write_text(name)
        (tree / name).chmod(mode)
        os.chown(tree / name, USER, USER)
        (tree / name).chmod(mode)
    as_user = node.msed("image", "import", "tree", tree).stdout.split()[-1]
    as_root = mse.run([mse.BIN / "msed", "image", "import", "tree", tree, "--data", folder / "data"], check=True).stdout.split()[-1]
    assert as_user == as_root
    node.msed("image", "remove", "tree")


def test_root_can_still_speak_to_the_users_node(owner, node):
    assert node.get("/v1/node")["tee"] == "sim"
    listed = mse.Owner(owner.folder / "root", node).json("list")
    assert "apps" in listed
