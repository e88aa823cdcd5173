"""Searches everything that can be read for what the neighbour has written into its storage, its memory files and its code folder."""
import os

from attack import application, attempt, given

TITLE = "another app's files ($HOME, /tmp, /dev/shm, /mse-app)"
WALL = "mount namespace: each sandbox has mounts of its own"
SECOND = "another host uid for each app; $HOME is encrypted with a key of its own"
WHERE = ("/root", "/tmp", "/run", "/dev/shm", "/mse", "/mse-app", "/var/tmp", "/home", "/mnt", "/srv", "/opt", "/var/lib")


@attempt(inside="nothing")
def found():
    marker = given["marker"].encode()
    for folder in WHERE:
        for where, _, names in os.walk(folder):
            for name in names:
                try:
                    with open(f"{where}/{name}", "rb") as file:
                        if marker in file.read(1 << 20):
                            return f"{where}/{name}"
                except OSError:
                    pass
    return "nothing"


@attempt(inside="none")
def by_path():
    """Where the node keeps it."""
    return "there" if os.path.exists(given["data"]) or os.path.exists("/proc/1/root" + given["data"]) else "none"


app = application(globals())
