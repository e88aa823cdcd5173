"""Speaks to the hardware past the kernel."""
from attack import application, attempt, syscall

TITLE = "input and output ports (iopl, ioperm)"
WALL = "seccomp"
SECOND = "no capability"


@attempt(inside="EPERM", outside=("done", "ENOSYS"))
def iopl():
    syscall("iopl", 3)


@attempt(inside="EPERM", outside=("done", "ENOSYS"))
def ioperm():
    syscall("ioperm", 0x80, 1, 1)


app = application(globals())
