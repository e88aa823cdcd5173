"""Looks for keys in variables: of the process, and as its first memory held them."""
import os

from attack import application, attempt

TITLE = "keys and the host's variables in the environment"
WALL = "the environment is a table of the sandbox's; nothing is inherited, nothing secret is in it"
SECOND = "no keys in arguments"


@attempt(inside="HOME LANG MODULE_PATH PATH SECRETS_PATH TMPDIR TMP_PATH")
def variables():
    return " ".join(sorted(os.environ))


@attempt(inside="PWD")
def as_the_kernel_has_them():
    with open("/proc/self/environ", "rb") as file:
        return " ".join(sorted(part.partition(b"=")[0].decode() for part in file.read().split(b"\0") if part))


@attempt(inside=("/mse/bin/mse-enclave", "EACCES"))
def arguments():
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode().strip()


app = application(globals())
