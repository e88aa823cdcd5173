"""What only an administrator of the machine may: each asks for something that changes nothing, or that cannot be."""
import os
import struct

from attack import application, attempt, syscall

TITLE = "administration of the machine (reboot, swap, accounting, quotas, kernel log, terminals, LDT)"
WALL = "seccomp"
SECOND = "no capability"


@attempt(inside="EPERM", outside="EINVAL")
def reboot():
    syscall("reboot", 0xfee1dead, 672274793, 0, None)


@attempt(inside="EPERM", outside=("EINVAL", "ENOENT"))
def swap_on():
    syscall("swapon", "/no/such/swap", 0)


@attempt(inside="EPERM", outside=("EINVAL", "ENOENT"))
def swap_off():
    syscall("swapoff", "/no/such/swap")


@attempt(inside="EPERM", outside=("ENOENT", "ENOSYS"))
def accounting():
    syscall("acct", "/no/such/file")


@attempt(inside="EPERM", outside=("ENOENT", "ENOTBLK", "ENODEV", "ENOSYS"))
def quotas():
    syscall("quotactl", 0x80000100, "/no/such/device", 0, bytes(128))


@attempt(inside="EPERM", outside="done")
def kernel_log():
    # SYSLOG_ACTION_SIZE_BUFFER
    return None if syscall("syslog", 10, None, 0) >= 0 else "empty"


@attempt(inside="EPERM", outside="done")
def hang_up():
    if "MODULE_PATH" in os.environ:
        syscall("vhangup")
    else:
        return "done"


@attempt(inside="ENOSYS", outside=("done", "ENOSYS"))
def segments():
    syscall("modify_ldt", 1, struct.pack("<IIII", 0, 0, 0, 0x28), 16)


@attempt(inside="ENOSYS", outside=("ENOSYS", "EINVAL", "EFAULT", "ENOENT"))
def retired_calls():
    """uselib: what no program needs and old kernels still have."""
    syscall("uselib", "/no/such/library")


app = application(globals())
