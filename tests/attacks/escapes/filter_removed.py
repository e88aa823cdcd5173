"""Gets rid of the filter, or puts another before it that answers in its place."""
import ctypes
import struct

from attack import application, attempt, failed, libc, syscall

TITLE = "remove or replace the filter (seccomp, prctl)"
WALL = "the kernel: a filter is never removed, and the strictest of several decides"
SECOND = "seccomp refuses further filters"


def allow_all():
    program = struct.pack("<HBBI", 0x06, 0, 0, 0x7fff0000)
    code = ctypes.create_string_buffer(program)
    return code, struct.pack("<H6xQ", 1, ctypes.addressof(code))


@attempt(inside="EPERM", outside="EINVAL")
def strict_mode_off():
    if libc.prctl(22, ctypes.c_ulong(0), None, 0, 0) < 0:
        raise failed(ctypes.get_errno())


@attempt(inside="EPERM", outside="done")
def another_filter():
    code, description = allow_all()
    syscall("seccomp", 1, 0, description)


@attempt(inside="EPERM", outside="done")
def a_filter_that_asks_the_app():
    """SECCOMP_FILTER_FLAG_NEW_LISTENER: the app itself would say what comes of each call."""
    code, description = allow_all()
    syscall("seccomp", 1, 8, description)


app = application(globals())
