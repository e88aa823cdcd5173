"""Sends signals to everybody, to the shim, to a process of the host's that runs as the app's own user, and to one of root's.
The test keeps both canaries, and looks that they live."""
import fcntl
import os
import signal

from attack import application, attempt, given, syscall

TITLE = "signals to processes of the host (kill, tgkill, rt_sigqueueinfo, pidfd_send_signal, SIGIO)"
WALL = "pid namespace: the numbers name nobody"
SECOND = "a host uid of the app's own"


def targets():
    return [int(pid) for pid in given["pids"].split(",")]


def each(action):
    outcomes = set()
    for pid in targets():
        try:
            action(pid)
            outcomes.add("sent")
        except OSError as error:
            outcomes.add(os.strerror(error.errno))
    return " ".join(sorted(outcomes))


CONTROL_KEEPS = ("pid",)


@attempt(inside="Invalid argument", outside="sent")
def by_a_readable_socket():
    """F_SETOWN: the kernel would send SIGIO in the app's name."""
    reading, writing = os.pipe()
    return each(lambda pid: fcntl.fcntl(reading, fcntl.F_SETOWN, pid))


@attempt(inside="Function not implemented", outside="sent")
def by_descriptor():
    return each(lambda pid: syscall("pidfd_open", pid, 0))


@attempt(inside="No such process", outside="sent")
def kill():
    return each(lambda pid: os.kill(pid, signal.SIGKILL))


@attempt(inside="No such process", outside="sent")
def of_their_groups():
    return each(lambda pid: os.kill(-pid, signal.SIGKILL))


@attempt(inside="ESRCH")
def everybody():
    # The first process of a namespace is not meant itself.
    os.kill(-1, signal.SIGURG)


@attempt(inside="No such process", outside="sent")
def threads():
    return each(lambda pid: syscall("tgkill", pid, pid, int(signal.SIGKILL)))


@attempt(inside="Function not implemented", outside="sent")
def queued():
    return each(lambda pid: syscall("rt_sigqueueinfo", pid, int(signal.SIGTERM), b"\x0f" + bytes(7) + b"\xff" * 4 + bytes(116)))


app = application(globals())
