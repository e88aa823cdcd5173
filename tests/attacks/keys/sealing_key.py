"""Asks the CPU for sealing keys, as the enclave did when it started: with it, whoever reads the node's disk later has all."""
from attack import Channel, application, attempt

TITLE = "the sealing key from the TEE's channel, after the start"
WALL = "the shim, in the CPU's place: no sealing key once the enclave has said that it has started"
SECOND = "none: what was asked for before is wiped when it has been used"


def asked(label):
    with Channel() as channel:
        kind, answer = channel.ask(Channel.SEALING_KEY, label)
        return "refused" if kind == Channel.REFUSED and b"after the start" in answer else f"{kind}: {len(answer)} bytes"


@attempt(inside="refused")
def own_label():
    return asked(b"mse-sealed-state-v1")


@attempt(inside="refused")
def any_label():
    return asked(b"x")


@attempt(inside="refused")
def after_starting_again():
    with Channel() as channel:
        channel.tell(Channel.STARTED)
        kind, _ = channel.ask(Channel.SEALING_KEY, b"mse-sealed-state-v1")
        return "refused" if kind == Channel.REFUSED else "given"


app = application(globals())
