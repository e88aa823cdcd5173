"""Killed at any moment, it comes back."""
import os
import signal
import subprocess
import time

import pytest

import mse
from test_refused import CODE, SECRET

COUNTER = {"app.py": '''import json
import os
from pathlib import Path
from flask import Flask
app = Flask(__name__)

@app.route("/health")
def health():
    return "healthy"

@app.route("/secret")
def secret():
    return json.loads(Path(os.environ["SECRETS_PATH"]).read_text())["login"]

@app.route("/crash")
def crash():
    os.abort()

@app.route("/exit")
def leave():
    os._exit(3)
'''}


@pytest.fixture
def app(folder, own_node):
    owner = mse.Owner(folder / "owner", own_node)
    return owner.deploy(owner.project("survivor", COUNTER, secrets=SECRET))


def serves(app):
    return app.curl("/secret", check=False).stdout == "hunter2-the-secret"


def test_a_killed_enclave_comes_back_by_itself_with_the_same_certificate(app, own_node):
    for _ in range(3):
        enclave = own_node.enclave_of(app.id)
        os.kill(enclave, signal.SIGKILL)
        # curl accepts exactly the certificate that was verified before.
        mse.wait_until(lambda: own_node.enclave_of(app.id) not in (None, enclave) and serves(app), what="the restart")
    mse.wait_until(lambda: app.status()["status"] == "running", what="the status")
    assert app.status()["restarts"] == 3
    assert app.verify().returncode == 0


# A sanitizer reports the crash, which is what it is for.
@pytest.mark.parametrize("path", ["/exit"] if mse.SANITIZED else ["/exit", "/crash"])
def test_an_application_that_takes_its_enclave_down_is_restarted(app, own_node, path):
    app.curl(path, check=False)
    mse.wait_until(lambda: serves(app), what="the restart")


def test_apps_serve_on_while_msed_is_killed_and_it_knows_them_afterwards(app, own_node):
    enclave = own_node.enclave_of(app.id)
    own_node.kill()
    assert serves(app)
    own_node.start()
    assert app.status()["status"] == "running"
    assert serves(app) and own_node.enclave_of(app.id) == enclave
    assert app.stop()["status"] == "stopped"
    assert own_node.enclave_of(app.id) is None


def test_msed_that_ends_in_order_leaves_apps_serving_too(app, own_node):
    assert own_node.terminate() == 0
    assert serves(app)
    own_node.start()
    assert app.status()["status"] == "running"


def test_a_killed_shim_is_started_again_and_its_app_serves(app, own_node):
    os.kill(own_node.shim_of(app.id), signal.SIGKILL)
    mse.wait_until(lambda: own_node.shim_of(app.id) is not None and serves(app), 40, "the new shim")


def test_an_expiry_that_passes_while_the_node_is_down_is_kept(folder, own_node):
    owner = mse.Owner(folder / "owner", own_node)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6 * mse.PATIENCE))
    app = owner.deploy(owner.project("expires", CODE, secrets=SECRET, extra=f'expiration_date = "{soon}"'))
    own_node.kill()
    mse.wait_until(lambda: app.curl("/health", check=False).returncode != 0, 20, "the expiry")
    own_node.start()
    mse.wait_until(lambda: app.status()["status"] == "stopped", what="the status")


def test_stopping_destroys_what_the_node_kept_but_the_log(app, own_node):
    app.stop()
    left = {path.name for path in own_node.app_folder(app.id).iterdir()}
    assert "bundle" not in left and "sealed" not in left
    mse.wait_until(lambda: own_node.shim_of(app.id) is None, what="the shim's end")


def test_a_second_msed_on_the_same_folder_is_refused(own_node):
    second = mse.run([mse.BIN / "msed", "--data", own_node.data, "--listen", f"unix:{own_node.folder}/second.sock", "--config", own_node.config])
    assert second.returncode == 1 and "another msed" in second.stderr
    assert own_node.get("/v1/node")["api"] == 1


def test_a_loader_that_was_never_finished_does_not_outlive_the_next_shim(app, own_node):
    """Killed before it has tied its child to itself, bubblewrap leaves one behind that waits for ever and keeps the port."""
    reading, writing = os.pipe()
    leftover = subprocess.Popen(["bwrap", "--ro-bind", "/", "/", "--block-fd", str(reading), "true"], pass_fds=[reading],
                                cwd=own_node.app_folder(app.id))
    elsewhere = subprocess.Popen(["bwrap", "--ro-bind", "/", "/", "--block-fd", str(reading), "true"], pass_fds=[reading], cwd="/tmp")
    try:
        os.kill(own_node.shim_of(app.id), signal.SIGKILL)
        assert leftover.wait(timeout=20 * mse.PATIENCE) == -signal.SIGKILL
        mse.wait_until(lambda: serves(app), what="the restart")
        assert elsewhere.poll() is None
    finally:
        for process in (leftover, elsewhere):
            process.kill()
            process.wait()
        os.close(reading)
        os.close(writing)


def test_an_address_that_msed_cannot_listen_at_makes_no_folder(folder):
    result = mse.run([mse.BIN / "msed", "--data", folder / "new", "--listen", "tcp:1"])
    assert result.returncode == 1 and "unix:PATH" in result.stderr
    assert not (folder / "new").exists()
