"""Programs in the kernel."""
import struct

from attack import application, attempt, syscall

TITLE = "programs in the kernel (bpf)"
WALL = "seccomp"
SECOND = "no capability"


@attempt(inside="EPERM", outside="done")
def a_map():
    syscall("bpf", 0, struct.pack("<IIIII", 2, 4, 4, 1, 0) + bytes(60), 72)


@attempt(inside="EPERM", outside=("EINVAL", "EFAULT", "E2BIG"))
def a_program():
    syscall("bpf", 5, bytes(72), 72)


app = application(globals())
