"""Changes what the next start would run: the enclave's program, its manifest, the image's Python, the loader's list of libraries."""
import os

from attack import application, attempt

TITLE = "change the program, the manifest, the bundle or the image"
WALL = "all are mounted read-only"
SECOND = "the files belong to nobody in the sandbox; every digest is checked before each start"


def write(path):
    os.close(os.open(path, os.O_WRONLY))


def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))


@attempt(inside=("EROFS", "EACCES"))
def program():
    write("/mse/bin/mse-enclave")


@attempt(inside=("EROFS", "EACCES"))
def manifest():
    write("/mse/manifest.json")


@attempt(inside="ENOENT")
def bundle():
    write("/mse/bundle")


@attempt(inside=("EROFS", "EACCES"))
def replace_the_program():
    os.rename("/mse/bin/mse-enclave", "/mse/bin/old")


@attempt(inside=("EROFS", "EACCES"), outside="done")
def loader():
    create("/etc/ld.so.preload.mse-attack")
    os.unlink("/etc/ld.so.preload.mse-attack")


@attempt(inside=("EROFS", "EACCES"), outside="done")
def image():
    create("/usr/lib/python3/mse-attack")
    os.unlink("/usr/lib/python3/mse-attack")


@attempt(inside=("EROFS", "EACCES"), outside="done")
def root():
    create("/mse-attack")
    os.unlink("/mse-attack")


@attempt(inside=("EROFS", "EACCES", "EPERM"))
def by_its_own_executable():
    """So a container's process once overwrote the runtime on the host: /proc/self/exe."""
    write("/proc/self/exe")


@attempt(inside=("EROFS", "EACCES", "EPERM"))
def mode_of_the_program():
    os.chmod("/mse/bin/mse-enclave", 0o777)


app = application(globals())
