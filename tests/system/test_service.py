"""A node within what packaging/systemd/msed.service leaves of the host: the same walls, made by hand, since no systemd runs where tests do."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

import mse

UNIT = mse.PREFIX / "lib" / "systemd" / "system" / "msed.service"

# ProtectSystem=strict with two writable folders, ProtectHome, PrivateTmp, ProtectProc=invisible.
WALLS = """
set -e
mount --bind "$1" "$1"
mount --bind "$2" "$2"
for point in $(awk '{ print $5 }' /proc/self/mountinfo | grep -vE '^/(dev|proc|sys)(/|$)' | grep -vxF -e "$1" -e "$2"); do
	mount -o remount,bind,ro "$point"
done
for hidden in /root /home; do mount -t tmpfs -o ro,mode=0000 none $hidden; done
mount -t tmpfs -o mode=1777 none /tmp
mount -t proc -o hidepid=invisible none /proc
shift 2
exec "$@"
"""


def setting(name):
    return re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.M).group(1)


class ServiceNode(mse.Node):
    def start(self):
        kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in setting("CapabilityBoundingSet").split())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "slave", "sh", "-c", WALLS, "walls", self.folder, mse.STORE / "images", "setpriv", f"--bounding-set=-all,{kept}", "--no-new-privs",
                 mse.BIN / "msed", "--data", self.data, "--listen", self.address, "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, umask=0o077)
        mse.wait_until(self._answers, what="an answer of msed")
        return self


@pytest.fixture
def service_node():
    # /tmp is covered, as the service's is.
    path = Path(tempfile.mkdtemp(prefix="mse-service-", dir="/var/tmp"))
    started = ServiceNode(path / "node").start()
    yield started
    started.destroy()
    shutil.rmtree(path, ignore_errors=True)


def test_the_unit_starts_the_program_that_was_installed_with_it():
    program = setting("ExecStart").split()[0]
    assert Path(program).samefile(mse.BIN / "msed")
    assert setting("NoNewPrivileges") == "yes" and setting("KillMode") == "process"


def test_apps_run_live_on_and_stop_under_the_services_walls(service_node, folder):
    owner = mse.Owner(folder / "owner", service_node)
    app = owner.deploy(owner.project("service", "environment"))
    assert app.status_code("/health") == 200
    shim = service_node.shim_of(app.id)
    # The walls are those of the shim too.
    mounts = {line.split()[4]: line.split()[5].split(",") for line in Path(f"/proc/{shim}/mountinfo").read_text().splitlines()}
    assert "ro" in mounts["/"] and "rw" in mounts[str(service_node.folder)]
    service_node.terminate()
    assert app.status_code("/health") == 200
    service_node.start()
    mse.wait_until(lambda: app.status()["status"] == "running", what="the app in the new msed's eyes")
    first = service_node.enclave_of(app.id)
    os.kill(first, signal.SIGKILL)
    mse.wait_until(lambda: service_node.enclave_of(app.id) not in (None, first) and app.status()["status"] == "running", what="another enclave")
    assert app.stop()["status"] == "stopped"
