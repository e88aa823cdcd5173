"""Opens files, pipes, sockets and watches until none can be opened. The server keeps its own."""
import ctypes
import os
import socket

from attack import application, attempt, failed, libc

TITLE = "descriptor bombs (files, pipes, sockets, watches)"
WALL = "the plan's limit of open files"
SECOND = "the plan's memory, which counts what descriptors keep in the kernel"


def bomb(open_some, most=100_000):
    opened = []
    try:
        while len(opened) < most:
            opened += open_some()
        return f"{len(opened)} descriptors"
    finally:
        for one in opened:
            one.close() if isinstance(one, socket.socket) else os.close(one)


@attempt(inside="EMFILE")
def files():
    return bomb(lambda: [os.open("/dev/null", os.O_RDONLY)])


@attempt(inside="EMFILE")
def pipes():
    return bomb(os.pipe)


@attempt(inside="EMFILE")
def sockets():
    return bomb(socket.socketpair)


@attempt(inside="EMFILE")
def watches():
    def one():
        fd = libc.inotify_init1(0)
        if fd < 0:
            raise failed(ctypes.get_errno())
        return [fd]
    return bomb(one)


app = application(globals())
