"""The oldest way out of a root: another root beneath it, and then up."""
import os

from attack import application, attempt, syscall

TITLE = "another root (chroot, pivot_root)"
WALL = "seccomp"
SECOND = "no capability; the host's root is mounted nowhere in the sandbox"


@attempt(inside="EPERM", outside="done")
def chroot():
    folder = os.open("/", os.O_RDONLY)
    syscall("chroot", "/usr")
    os.fchdir(folder)
    for _ in range(64):
        os.chdir("..")
    syscall("chroot", ".")


@attempt(inside="EPERM", outside=("EINVAL", "EBUSY"))
def pivot_root():
    syscall("pivot_root", "/", "/")


app = application(globals())
