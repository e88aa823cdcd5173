"""start_response() with exc_info, before and after the head is sent."""

import sys


def before(start_response):
    start_response("200 OK", [("X-First", "1"), ("Content-Length", "1000")])
    try:
        raise ValueError("found out in time")
    except ValueError:
        start_response("503 Service Unavailable", [("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def after(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"some of the body"
    try:
        raise ValueError("found out too late")
    except ValueError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    yield b"never sent"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/before":
        return before(start_response)
    if path == "/after":
        return after(start_response)
    if path == "/twice":
        start_response("200 OK", [])
    if path == "/none":
        start_response("200 OK", [], None)
        return [b"ok"]
    if path == "/named":
        start_response("200 OK", [], exc_info=None)
        return [b"ok"]
    if path == "/no-exception":
        start_response("200 OK", [], (None, None, None))
        write = start_response("200 OK", [], (None, None, None))
        write(b"x")
        start_response("200 OK", [], (None, None, None))
    start_response("200 OK", [])
    return [b"ok"]
