"""Asks the file system for what only its administrator may: freezing it, trimming, files that cannot be removed, other projects, the list of its blocks."""
import fcntl
import os
import struct

from attack import application, attempt

TITLE = "requests to the file system (freeze, trim, immutable files, quota projects)"
WALL = "seccomp: ioctl is a list of a few requests"
SECOND = "no capability"
HOME = "/root" if "MODULE_PATH" in os.environ else "/tmp"


def request(number, argument=bytes(64), path=HOME):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, number, argument)
    finally:
        os.close(fd)


def own_file():
    path = f"{HOME}/mse-attack-file"
    with open(path, "wb"):
        pass
    return path


@attempt(inside="ENOTTY", outside=("done", "EINVAL", "ENOTSUP"))
def trim():
    request(0xc0185879, struct.pack("<QQQ", 0, 0, 0xffffffffffffffff), "/" if HOME == "/tmp" else HOME)


@attempt(inside="ENOTTY")
def freeze():
    # The control's file system is the host's.
    request(0xc0045877)


@attempt(inside="ENOTTY", outside=("done", "ENOTTY", "ENOTSUP", "EOPNOTSUPP"))
def append_only():
    path = own_file()
    request(0x40086602, struct.pack("<q", 0x20), path)
    request(0x40086602, struct.pack("<q", 0), path)
    os.unlink(path)


@attempt(inside="ENOTTY", outside=("EINVAL", "ENOTSUP", "EPERM", "EOPNOTSUPP", "done"))
def another_project():
    request(0x401c5820, struct.pack("<IIIII", 0, 0, 0, 1, 0) + bytes(8), own_file())


@attempt(inside="ENOTTY", outside=("done", "EINVAL", "ENOTSUP"))
def map_of_blocks():
    request(0xc020660b, bytes(32), own_file())


@attempt(inside=("ENOTSUP", "EOPNOTSUPP"), outside=("ENOTSUP", "EOPNOTSUPP"))
def stale_blocks():
    """FALLOC_FL_NO_HIDE_STALE: blocks as they were left, by whomever. No kernel of ours has it; the attempt would find one that does."""
    import ctypes
    from attack import failed, libc
    fd = os.open(own_file(), os.O_RDWR)
    try:
        if libc.fallocate(fd, 4, ctypes.c_long(0), ctypes.c_long(1 << 16)) < 0:
            raise failed(ctypes.get_errno())
    finally:
        os.close(fd)


app = application(globals())
