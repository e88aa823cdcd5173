"""Opens the host's devices, and lists what there is."""
import os

from attack import application, attempt

TITLE = "the host's devices (/dev/mem, /dev/kmsg, disks, loop devices, fuse, kvm, tun, input)"
WALL = "a /dev of the sandbox's own with nothing but null, zero, full, random, urandom"
SECOND = "the app's host uid owns no device; Landlock lets no device take requests"
HOSTS = ("mem", "kmem", "port", "kmsg", "vda", "sda", "loop-control", "loop0", "fuse", "kvm", "net/tun", "vhost-net", "mapper/control", "cuse", "uinput",
         "hwrng", "cpu/0/msr", "btrfs-control", "autofs", "console", "tty0", "tty1", "ttyS0", "vsock", "ppp", "snapshot", "watchdog", "userfaultfd")


@attempt(inside="none", outside="some")
def opened():
    found = []
    for name in HOSTS:
        try:
            os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK))
            found.append(name)
        except OSError:
            pass
    if "MODULE_PATH" in os.environ:
        return " ".join(found) or "none"
    return "some" if found else "none"


@attempt(inside="fd full null random shm stderr stdin stdout urandom zero")
def listed():
    return " ".join(sorted(name for name in os.listdir("/dev") if name != "core"))


app = application(globals())
