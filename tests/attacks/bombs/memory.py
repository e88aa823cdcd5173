"""Takes memory and touches every page of it, until the kernel ends it."""
from attack import application

TITLE = "memory bomb"
WALL = "the plan's memory (memory cgroup, no swap): the enclave alone is ended, and its owner reads why"
SECOND = "none"


def bomb():
    taken = []
    while len(taken) < 8192:
        taken.append(b"\1" * (1 << 20))
    return len(taken)


ROUTES = {"/bomb": bomb}
app = application(globals())
