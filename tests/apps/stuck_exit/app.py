"""An atexit handler that does not come back, after one that does."""

import atexit
import time

atexit.register(time.sleep, 600)
atexit.register(print, "the last handler ran first", end="")


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
