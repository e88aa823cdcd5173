"""Connects to what listens on the host: abstract sockets know no file system, others have a path."""
import os
import socket

from attack import application, attempt, given

TITLE = "Unix sockets of the host (abstract names, msed's socket, the shims' control sockets)"
WALL = "network namespace of the app's own; the sandbox's root has no path to them"
SECOND = "Landlock's scopes (abstract sockets)"
CONTROL_KEEPS = ("net",)


def connect(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(address)


@attempt(inside=("ECONNREFUSED", "EPERM", "EACCES"), outside="done")
def abstract():
    connect("\0" + given["abstract"])


@attempt(inside="ENOENT", outside="done")
def node():
    connect(given["node_socket"])


@attempt(inside="ENOENT", outside="done")
def control():
    folder, _, name = given["control_socket"].rpartition("/")
    connect(f"/proc/self/fd/{os.open(folder, os.O_PATH)}/{name}")


@attempt(inside="none")
def listed():
    """/proc/net/unix shows the names of a network namespace's sockets."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            return given["abstract"] if given["abstract"] in file.read() else "none"
    except OSError:
        return "none"


@attempt(inside="none")
def sockets_in_the_file_system():
    found = []
    for folder in ("/run", "/tmp", "/var", "/root", "/mse-app"):
        for where, _, names in os.walk(folder):
            found += [f"{where}/{name}" for name in names if os.path.exists(f"{where}/{name}") and (os.stat(f"{where}/{name}").st_mode & 0o170000) == 0o140000]
    return " ".join(found) or "none"


app = application(globals())
