"""Writes to stdout, stderr and through logging and atexit, and never flushes."""

import atexit
import logging
import signal
import sys

logging.basicConfig()
atexit.register(print, "atexit ran")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write("imported\n")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path != "/health":
        print("printed", path)
        print("complained", path, file=sys.stderr)
        logging.warning("logged %s", path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
