"""Page faults handled by hand stop the kernel where it is most vulnerable: half of all kernel exploits begin with it."""
import os

from attack import application, attempt, syscall

TITLE = "page faults by hand (userfaultfd)"
WALL = "seccomp"
SECOND = "no /dev/userfaultfd"


@attempt(inside="EPERM", outside="done")
def call():
    os.close(syscall("userfaultfd", 0))


@attempt(inside="EPERM", outside="done")
def call_for_user_mode():
    os.close(syscall("userfaultfd", 1))


@attempt(inside=("ENOENT", "EACCES"), outside=("done", "ENOENT"))
def device():
    os.close(os.open("/dev/userfaultfd", os.O_RDWR))


app = application(globals())
