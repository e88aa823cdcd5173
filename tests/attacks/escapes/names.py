"""Names the machine anew."""
import os

from attack import application, attempt, syscall

TITLE = "the machine's name (sethostname, setdomainname)"
WALL = "seccomp"
SECOND = "uts namespace; no capability"


@attempt(inside="EPERM", outside="done")
def host():
    syscall("sethostname", "owned", 5)


@attempt(inside="EPERM", outside="done")
def domain():
    syscall("setdomainname", "owned", 5)


@attempt(inside="mse")
def shown():
    return os.uname().nodename


app = application(globals())
