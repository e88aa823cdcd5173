"""The kernel's keyrings are no part of any namespace: those of the user and of the session would be shared with the host."""
from attack import application, attempt, syscall

TITLE = "kernel keyrings (add_key, request_key, keyctl)"
WALL = "seccomp"
SECOND = "a host uid of the app's own"
SESSION, USER = -3 & 0xffffffff, -4 & 0xffffffff


@attempt(inside="EPERM", outside=("done", "EDQUOT"))
def add_key():
    syscall("add_key", "user", "mse-attack", b"payload", 7, -2)


@attempt(inside="EPERM", outside="ENOKEY")
def request_key():
    syscall("request_key", "user", "mse-attack-none", None, 0)


@attempt(inside="EPERM", outside=("done", "ENOKEY"))
def join_a_session():
    syscall("keyctl", 1, "mse-attack", 0, 0, 0)


@attempt(inside="EPERM", outside="ENOKEY")
def search():
    syscall("keyctl", 10, -2, "user", "mse-attack-none", 0)


app = application(globals())
