"""Loads the sealed state: it is the app's own, and ciphertext."""
import os

from attack import Channel, application, attempt

TITLE = "read the sealed state"
WALL = "sealed with a key that is in no process any more"
SECOND = "none"


@attempt(inside="sealed")
def loaded():
    with open(os.environ["SECRETS_PATH"], "rb") as file:
        secrets = file.read()
    with Channel() as channel:
        kind, state = channel.ask(Channel.LOAD_STATE)
    if kind != Channel.ANSWER or len(state) < 500:
        return f"{kind}: {len(state)} bytes"
    return "plaintext" if secrets in state or b"BEGIN" in state or bytes.fromhex("06082a8648ce3d030107") in state else "sealed"


app = application(globals())
