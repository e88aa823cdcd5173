"""Computes in every thread that it can have, without ever waiting. The test looks how long the node and the neighbour take meanwhile, and
how much of the processors the app had."""
import hashlib
import threading
import time

from attack import application

TITLE = "CPU bomb"
WALL = "the plan's CPU quota (cpu cgroup)"
SECOND = "the limit of tasks"


def bomb():
    end = time.monotonic() + 6

    def spin():
        data = bytes(1 << 20)
        while time.monotonic() < end:
            hashlib.sha256(data)

    for _ in range(8):
        threading.Thread(target=spin, daemon=True).start()
    return "lit"


ROUTES = {"/bomb": bomb}
app = application(globals())
