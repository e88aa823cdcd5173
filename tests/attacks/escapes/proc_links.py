"""Follows the links of /proc and the descriptors that came with the process, upwards and out."""
import os

from attack import application, attempt

TITLE = "out by /proc's links and inherited descriptors (root, cwd, exe, fd, '..')"
WALL = "pivot_root: the root is the sandbox's own, nothing is above it; no descriptor of a folder is handed in"
SECOND = "another host uid"


def same(path):
    here, there = os.stat("/"), os.stat(path)
    return "the sandbox's root" if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) else "another root"


@attempt(inside="the sandbox's root")
def above_the_root():
    return same("/" + "../" * 100)


@attempt(inside="the sandbox's root")
def root_of_the_first_process():
    return same("/proc/1/root/..")


@attempt(inside="the sandbox's root")
def working_folder():
    return same("/proc/1/cwd" + "/.." * 40)


@attempt(inside="none")
def folders_among_the_descriptors():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
            if os.path.isdir(f"/proc/self/fd/{name}") and not target.startswith(("/proc/", "/mse-app")):
                found.append(target)
        except OSError:
            pass
    return " ".join(found) or "none"


@attempt(inside="null channel listener")
def descriptors_of_the_start():
    kinds = {"/dev/null": "null"}
    return " ".join([kinds.get(os.readlink("/proc/self/fd/0"), os.readlink("/proc/self/fd/0")),
                     "channel" if os.readlink("/proc/self/fd/3").startswith("socket:") else "?",
                     "listener" if os.readlink("/proc/self/fd/4").startswith("socket:") else "?"])


app = application(globals())
