"""Listens where the node, or a neighbour, listens: in its own namespace that is nobody's business, and in the node's it must not be."""
import os
import socket

from attack import application, attempt, given

TITLE = "listen at the node's ports"
WALL = "network namespace of the app's own"
SECOND = "what comes to another address or port of the sockets that it was given is dropped"


def listens(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("0.0.0.0", int(port)))
        sock.listen()


@attempt(inside=("done", "EACCES", "EPERM"))
def the_port_of_the_nodes_service():
    """There it is taken; here it is free, or nothing may be listened at."""
    listens(given["port"])


@attempt(inside="EINVAL")
def bind_the_inherited_socket_again():
    with socket.socket(fileno=os.dup(4)) as sock:
        sock.bind(("0.0.0.0", 0))


app = application(globals())
