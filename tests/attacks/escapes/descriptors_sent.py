"""Sends descriptors to the shim along its channel, hundreds of them, and credentials that are not its own. The test counts what the shim holds."""
import array
import os
import socket
import struct

from attack import CHANNEL, application, attempt, frame

TITLE = "descriptors and false credentials for the shim (SCM_RIGHTS, SCM_CREDENTIALS)"
WALL = "the shim has no room for descriptors in its messages: the kernel drops them"
SECOND = "the kernel lets nobody without capability name another process"
METRICS = 9


def channel():
    return socket.socket(fileno=os.dup(CHANNEL))


@attempt(inside=("done", "ETOOMANYREFS"))
def descriptors():
    # The kernel bounds what is on its way, too.
    with channel() as shim, open("/dev/null", "rb") as null:
        for _ in range(200):
            shim.sendmsg([frame(METRICS, bytes(40))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()] * 50))])


@attempt(inside="EPERM")
def credentials():
    with channel() as shim:
        shim.sendmsg([frame(METRICS, bytes(40))], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", 4194000, 0, 0))])


app = application(globals())
