"""Writes what the host must not read, and forces it to the disk. The test searches the node's folder for the content and the name,
while the app runs and after it was stopped; and then nothing of the size of a storage is left."""
import os

from attack import application

TITLE = "plaintext of $HOME on the node's disk"
WALL = "$HOME is a file system in one encrypted file"
SECOND = "its key is on the disk only sealed, and that is removed when the app is stopped"


def write():
    for index in range(4):
        with open(f"/root/name-that-nobody-must-read-{index}", "wb") as file:
            file.write(b"content-that-nobody-must-read\n" * 10000)
            file.flush()
            os.fsync(file.fileno())
    return "written"


ROUTES = {"/write": write}
app = application(globals())
