"""A queue of system calls that no seccomp filter sees."""
import os

from attack import application, attempt, syscall

TITLE = "system calls past the filter (io_uring)"
WALL = "seccomp"
SECOND = "what a queue could do, Landlock and the namespaces refuse all the same"


@attempt(inside="ENOSYS", outside=("done", "EPERM"))
def setup():
    os.close(syscall("io_uring_setup", 4, bytes(120)))


@attempt(inside="ENOSYS", outside="EBADF")
def enter():
    syscall("io_uring_enter", -1, 1, 0, 0, None, 0)


@attempt(inside="ENOSYS", outside=("EBADF", "EINVAL"))
def register():
    syscall("io_uring_register", -1, 0, None, 0)


app = application(globals())
