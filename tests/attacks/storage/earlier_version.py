"""Leaves its mark in all its storage; then its owner deploys the app anew, and the new version searches for it."""
import os

from attack import application, attempt

TITLE = "what an earlier version of the same app left"
WALL = "storage is made for each deployment, with a key of its own, and destroyed with it"
SECOND = "none"
FOLDERS = ("/root", "/tmp", "/dev/shm", "/mse-app", "/run")


def leave():
    left = []
    for folder in FOLDERS:
        try:
            with open(f"{folder}/mark-of-an-earlier-version", "w", encoding="ascii") as file:
                file.write("mark")
            left.append(folder)
        except OSError:
            pass
    return left


@attempt(inside="nothing")
def found():
    return " ".join(folder for folder in FOLDERS if os.path.exists(f"{folder}/mark-of-an-earlier-version")) or "nothing"


ROUTES = {"/leave": leave}
app = application(globals())
