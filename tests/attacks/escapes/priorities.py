"""Comes before everybody else on the processors, and raises its own limits."""
import os
import resource
import struct

from attack import application, attempt, syscall

TITLE = "priority and limits (real-time scheduling, nice, rlimits, oom_score_adj)"
WALL = "no capability; hard limits"
SECOND = "seccomp; the plan's CPU quota holds whatever the priority"


@attempt(inside="EPERM", outside="done")
def real_time():
    syscall("sched_setscheduler", 0, 1, struct.pack("<i", 1))


@attempt(inside=("EACCES", "EPERM"), outside="done")
def nice():
    syscall("setpriority", 0, 0, -20)


@attempt(inside="EPERM", outside="done")
def input_output_first():
    syscall("ioprio_set", 1, 0, 1 << 13)


@attempt(inside=("EPERM", "ValueError: not allowed to raise maximum limit"), outside=("done", "ValueError: not allowed to raise maximum limit"))
def core_dumps():
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))


@attempt(inside=("EPERM", "ValueError: not allowed to raise maximum limit"), outside=("done", "ValueError: not allowed to raise maximum limit"))
def more_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))


@attempt(inside="EROFS", outside=("done", "EACCES", "EPERM"))
def never_out_of_memory():
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"-1000")


app = application(globals())
