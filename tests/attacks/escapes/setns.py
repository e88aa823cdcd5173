"""Enters the namespaces of others: by /proc, and by a process."""
import os

from attack import application, attempt, syscall

TITLE = "enter namespaces (setns)"
WALL = "seccomp"
SECOND = "pid namespace: /proc shows no process but one's own"


@attempt(inside="EPERM", outside="done")
def by_file():
    syscall("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0)


@attempt(inside="EPERM", outside="EBADF")
def by_process():
    syscall("setns", -1, 0x20000)


@attempt(inside="ENOENT", outside="ENOENT")
def of_the_host():
    """Of a process of the host's, by its number there. In namespaces of its own the control finds it no more than the enclave does."""
    os.open("/proc/4194000/ns/mnt", os.O_RDONLY)


app = application(globals())
