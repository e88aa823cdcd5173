"""New namespaces, in which this process would have every capability, and with them the kernel's less tried paths."""
import signal

from attack import application, attempt, spawn, syscall

TITLE = "new namespaces (unshare, clone)"
WALL = "seccomp"
SECOND = "the sandbox's user namespace allows none beneath it (bubblewrap's --disable-userns)"
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80)
EPERM = "EPERM"


@attempt(inside=EPERM, outside=("done", "EINVAL"))
def user():
    # EINVAL where this process has threads: the call is reached.
    syscall("unshare", NEWUSER)


@attempt(inside=EPERM, outside="done")
def mounts():
    syscall("unshare", NEWNS)


@attempt(inside=EPERM, outside="done")
def network():
    syscall("unshare", NEWNET)


@attempt(inside=EPERM, outside="done")
def pids():
    syscall("unshare", NEWPID)


@attempt(inside=EPERM, outside="done")
def ipc_uts_cgroup_time():
    syscall("unshare", NEWIPC | NEWUTS | NEWCGROUP | NEWTIME)


@attempt(inside=EPERM, outside="done")
def user_by_clone():
    spawn("clone", NEWUSER | int(signal.SIGCHLD), None, None, None, 0)


app = application(globals())
