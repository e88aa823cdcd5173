"""Names that are too long, too many components, bytes that are no text; left behind for whoever removes them."""
import os

from attack import application, attempt

TITLE = "giant and strange file names"
WALL = "the kernel's limits; nothing of the host's goes through an app's files by name"
SECOND = "$HOME is one encrypted file on the host"
FOLDERS = ("/root", "/tmp", "/mse-app")


def everywhere(name):
    for folder in FOLDERS:
        with open(os.fsencode(folder) + b"/" + name, "wb"):
            pass


@attempt(inside="ENAMETOOLONG")
def too_long():
    everywhere(b"n" * 256)


@attempt(inside="ENAMETOOLONG")
def too_many():
    everywhere(b"d/" * 2100)


@attempt(inside="done")
def longest():
    everywhere(b"n" * 255)


@attempt(inside="done")
def strange():
    for name in (b"\n", b"\x1b[2J", b"\xff\xfe", b"-rf", b"$(reboot)", b"'; --", b"\\", b" "):
        everywhere(name)


app = application(globals())
