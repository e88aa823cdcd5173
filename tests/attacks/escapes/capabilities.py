"""Takes rights back that were given up."""
import ctypes
import struct

from attack import application, attempt, libc, failed, syscall

TITLE = "take capabilities back (capset, ambient set, no_new_privs)"
WALL = "the bounding set is empty before the first line of the enclave runs"
SECOND = "seccomp; no_new_privs"


def status(name):
    with open("/proc/thread-self/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


@attempt(inside="EPERM", outside="done")
def capset():
    # All that the control still has, and in an enclave everything.
    wanted = int(status("CapPrm"), 16) or (1 << 40) - 1
    header, low, high = struct.pack("<II", 0x20080522, 0), wanted & 0xffffffff, wanted >> 32
    syscall("capset", header, struct.pack("<IIIIII", low, low, 0, high, high, 0))


@attempt(inside="0000000000000000 0000000000000000 0000000000000000 0000000000000000")
def held():
    return " ".join(status(name) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"))


@attempt(inside=("EINVAL", "EPERM"), outside=("EINVAL",))
def privileges_after_all():
    """PR_SET_NO_NEW_PRIVS cannot be taken back, by anybody."""
    if libc.prctl(38, ctypes.c_ulong(0), 0, 0, 0) < 0:
        raise failed(ctypes.get_errno())


@attempt(inside="1 2", outside="0 0")
def no_new_privs_and_filter():
    return f'{status("NoNewPrivs")} {status("Seccomp")}'


app = application(globals())
