"""Opens files by number, past every path: the root of the disk is inode 2. So once left a container for its host."""
import os
import struct

from attack import AT_FDCWD, application, attempt, syscall

TITLE = "files by number (name_to_handle_at, open_by_handle_at)"
WALL = "seccomp"
SECOND = "no capability over the host's file systems"


@attempt(inside="EPERM", outside=("done", "EOPNOTSUPP", "ENOTSUP"))
def name():
    syscall("name_to_handle_at", AT_FDCWD, "/usr", struct.pack("<Ii", 128, 0) + bytes(128), bytes(8), 0)


@attempt(inside="EPERM", outside=("done", "ESTALE", "ENOTSUP"))
def open_root():
    folder = os.open("/usr", os.O_RDONLY)
    os.close(syscall("open_by_handle_at", folder, struct.pack("<IiII", 8, 1, 2, 0), os.O_RDONLY))


@attempt(inside="EPERM", outside=("done", "ENOSYS"))
def watch_everything():
    """fanotify sees, and may forbid, what others open."""
    os.close(syscall("fanotify_init", 4, os.O_RDONLY))


app = application(globals())
