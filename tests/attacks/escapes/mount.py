"""Changes what is mounted: the image writable, a folder over another, a fresh /proc without its covers."""
from attack import application, attempt, syscall

TITLE = "mount, remount, bind (mount)"
WALL = "seccomp"
SECOND = "no capability in the sandbox's user namespace; Landlock"
MS_REMOUNT, MS_BIND, MS_NOSUID, MS_NODEV = 32, 4096, 2, 4


@attempt(inside="EPERM", outside="done")
def tmpfs():
    syscall("mount", "none", "/tmp", "tmpfs", 0, None)


@attempt(inside="EPERM", outside="done")
def bind():
    syscall("mount", "/usr", "/tmp", None, MS_BIND, None)


@attempt(inside="EPERM", outside=("done", "EINVAL"))
def remount_writable():
    syscall("mount", None, "/usr", None, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, None)


@attempt(inside="EPERM", outside="done")
def fresh_proc():
    syscall("mount", "proc", "/proc", "proc", 0, None)


@attempt(inside="EPERM", outside="done")
def propagate():
    syscall("mount", None, "/", None, 1 << 20, None)


app = application(globals())
