"""Puts this process, and with it the node and all that the tests start, into a network of its own, with an outside that the test plays."""
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import outside

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
# The node's own addresses towards the outside.
NODE, NODE6 = "198.51.100.2", "2001:db8:51::2"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def unshare():
    """Before there is any other thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "cannot make namespaces")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class Netspace:
    def __init__(self, folder):
        ip("link", "set", "lo", "up")
        self.process = subprocess.Popen(["unshare", "--net", "sh", "-c", "read go && exec \"$0\" \"$1\"", sys.executable, str(Path(outside.__file__))],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._link()
        resolv = Path(folder) / "resolv.conf"
        resolv.write_text("nameserver 198.51.100.1\n", encoding="ascii")
        resolv.chmod(0o644)
        subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)
        self.hits = []
        self.port = self._canary()

    def _link(self):
        other = str(self.process.pid)
        # unshare(1) is in its own namespace only a moment after it was started.
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{other}/ns/net") == own:
            pass
        ip("link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns", other)
        ip("address", "add", f"{NODE}/24", "dev", "out0")
        ip("address", "add", f"{NODE6}/64", "dev", "out0", "nodad")
        ip("link", "set", "out0", "up")
        inside = ["nsenter", "--target", other, "--net", "ip"]
        for command in (["address", "add", "198.51.100.1/24", "dev", "in0"], ["address", "add", "2001:db8:51::1/64", "dev", "in0", "nodad"],
                        ["link", "set", "lo", "up"], ["link", "set", "in0", "up"],
                        *[["address", "add", address, "dev", "lo"] for address in (outside.GOOD, outside.OTHER, outside.METADATA)],
                        *[["address", "add", address, "dev", "lo", "nodad"] for address in (outside.GOOD6, outside.OTHER6)]):
            subprocess.run(inside + command, check=True)
        ip("route", "add", "default", "via", "198.51.100.1")
        ip("-6", "route", "add", "default", "via", "2001:db8:51::1")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ready\n"

    def _canary(self):
        """A service of the node's that nobody protects: at all of its addresses."""
        listener = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)

        def serve():
            while True:
                peer, sender = listener.accept()
                self.hits.append(sender[0])
                peer.close()
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def seen(self):
        with socket.create_connection((outside.GOOD, 80), 10) as client:
            client.sendall(b"GET /seen HTTP/1.0\r\n\r\n")
            data = b""
            while part := client.recv(65536):
                data += part
        return json.loads(data)

    def close(self):
        self.process.kill()
        self.process.wait()
