"""Makes the devices that /dev does not have: the machine's disk, its memory."""
import os
import stat

from attack import application, attempt

TITLE = "make device nodes (mknod)"
WALL = "no capability (seccomp lets mknod only make files and fifos)"
SECOND = "every writable mount is nodev"
FOLDERS = ("/tmp", "/root", "/mse-app", "/dev/shm", "/run")


def node(folder, kind, device):
    path = f"{folder}/mse-attack-node"
    os.mknod(path, kind | 0o600, device)
    try:
        os.close(os.open(path, os.O_RDONLY))
    finally:
        os.unlink(path)


def everywhere(kind, device):
    outcomes = set()
    for folder in FOLDERS if "MODULE_PATH" in os.environ else ("/tmp",):
        try:
            node(folder, kind, device)
            outcomes.add("done")
        except OSError as error:
            outcomes.add(os.strerror(error.errno))
    return " ".join(sorted(outcomes))


@attempt(inside="Operation not permitted", outside="done")
def null():
    return everywhere(stat.S_IFCHR, os.makedev(1, 3))


@attempt(inside="Operation not permitted", outside=("done", "Operation not permitted", "No such device or address"))
def memory():
    return everywhere(stat.S_IFCHR, os.makedev(1, 1))


@attempt(inside="Operation not permitted", outside=("done", "Operation not permitted", "No such device or address"))
def disk():
    return everywhere(stat.S_IFBLK, os.makedev(254, 0))


app = application(globals())
