"""Opens storage again over the TEE's channel, with a key of its own: a fresh one would cover $HOME, an existing one show what another key left. The
enclave is ended over it; what it had written is there when it is back."""
from attack import Channel, application

TITLE = "open other storage over the TEE's channel"
WALL = "the shim opens storage once for each process, before the app's first line runs: asking again ends the enclave"
SECOND = "another key opens nothing"
FILE = "/root/written-before"


def opened(fresh):
    with Channel() as channel:
        channel.tell(Channel.OPEN_STORAGE, bytes([fresh]) + bytes(32))
        channel.ask(Channel.COLLATERAL)
    return "opened"


def write():
    with open(FILE, "w", encoding="ascii") as file:
        file.write("content")


def read():
    with open(FILE, encoding="ascii") as file:
        return file.read()


ROUTES = {"/fresh": lambda: opened(1), "/existing": lambda: opened(0), "/write": write, "/read": read}
app = application(globals())
