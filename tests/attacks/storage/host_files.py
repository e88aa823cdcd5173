"""Reads the host's files: by their paths, by links in its own storage, and by links that climb."""
import os

from attack import application, attempt, given

TITLE = "the host's files (paths, symbolic links, hard links)"
WALL = "pivot_root into a root that has the image and nothing of the host's"
SECOND = "another host uid"
HOME = "/root" if "MODULE_PATH" in os.environ else "/tmp"


def read(path):
    with open(path, "rb") as file:
        return file.read(64).decode()


def link(target):
    path = f"{HOME}/mse-attack-link"
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)
    try:
        return read(path)
    finally:
        os.unlink(path)


@attempt(inside="ENOENT", outside="the host's own file")
def by_path():
    return read(given["canary"])


@attempt(inside="ENOENT", outside="the host's own file")
def by_link():
    return link(given["canary"])


@attempt(inside="ENOENT", outside="the host's own file")
def by_climbing_link():
    return link("../" * 60 + given["canary"].lstrip("/"))


@attempt(inside="ENOENT", outside="the host's own file")
def by_the_first_process():
    return read("/proc/1/root" + given["canary"])


@attempt(inside=("EXDEV", "EROFS", "EPERM", "EACCES"), outside=("done", "EXDEV"))
def hard_link_of_the_image():
    os.link("/usr/bin/env", f"{HOME}/mse-attack-hard-link")
    os.unlink(f"{HOME}/mse-attack-hard-link")


@attempt(inside="bin dev etc home lib media mnt mse mse-app opt proc root run sbin srv tmp usr var")
def top():
    return " ".join(sorted(name for name in os.listdir("/") if name not in ("boot", "lib64", "lib32", "libx32", "sys")))


app = application(globals())
