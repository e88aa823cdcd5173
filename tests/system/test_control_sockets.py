"""Who may speak to a node and to its shims, and who may answer for them, whatever the modes of files say."""
import os
import signal
import subprocess
import sys

import pytest

import mse

STRANGER = 54321

SQUATTER = """
import os, socket, sys
os.chdir(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
os.chmod(sys.argv[2], 0o777)
listener.listen()
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.settimeout(5)
    if len(sys.argv) > 3:
        connection.sendall(sys.argv[3].encode() + b"\\n")
    try:
        print("heard", connection.recv(65536), flush=True)
    except OSError as error:
        print("heard", error, flush=True)
"""


class Squatter:
    """A stranger who listens where somebody else should, and notes what he is told."""

    def __init__(self, folder, name, answer=None):
        folder.chmod(0o777)
        self.process = subprocess.Popen([sys.executable, "-c", SQUATTER, str(folder), name, *([answer] if answer else [])], stdout=subprocess.PIPE,
                                        user=STRANGER, group=STRANGER, extra_groups=[], text=True)
        assert self.process.stdout.readline() == "listening\n"

    def end(self):
        self.process.kill()
        return self.process.communicate()[0].splitlines()


@pytest.fixture
def squat(folder):
    squatters = []

    def make(*arguments):
        squatters.append(Squatter(*arguments))
        return squatters[-1]

    folder.chmod(0o755)
    yield make
    for squatter in squatters:
        if squatter.process.poll() is None:
            squatter.end()


def test_a_stranger_is_not_heard_although_the_sockets_mode_lets_him_connect(own_node, folder):
    for path in (folder, own_node.folder):
        path.chmod(0o755)
    own_node.socket.chmod(0o666)
    assert subprocess.run([sys.executable, "-c", f"import socket; socket.socket(socket.AF_UNIX).connect({str(own_node.socket)!r})"],
                          user=STRANGER, group=STRANGER, extra_groups=[], check=False).returncode == 0, "the mode lets him"
    asked = subprocess.run(["curl", "-sS", "--unix-socket", own_node.socket, "http://node/v1/node"], user=STRANGER, group=STRANGER, extra_groups=[],
                           capture_output=True, text=True, check=False)
    assert asked.returncode != 0 and asked.stdout == ""
    assert f"a connection of user {STRANGER} was refused" in own_node.log.read_text()
    assert own_node.get("/v1/node")["tee"] == "sim", "root is heard"


def test_mse_asks_nothing_of_a_stranger_who_listens_at_the_nodes_address(folder, squat):
    place = folder / "public"
    place.mkdir()
    squatter = squat(place, "msed.sock")
    result = mse.Owner(folder / "owner", f"unix:{place}/msed.sock").mse("list")
    assert result.returncode == 1
    assert f"runs as user {STRANGER}" in result.stderr
    assert squatter.end() in (["heard b''"], []), "he was told nothing"


def test_a_stranger_at_a_shims_socket_is_not_believed(own_node, folder, squat):
    app = mse.Owner(folder / "owner", own_node).deploy(mse.Owner(folder / "owner", own_node).project("kept", "environment"))
    own_node.kill()
    os.kill(own_node.shim_of(app.id), signal.SIGKILL)
    mse.wait_until(lambda: own_node.shim_of(app.id) is None, what="the shim's end")
    place = own_node.app_folder(app.id)
    (place / "control.sock").unlink()
    for path in (own_node.folder, own_node.data, own_node.data / "apps"):
        path.chmod(0o755)
    ended = ('{"changed_at":1,"enclave_pid":0,"final":true,"measurement":null,"metrics":{"bytes_in":0,"bytes_out":0,"errors":0,"in_flight":0,'
             '"log_lost":0,"requests":0},"provisioned":true,"reason":null,"restarts":0,"status":"stopped","weaker":""}')
    squatter = squat(place, "control.sock", ended)
    own_node.start()
    mse.wait_until(lambda: app.status()["status"] == "running" and own_node.shim_of(app.id), what="a shim of the node's own")
    assert f"runs as user {STRANGER}, and is no shim of this node" in own_node.log.read_text()
    assert not any("command" in heard for heard in squatter.end()), "nobody told him to stop"
    assert app.stop()["status"] == "stopped"
