"""Counters that watch other processes and the kernel."""
import os
import struct

from attack import application, attempt, syscall

TITLE = "performance counters (perf_event_open)"
WALL = "seccomp"
SECOND = "no capability"


def counter(process, cpu):
    # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
    os.close(syscall("perf_event_open", struct.pack("<IIQ", 1, 112, 0) + bytes(96), process, cpu, -1, 0))


@attempt(inside="EPERM", outside="done")
def of_this_process():
    counter(0, -1)


@attempt(inside="EPERM", outside="done")
def of_the_machine():
    counter(-1, 0)


app = application(globals())
