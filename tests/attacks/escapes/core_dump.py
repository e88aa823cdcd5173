"""Makes itself dumpable and crashes: a core file would hold every key of the enclave, on the host's disk."""
import ctypes
import os
import resource

from attack import application, attempt, failed, libc

TITLE = "a core file of the enclave's memory"
WALL = "RLIMIT_CORE is 0, and hard"
SECOND = "the enclave is not dumpable; the sandbox's working folder is in memory"


@attempt(inside="0 0")
def limit():
    return " ".join(map(str, resource.getrlimit(resource.RLIMIT_CORE)))


@attempt(inside=("done", "EPERM"), outside="done")
def dumpable():
    if libc.prctl(4, ctypes.c_ulong(1), 0, 0, 0) < 0:
        raise failed(ctypes.get_errno())


def crash():
    libc.prctl(4, ctypes.c_ulong(1), 0, 0, 0)
    os.abort()


ROUTES = {"/crash": crash}
app = application(globals())
