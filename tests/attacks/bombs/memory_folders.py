"""Fills the folders that are in memory, one after the other; nothing else is lost over it."""
import os

from attack import application, attempt

TITLE = "bombs in /tmp, /dev/shm and /run"
WALL = "a limit of size and of inodes for each, together below the plan's memory"
SECOND = "the plan's memory (memory cgroup)"


def fill(folder, most):
    path, written, block = f"{folder}/bomb", 0, b"\1" * 65536
    try:
        with open(path, "wb", buffering=0) as file:
            while written < 4 * most:
                written += file.write(block)
        return f"{written} bytes"
    except OSError:
        if written > most:
            return f"{written} bytes"
        raise
    finally:
        os.unlink(path)


def names(folder):
    made = 0
    try:
        for index in range(500_000):
            os.mknod(f"{folder}/{index}")
            made += 1
        return f"{made} files"
    finally:
        for index in range(made):
            os.unlink(f"{folder}/{index}")


def memory():
    """The limit of the plan, from the manifest."""
    import json
    with open("/mse/manifest.json", "rb") as file:
        return json.load(file)["limits"]["memory"]


@attempt(inside="ENOSPC")
def tmp():
    return fill("/tmp", memory() // 4)


@attempt(inside="ENOSPC")
def shm():
    return fill("/dev/shm", memory() // 8)


@attempt(inside=("ENOSPC", "EROFS", "EACCES", "ENOENT"))
def run():
    return fill("/run", 4 << 20)


@attempt(inside="ENOSPC")
def inodes_of_tmp():
    return names("/tmp")


@attempt(inside="ENOSPC")
def inodes_of_shm():
    return names("/dev/shm")


app = application(globals())
