"""Makes a process, past everything that Python watches: by number, without an audit event."""
import signal

from attack import application, attempt, spawn, syscall

TITLE = "make a process (fork, vfork, clone, clone3)"
WALL = "seccomp"
SECOND = "pids limit of the plan"
CLONE_VM, CLONE_VFORK = 0x100, 0x4000


@attempt(inside="EPERM", outside="done")
def fork():
    spawn("fork")


@attempt(inside="EPERM", outside="done")
def clone_like_fork():
    spawn("clone", int(signal.SIGCHLD), None, None, None, 0)


@attempt(inside="EPERM", outside="EINVAL")
def clone_like_posix_spawn():
    # Without a stack of its own the child would destroy this one's: the flag that cannot go with it shows that the call is reached.
    spawn("clone", CLONE_VM | CLONE_VFORK | 0x10000 | int(signal.SIGCHLD), None, None, None, 0)


@attempt(inside="ENOSYS", outside="EINVAL")
def clone3():
    syscall("clone3", bytes(64), 8)


app = application(globals())
