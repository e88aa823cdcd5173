"""Turns the randomisation of addresses off, or maps the page at address 0."""
import ctypes

from attack import application, attempt, failed, libc, syscall

TITLE = "another personality, the page at address 0"
WALL = "seccomp (personality), the kernel's mmap_min_addr"
SECOND = "no capability"


@attempt(inside="EPERM", outside="done")
def without_randomisation():
    syscall("personality", 0x0040000)


@attempt(inside=("EPERM", "EACCES"), outside="done")
def page_zero():
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    # MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    if libc.mmap(None, 4096, 3, 0x32, -1, 0) == ctypes.c_void_p(-1).value:
        raise failed(ctypes.get_errno())


app = application(globals())
