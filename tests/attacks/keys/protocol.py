"""Says to the shim what no enclave says: unknown kinds, sizes beyond any limit, halves. Each costs this enclave its life; the shim and the others live."""
from attack import Channel, application

TITLE = "nonsense on the TEE's channel"
WALL = "the shim's table of frames, with a least and a largest size for each: whoever does not keep to it is ended, and restarted"
SECOND = "the restart budget of the app"


def unknown():
    with Channel() as channel:
        channel.tell(200, b"x")
        channel._exactly(1)


def giant():
    with Channel() as channel:
        channel.shim.sendall(b"\xff\xff\xff\xff\x01")
        channel._exactly(1)


ROUTES = {"/unknown": unknown, "/giant": giant}
app = application(globals())
