"""What /proc tells about the host, its kernel's memory first of all."""
import os

from attack import application, attempt, given

TITLE = "what /proc tells of the host (kcore, kallsyms, keys, kmsg, timer_list, modules, mountinfo)"
WALL = "covered in the sandbox's /proc, or empty without a capability"
SECOND = "pid namespace; the app's host uid and its want of capabilities"
PATHS = ("/proc/kcore", "/proc/kmsg", "/proc/kallsyms", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/modules",
         "/proc/iomem", "/proc/ioports", "/proc/config.gz", "/proc/slabinfo", "/proc/vmallocinfo", "/proc/pagetypeinfo", "/proc/1/root/etc/shadow",
         "/proc/kpageflags", "/proc/kpagecount", "/proc/self/pagemap_of_others", "/proc/latency_stats", "/proc/cmdline", "/proc/partitions", "/proc/diskstats")


def content(path):
    """Something that tells: not zeros where addresses would be."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            data = os.read(fd, 4096)
        finally:
            os.close(fd)
    except OSError:
        return False
    lines = [line for line in data.splitlines() if not line.startswith((b"0000000000000000 ", b"00000000-00000000", b"  00000000-00000000"))]
    return len(b"".join(lines).strip()) > 0 and not (path == "/proc/iomem" and b"ram" not in data.lower())


@attempt(inside="none", outside="some")
def readable():
    found = [path for path in PATHS if content(path)]
    if "MODULE_PATH" in os.environ:
        return " ".join(found) or "none"
    return "some" if found else "none"


@attempt(inside="1")
def processes():
    return " ".join(name for name in os.listdir("/proc") if name.isdigit())


@attempt(inside="none")
def paths_of_the_host():
    """Where the node keeps this app, as the mounts of the sandbox could tell."""
    found = []
    for name in ("mountinfo", "mounts", "maps", "cgroup"):
        with open(f"/proc/self/{name}", encoding="utf-8", errors="replace") as file:
            if given["data"] in file.read():
                found.append(name)
    return " ".join(found) or "none"


app = application(globals())
