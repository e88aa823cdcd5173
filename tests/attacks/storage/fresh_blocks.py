"""Reads what was never written: blocks of its storage that earlier belonged to others, or to a file that was removed."""
import os

from attack import application, attempt

TITLE = "content of blocks that were never written"
WALL = "the file system gives zeros for what was not written"
SECOND = "beneath, everything is encrypted with a key of this deployment's own"
HOME = "/root" if "MODULE_PATH" in os.environ else "/tmp"
SIZE = 4 << 20


def looked_through(prepare):
    path = f"{HOME}/mse-attack-blocks"
    with open(path, "w+b") as file:
        prepare(file.fileno())
        data = file.read()
    os.unlink(path)
    return "zeros" if len(data) == SIZE and not data.strip(b"\0") else f"{len(data)} bytes, not zeros"


@attempt(inside="zeros", outside="zeros")
def reserved():
    return looked_through(lambda fd: os.posix_fallocate(fd, 0, SIZE))


@attempt(inside="zeros", outside="zeros")
def holes():
    return looked_through(lambda fd: os.ftruncate(fd, SIZE))


@attempt(inside="zeros", outside="zeros")
def after_a_removed_file():
    with open(f"{HOME}/mse-attack-removed", "wb") as file:
        file.write(b"removed " * (SIZE // 8))
        os.fsync(file.fileno())
    os.unlink(f"{HOME}/mse-attack-removed")
    return looked_through(lambda fd: os.posix_fallocate(fd, 0, SIZE))


app = application(globals())
