"""Leaves a file behind that would give its rights to whoever runs it: the app's user owns it, and that user is nobody."""
import os
import struct

from attack import application, attempt, syscall

TITLE = "setuid files, file capabilities, files of other owners"
WALL = "one user id in the namespace: no file belongs to anybody else; no capability"
SECOND = "no_new_privs; every mount is nosuid; nothing can be executed"
FOLDER = "/root" if "MODULE_PATH" in os.environ else "/tmp"


def made():
    path = f"{FOLDER}/mse-attack-file"
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\n")
    return path


@attempt(inside="EINVAL", outside="done")
def give_away():
    os.chown(made(), 1, 1)


@attempt(inside="EPERM", outside="done")
def file_capability():
    os.setxattr(made(), "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 21, 0, 0, 0))


@attempt(inside="EPERM", outside="done")
def trusted_attribute():
    os.setxattr(made(), "trusted.mse", b"1")


@attempt(inside="nosuid", outside="some allow it")
def mounts():
    """A setuid bit can be set, by its owner, and means nothing: where it can be is nosuid."""
    allow = []
    with open("/proc/self/mounts", encoding="ascii") as file:
        for line in file:
            options = line.split()[3].split(",")
            if "nosuid" not in options and "ro" not in options:
                allow.append(line.split()[1])
    return ("some allow it" if "MODULE_PATH" not in os.environ else " ".join(allow)) if allow else "nosuid"


app = application(globals())
