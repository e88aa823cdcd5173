"""Binds a connection of its users' anew, once it is disconnected, to another address of the node's network namespace, and listens there: for whoever
asks from outside, past the operator's proxy."""
import ctypes
import socket
import threading

from attack import application, failed, given, libc, users_connections

TITLE = "listen at another address of the node, with a socket that came from there"
WALL = "the locked packet filter of the listening socket and of its connections: what comes to another address or port is dropped"
SECOND = "they are tied to the loopback interface"
came = {}
kept = []


def serve(listener):
    while True:
        client, _ = listener.accept()
        client.sendall(b"the app")
        client.close()


def attack():
    address = given["address"]
    for sock in users_connections():
        port = sock.getsockname()[1]
        try:
            if libc.connect(sock.fileno(), bytes(16), 16) < 0:
                raise failed(ctypes.get_errno())
            sock.bind((address, port))
            sock.listen()
            sock.setblocking(True)
            kept.append(sock)
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
            came[address] = "listens at %s %d" % sock.getsockname()
        except OSError as error:
            came[address] = str(error)
        return


ROUTES = {"/attack": attack, "/came": lambda: came}
app = application(globals())
