"""Replaces its own sealed state by rubbish: nothing stops an app from destroying what is its own. A restart then has nothing to open, and says so."""
from attack import Channel, application, attempt

TITLE = "overwrite one's own sealed state"
WALL = "**not stopped**: after a crash this app does not come back, and says why. Nobody else's state can be named"
SECOND = "saving is rate-limited and bounded in size"


@attempt(inside=("saved", "refused"))
def overwrite():
    with Channel() as channel:
        return "saved" if channel.ask(Channel.SAVE_STATE, b"rubbish" * 100)[0] == Channel.ANSWER else "refused"


app = application(globals())
