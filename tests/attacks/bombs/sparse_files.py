"""Files that say that they are larger than every disk."""
import os

from attack import application, attempt

TITLE = "giant sparse files"
WALL = "a sparse file takes what was written to it, which the folder's limit counts"
SECOND = "the plan's memory"


def giant(folder, size):
    path = f"{folder}/giant"
    with open(path, "wb") as file:
        try:
            os.ftruncate(file.fileno(), size)
            os.pwrite(file.fileno(), b"end", size - 3)
            return "sparse" if os.stat(path).st_blocks * 512 < 1 << 20 else "takes room"
        finally:
            os.unlink(path)


@attempt(inside="EFBIG")
def exbibytes_in_home():
    return giant("/root", 1 << 62)


@attempt(inside=("sparse", "EFBIG"))
def tebibytes_in_home():
    return giant("/root", 4 << 40)


@attempt(inside=("sparse", "EFBIG", "ENOSPC"))
def tebibytes_in_memory():
    return giant("/tmp", 4 << 40)


@attempt(inside="ENOSPC")
def reserved():
    with open("/root/reserved", "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, 1 << 36)
        finally:
            os.unlink("/root/reserved")


app = application(globals())
