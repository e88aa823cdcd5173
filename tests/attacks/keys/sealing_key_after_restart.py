"""Crashes, so that a new enclave starts, which does get the key; and then asks in its place."""
import os

from attack import Channel, application, attempt

TITLE = "the sealing key after a crash and restart"
WALL = "the shim, in the CPU's place: the new process has started, too, before the app's first line runs"
SECOND = "none"


@attempt(inside="refused")
def asked():
    with Channel() as channel:
        return "refused" if channel.ask(Channel.SEALING_KEY, b"mse-sealed-state-v1")[0] == Channel.REFUSED else "given"


def crash():
    os._exit(1)


ROUTES = {"/crash": crash}
app = application(globals())
