"""Writes to its log as fast as it can: two hundred thousand lines, and one that has no end."""
import os
import sys

from attack import application, attempt

TITLE = "log bombs (many lines, one endless line)"
WALL = "logs are capped in size on the node, and rate-limited at the shim"
SECOND = "records are bounded; the writer waits"


@attempt(inside="done")
def lines():
    for index in range(200_000):
        print("a line of a log that nobody wants to read", index)
    sys.stdout.flush()


@attempt(inside="done")
def endless_line():
    for _ in range(512):
        os.write(1, b"x" * 65536)


app = application(globals())
