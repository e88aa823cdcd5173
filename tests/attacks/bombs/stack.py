"""Recursion in C until the stack ends: the enclave is lost, and comes back."""
import ctypes
import sys

from attack import application

TITLE = "stack exhaustion"
WALL = "a guard page ends the enclave; the shim restarts it"
SECOND = "the restart budget"


def crash():
    sys.setrecursionlimit(1 << 30)
    callback = ctypes.CFUNCTYPE(ctypes.c_int)

    def deeper():
        return callback(deeper)()
    return deeper()


ROUTES = {"/crash": crash}
app = application(globals())
