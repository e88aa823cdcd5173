"""Lists every file that is not the image's: none may be provisioning state, a key, or something of the shim's."""
import os

from attack import application, attempt

TITLE = "keys and provisioning state in files"
WALL = "no file holds them: keys live in memory, the sealed state on the node, outside of the sandbox"
SECOND = "none"


@attempt(inside="/mse-app/app.py /mse-app/attack.py /mse/bin/mse-enclave /mse/lib/… /mse/manifest.json /mse/manifest.sig "
         "/root/.cache/mse/secrets.json")
def files():
    found = set()
    for folder in ("/mse", "/mse-app", "/root", "/tmp", "/run", "/dev/shm", "/var/tmp", "/srv", "/opt", "/home", "/mnt", "/media"):
        for where, _, names in os.walk(folder):
            found |= {f"{where}/{name}" if where != "/mse/lib" else "/mse/lib/…" for name in names if "__pycache__" not in where}
    return " ".join(sorted(found))


app = application(globals())
