"""Memory and queues that processes of the host share by number or name."""
import os

from attack import application, attempt, given, syscall

TITLE = "shared memory and queues of the host (System V, POSIX, /dev/shm)"
WALL = "ipc namespace, a /dev/shm of its own"
SECOND = "a host uid of the app's own; seccomp (System V IPC, message queues)"
CONTROL_KEEPS = ("ipc",)


@attempt(inside=("ENOENT", "EPERM", "ENOSYS"), outside="done")
def segment():
    syscall("shmget", int(given["shm_key"]), 0, 0)


@attempt(inside=("ENOENT", "EPERM", "ENOSYS"), outside="done")
def queue():
    syscall("msgget", int(given["shm_key"]), 0)


@attempt(inside="ENOENT", outside="done")
def file():
    os.stat(given["shm_file"])


@attempt(inside=("ENOENT", "EPERM", "ENOSYS"), outside="done")
def posix_queue():
    os.close(syscall("mq_open", given["queue"], 0, 0, None))


app = application(globals())
