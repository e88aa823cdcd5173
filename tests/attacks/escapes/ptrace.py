"""Takes hold of a process as a debugger does: whoever may trace the supervisor or a neighbour has all that it knows."""
from attack import application, attempt, syscall

TITLE = "trace another process (ptrace)"
WALL = "seccomp"
SECOND = "pid namespace: there is no other process to name"
TRACEME, ATTACH, SEIZE = 0, 16, 0x4206


@attempt(inside="EPERM", outside="done")
def traceme():
    syscall("ptrace", TRACEME, 0, None, None)


@attempt(inside="EPERM")
def attach_to_the_first_process():
    # Without the walls this would stop the control itself.
    syscall("ptrace", ATTACH, 1, None, None)


@attempt(inside="EPERM", outside="ESRCH")
def seize():
    syscall("ptrace", SEIZE, 4194000, None, None)


app = application(globals())
