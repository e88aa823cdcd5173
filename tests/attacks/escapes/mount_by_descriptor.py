"""The newer way to mount, by descriptors."""
import os

from attack import AT_FDCWD, application, attempt, syscall

TITLE = "mount by descriptors (open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr)"
WALL = "seccomp"
SECOND = "no capability in the sandbox's user namespace; Landlock"
OPEN_TREE_CLONE = 1


@attempt(inside="EPERM", outside="done")
def open_tree():
    os.close(syscall("open_tree", AT_FDCWD, "/usr", OPEN_TREE_CLONE))


@attempt(inside="EPERM", outside=("EINVAL", "EBADF"))
def move_mount():
    syscall("move_mount", -1, "", AT_FDCWD, "/usr", 4)


@attempt(inside="EPERM", outside="done")
def fsopen():
    os.close(syscall("fsopen", "tmpfs", 0))


@attempt(inside="EPERM", outside=("EINVAL", "EBADF"))
def fsconfig():
    syscall("fsconfig", -1, 0, None, None, 0)


@attempt(inside="EPERM", outside="EBADF")
def fsmount():
    syscall("fsmount", -1, 0, 0)


@attempt(inside="EPERM", outside=("EINVAL", "done"))
def fspick():
    os.close(syscall("fspick", AT_FDCWD, "/", 0))


@attempt(inside="EPERM", outside=("done", "EINVAL"))
def mount_setattr():
    syscall("mount_setattr", AT_FDCWD, "/", 0, bytes(32), 32)


app = application(globals())
