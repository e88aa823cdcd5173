"""Floods the shim over the TEE's channel: numbers, log records, states to be saved, quotes to be made. The test measures the shim."""
from attack import Channel, application, attempt

TITLE = "floods on the TEE's channel (metrics, log records, quotes, states)"
WALL = "the shim reads a bounded number of frames a turn; log, saves and CPU for an enclave have allowances"
SECOND = "the kernel's buffer of the channel: who floods waits"


@attempt(inside="done")
def metrics_and_log():
    with Channel() as channel:
        for _ in range(2000):
            channel.tell(Channel.METRICS, b"\xff" * 40)
            channel.tell(Channel.LOG, b"not a record" * 50)


@attempt(inside="some are refused")
def states():
    with Channel() as channel:
        answers = {channel.ask(Channel.SAVE_STATE, bytes(1 << 16))[0] for _ in range(40)}
        return "some are refused" if Channel.REFUSED in answers else "all are saved"


app = application(globals())
