"""Takes mounts away, to see what they cover."""
from attack import application, attempt, syscall

TITLE = "take mounts away (umount2)"
WALL = "seccomp"
SECOND = "no capability in the sandbox's user namespace"
MNT_DETACH = 2


@attempt(inside="EPERM", outside="done")
def proc():
    syscall("umount2", "/proc", MNT_DETACH)


@attempt(inside="EPERM", outside=("EINVAL", "done"))
def tmp():
    syscall("umount2", "/tmp", MNT_DETACH)


@attempt(inside="EPERM", outside=("EINVAL", "EBUSY", "done"))
def root():
    syscall("umount2", "/", 0)


app = application(globals())
