"""Makes empty files in $HOME until there is no room for another, and folders in folders."""
import os
import shutil

from attack import application, attempt

TITLE = "inode bomb, deep folders"
WALL = "$HOME is a file system with a number of inodes of its own"
SECOND = "its size"


@attempt(inside="ENOSPC")
def files():
    made = 0
    os.mkdir("/root/bomb")
    try:
        for index in range(2_000_000):
            os.mknod(f"/root/bomb/{index}")
            made += 1
        return f"{made} files"
    finally:
        shutil.rmtree("/root/bomb")


@attempt(inside=("deep", "ENOSPC"))
def folders():
    """Left behind: the stop has to do with it."""
    os.mkdir("/root/deep")
    here = os.open("/root/deep", os.O_RDONLY)
    try:
        for _ in range(5000):
            os.mkdir("d" * 100, dir_fd=here)
            deeper = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        return "deep"
    finally:
        os.close(here)


app = application(globals())
