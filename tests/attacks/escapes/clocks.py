"""Changes the time, on which expiry and certificates rest: what is set is what the clock shows."""
import struct
import time

from attack import application, attempt, syscall

TITLE = "the machine's clock (settimeofday, clock_settime, adjtimex)"
WALL = "seccomp"
SECOND = "no capability"


@attempt(inside="EPERM", outside="EINVAL")
def set_time_of_day():
    syscall("settimeofday", struct.pack("<qq", int(time.time()), 10 ** 9), None)


@attempt(inside="EPERM", outside="EINVAL")
def set_clock():
    syscall("clock_settime", 0, struct.pack("<qq", int(time.time()), 10 ** 10))


@attempt(inside="EPERM", outside="EINVAL")
def adjust():
    # ADJ_TICK with a tick that cannot be
    syscall("adjtimex", struct.pack("<I", 0x4000) + bytes(300))


@attempt(inside="EPERM", outside="EINVAL")
def adjust_clock():
    syscall("clock_adjtime", 0, struct.pack("<I", 0x4000) + bytes(300))


app = application(globals())
