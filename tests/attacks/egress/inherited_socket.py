"""Turns round the one socket that it was given: a connection of its users' belongs to the node's network namespace for ever. Disconnected (connect to
AF_UNSPEC), such a socket can connect anew, from the node: to its loopback, to the metadata service, past every rule for the app's own namespace.
Its other end then stays without an answer, so what came of it is kept for the next question."""
import ctypes
import os

from attack import application, failed, given, libc, users_connections

TITLE = "connect from the node's network, with a socket that came from there"
WALL = "a locked packet filter on the listening socket, which connections inherit: answers to connections that the app began do not reach it"
SECOND = "it is tied to the loopback interface"
came = {}


def turn_round(sock, host, port):
    sock.setblocking(True)
    if libc.connect(sock.fileno(), bytes(16), 16) < 0:
        raise failed(ctypes.get_errno())
    sock.settimeout(4)
    sock.connect((host, int(port)))
    return "connected"


def attack():
    targets = {"loopback": ("127.0.0.1", given["port"]), "closed port": ("127.0.0.1", 9), "metadata": (given["metadata"], 80)}
    target = given["target"]

    came[target] = "no connection found"
    for sock in users_connections():
        came[target] = "under way"
        try:
            came[target] = turn_round(sock, *targets[target])
        except TimeoutError:
            came[target] = "timeout"
        except OSError as error:
            came[target] = os.strerror(error.errno)
        return


ROUTES = {"/attack": attack, "/came": lambda: came}
app = application(globals())
