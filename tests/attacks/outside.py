"""The world outside of the node, in a network namespace of its own: a web server and a name server at several addresses. Says at GET /seen
what has come to it: connections, datagrams, names that were asked for. Usage: outside.py, after its interfaces are there."""
import json
import socket
import struct
import threading

GOOD, OTHER, METADATA = "203.0.113.7", "203.0.113.8", "169.254.169.254"
NAME_SERVER = "198.51.100.1"
GOOD6, OTHER6 = "2001:db8:113::7", "2001:db8:113::8"
PORTS = (80, 443, 53)
NAMES = {"good.example": (GOOD, GOOD6), "other.example": (OTHER, OTHER6)}
seen = []


def serve_stream(listener):
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=answer_stream, args=(peer,), daemon=True).start()


def answer_stream(peer):
    with peer:
        peer.settimeout(10)
        address, port = peer.getsockname()[:2]
        try:
            request = peer.recv(4096)
            if request.startswith(b"GET /seen"):
                peer.sendall(json.dumps(seen).encode())
                return
            seen.append(f"tcp {address.removeprefix('::ffff:')} {port}")
            peer.sendall(b"outside")
        except OSError:
            pass


def question(data):
    name, at = [], 12
    while data[at]:
        name.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(name).lower(), struct.unpack(">H", data[at + 1:at + 3])[0], data[12:at + 5]


def serve_names(listener):
    while True:
        data, sender = listener.recvfrom(2048)
        try:
            name, kind, asked = question(data)
        except (IndexError, struct.error):
            seen.append("udp 53")
            continue
        seen.append(f"dns {name}")
        answer = b""
        if name in NAMES and kind == 1:
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_pton(socket.AF_INET, NAMES[name][0])
        elif name in NAMES and kind == 28:
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 28, 1, 1, 16) + socket.inet_pton(socket.AF_INET6, NAMES[name][1])
        code = 0x8180 if name in NAMES else 0x8183
        listener.sendto(data[:2] + struct.pack(">HHHHH", code, 1, 1 if answer else 0, 0, 0) + asked + answer, sender)


def serve_datagrams(listener):
    while True:
        data, sender = listener.recvfrom(2048)
        seen.append("udp 9000")
        listener.sendto(b"outside", sender)


def main():
    for port in PORTS:
        listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        threading.Thread(target=serve_stream, args=(listener,), daemon=True).start()
    for port, serve in ((53, serve_names), (9000, serve_datagrams)):
        # Each address apart: an answer has to come from where the question went.
        for address in (NAME_SERVER, GOOD, OTHER, METADATA, GOOD6, OTHER6):
            listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            listener.bind((address, port))
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
