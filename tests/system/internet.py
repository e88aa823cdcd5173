"""A small internet for one test run: network namespaces of its own, with hosts, names and a node, and nothing of the real one.

    node's namespace (the tests themselves are in it)          the internet's
    198.51.100.1, 2001:db8::1 ------------------------------- 198.51.100.254, 203.0.113.5, …

Run as a program it is the internet's side: it serves, and takes orders as lines of JSON."""
import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import threading

NEWNS, NEWNET = 0x20000, 0x40000000
NODE4, NODE6 = "198.51.100.1", "2001:db8::1"
RESOLVER = "203.0.113.53"
HOSTS4 = ["198.51.100.254", "203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8", RESOLVER, "10.1.2.3", "169.254.169.254", "100.100.100.200"]
HOSTS6 = ["2001:db8::5", "2001:db8::6", "64:ff9b::a9fe:a9fe", "64:ff9b::a01:203", "fd00:ec2::254", "fe80::99"]
NAMES = {"api.test": ["203.0.113.5", "2001:db8::5"], "other.test": ["203.0.113.6"], "moving.test": ["203.0.113.8"], "www.alias.test": "api.test",
         "metadata.test": ["169.254.169.254"], "loopback.test": ["127.0.0.1"], "node.test": [NODE4], "inside.test": ["10.1.2.3"],
         "secret.api.test": ["203.0.113.6"], "big.test": [f"203.0.113.{number}" for number in range(100, 200)]}
PORTS = (80, 443)

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


# ---- the internet's side ----

class Names:
    """A DNS server: what it is asked is remembered, what it answers can be changed."""

    def __init__(self):
        self.names = dict(NAMES)
        self.asked = []

    def answer(self, query, largest):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        kind, = struct.unpack(">H", query[at + 1:at + 3])
        name = ".".join(labels)
        self.asked.append(name)
        question = query[12:at + 5]
        records, found, pointer = b"", self.names.get(name), b"\xc0\x0c"
        count = 0
        if isinstance(found, str):
            target = b"".join(bytes([len(part)]) + part.encode() for part in found.split(".")) + b"\0"
            records += pointer + struct.pack(">HHIH", 5, 1, 60, len(target)) + target
            count, pointer, found = 1, struct.pack(">H", 0xc000 | 12 + len(question) + 12), self.names[found]
        for address in found or []:
            data = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            if kind == (28 if ":" in address else 1):
                records += pointer + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
                count += 1
        cut = 12 + len(question) + len(records) > largest
        flags = 0x8180 | (0x0200 if cut else 0) | (0 if name in self.names else 3)
        return query[:2] + struct.pack(">HHHHH", flags, 1, 0 if cut else count, 0, 0) + question + (b"" if cut else records)

    def serve_udp(self):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((RESOLVER, 53))
        while True:
            query, peer = server.recvfrom(4096)
            server.sendto(self.answer(query, 512), peer)

    def serve_tcp(self):
        server = socket.create_server((RESOLVER, 53))
        while True:
            peer, _ = server.accept()
            threading.Thread(target=self.serve_peer, args=[peer], daemon=True).start()

    def serve_peer(self, peer):
        with peer, peer.makefile("rb") as stream:
            while size := stream.read(2):
                answer = self.answer(stream.read(*struct.unpack(">H", size)), 65535)
                peer.sendall(struct.pack(">H", len(answer)) + answer)


def serve_tcp(family, port):
    """Tells each who connects at which address it was reached."""
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("", port))
    server.listen(64)
    while True:
        peer, _ = server.accept()
        with peer:
            with contextlib.suppress(OSError):
                peer.sendall(f"here is {peer.getsockname()[0]}".encode())


def serve_udp(family, address, port):
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((address, port))
    while True:
        _, peer = server.recvfrom(2048)
        server.sendto(f"here is {address}".encode(), peer)


def be_the_internet():
    names = Names()
    jobs = [names.serve_udp, names.serve_tcp]
    jobs += [lambda family=family, port=port: serve_tcp(family, port) for family in (socket.AF_INET, socket.AF_INET6) for port in PORTS]
    jobs += [lambda address=address: serve_udp(socket.AF_INET, address, 443) for address in HOSTS4]
    jobs += [lambda address=address: serve_udp(socket.AF_INET6, address, 443) for address in HOSTS6 if not address.startswith("fe80")]
    for job in jobs:
        threading.Thread(target=job, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        names.names.update(order.get("names", {}))
        print(json.dumps(names.asked), flush=True)
        if order.get("forget"):
            names.asked.clear()


# ---- the tests' side ----

class Internet:
    """While it lasts, this process is in the node's namespace, with files of its own for names."""

    def __init__(self, folder):
        self.folder = folder
        self.kept = None
        self.process = None

    def __enter__(self):
        self.kept = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")], os.getcwd()
        checked(libc.unshare(NEWNS | NEWNET))
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        for file, text in {"resolv.conf": f"nameserver {RESOLVER}\n",
                           "hosts": f"127.0.0.1 localhost\n127.0.1.1 secret-name-of-the-node\n203.0.113.7 known.test # and more\n{NODE4} mine.test\n"}.items():
            path = self.folder / file
            path.write_text(text)
            subprocess.run(["mount", "--bind", path, os.path.realpath(f"/etc/{file}")], check=True)
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        theirs = self._network_of(self.process.pid)
        links = [f"link add node type veth peer name world netns {theirs}", "link set lo up", "link set node up", f"addr add {NODE4}/24 dev node",
                 f"addr add {NODE6}/64 dev node nodad", "route add default via 198.51.100.254", "route add default via 2001:db8::5"]
        ip(*links)
        # What a router would send on: every address that is somebody's there.
        others = ["link set lo up", "link set world up", "route add default via 198.51.100.1 dev world onlink"]
        others += [f"addr add {address}/{24 if address.startswith('198.51') else 32} dev world" for address in HOSTS4]
        others += [f"addr add {address}/{64 if address.startswith(('2001', 'fe80')) else 128} dev world nodad" for address in HOSTS6]
        subprocess.run(["nsenter", f"--net=/proc/{theirs}/ns/net", "ip", "-batch", "-"], input="\n".join(sorted(others, key=lambda line: "route" in line)),
                       text=True, check=True)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ready\n"
        return self

    def _network_of(self, pid):
        own = os.stat("/proc/self/ns/net").st_ino
        while os.stat(f"/proc/{pid}/ns/net").st_ino == own:
            pass
        return pid

    def order(self, **order):
        """The names that were asked for since they were last forgotten."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        (network, mounts), folder = self.kept
        checked(libc.setns(network, NEWNET))
        checked(libc.setns(mounts, NEWNS))
        os.chdir(folder)
        os.close(network)
        os.close(mounts)


if __name__ == "__main__":
    sys.stdin.readline()
    be_the_internet()
