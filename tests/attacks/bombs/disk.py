"""Fills $HOME to its last byte, and goes on. The test looks that the node's disk has lost no more than the plan's share."""
import json
import os

from attack import application, attempt

TITLE = "disk bomb"
WALL = "$HOME is a file system of the plan's size"
SECOND = "its room is reserved when the app is deployed; no app meets the node's full disk"


def storage():
    with open("/mse/manifest.json", "rb") as file:
        return json.load(file)["limits"]["storage"]


@attempt(inside="ENOSPC")
def fill():
    most, written, block = storage(), 0, os.urandom(65536)
    try:
        with open("/root/bomb", "wb", buffering=0) as file:
            while written < 4 * most:
                written += file.write(block)
        return f"{written} bytes"
    except OSError:
        if written > most:
            return f"{written} bytes"
        raise


@attempt(inside="ENOSPC")
def fill_further():
    with open("/root/bomb-2", "wb", buffering=0) as file:
        for _ in range(1024):
            file.write(b"\1" * 65536)


@attempt(inside="done")
def usable_again():
    os.unlink("/root/bomb")
    os.unlink("/root/bomb-2")
    with open("/root/small", "wb") as file:
        file.write(b"content")
        os.fsync(file.fileno())
    os.unlink("/root/small")


app = application(globals())
