"""Becomes another user."""
import os

from attack import application, attempt, syscall

TITLE = "become another user (setuid, setgid, setgroups, uid_map)"
WALL = "one user and one group in the namespace, set before the app's first line"
SECOND = "no capability; seccomp"


@attempt(inside=("EPERM", "EINVAL"), outside="done")
def groups():
    syscall("setgroups", 0, None)


@attempt(inside=("EPERM", "EINVAL"), outside="done")
def group():
    syscall("setgid", 1)


@attempt(inside=("EPERM", "EACCES", "EROFS"), outside="EPERM")
def map_more_users():
    with open("/proc/self/uid_map", "wb", buffering=0) as file:
        file.write(b"0 0 4294967295")


@attempt(inside=("EPERM", "EINVAL"), outside="done")
def user():
    syscall("setuid", 1)


app = application(globals())
