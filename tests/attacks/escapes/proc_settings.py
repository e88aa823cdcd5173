"""The kernel's settings, some of which are programs that it starts as root: core_pattern, modprobe, hotplug, binfmt_misc."""
import os

from attack import application, attempt

TITLE = "the kernel's settings (/proc/sys, /proc/sysrq-trigger, /sys)"
WALL = "/proc/sys is covered or read-only, there is no /sys"
SECOND = "the files belong to the host's root"
PATHS = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/fs/binfmt_misc/register",
         "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/randomize_va_space", "/proc/sysrq-trigger",
         "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/acpi/wakeup",
         "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/release_agent")


@attempt(inside="none", outside="some")
def opened_for_writing():
    found = []
    for path in PATHS:
        try:
            os.close(os.open(path, os.O_WRONLY))
            found.append(path)
        except OSError:
            pass
    if "MODULE_PATH" in os.environ:
        return " ".join(found) or "none"
    return "some" if found else "none"


@attempt(inside="ENOENT", outside="done")
def sys():
    os.listdir("/sys/kernel")


app = application(globals())
