"""Gets quotes over report data of its own choosing, as the enclave does. That works: the app's code is measured, and shares the enclave's process.
What it cannot do is be another enclave: the measurement in the quote is the CPU's word."""
import hashlib

from attack import Channel, application, attempt

TITLE = "quotes over data of one's own choosing"
WALL = "**not stopped**: a quote says which enclave, and all of its code speaks for it. The measurement is always its own"
SECOND = "session evidence names the connection's key and exporter, so that no quote made elsewhere fits"
CHOSEN = bytes(range(64))


def quote():
    with Channel() as channel:
        kind, answer = channel.ask(Channel.QUOTE, CHOSEN)
        assert kind == Channel.ANSWER
        return answer


@attempt(inside="chosen")
def report_data():
    return "chosen" if quote()[48 + 320:48 + 384] == CHOSEN else "another"


@attempt(inside="its own")
def measurement():
    with open("/mse/manifest.json", "rb") as file:
        own = hashlib.sha256(file.read()).digest()
    return "its own" if quote()[48 + 64:48 + 96] == own else "another"


app = application(globals())
