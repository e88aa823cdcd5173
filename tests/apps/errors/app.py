"""Every way in which an application can fail."""

import sys


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("cannot even be printed")


def late(start_response, error):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"the beginning"
    raise error


def early_generator():
    raise KeyError("secret-detail-of-a-generator")
    yield b""


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise ValueError("secret-detail")
    if path == "/exits":
        sys.exit(3)
    if path == "/interrupts":
        raise KeyboardInterrupt
    if path == "/unprintable":
        raise Unprintable
    if path == "/late":
        return late(start_response, ValueError("late-detail"))
    if path == "/late-exit":
        return late(start_response, SystemExit(4))
    if path == "/no-start":
        return [b"body without a head"]
    if path == "/no-start-empty":
        return []
    start_response("200 OK", [("Content-Type", "text/plain")] + ([("Content-Length", "5")] if path.startswith("/length") else []))
    if path == "/raises-after-start":
        raise ValueError("after-start-detail")
    if path == "/generator":
        return early_generator()
    if path == "/none":
        return None
    if path == "/str":
        return ["text"]
    if path == "/only-str":
        return "text"
    if path == "/bytearray":
        return [bytearray(b"x")]
    if path == "/generator-str":
        return (piece for piece in [b"good ", "bad"])
    if path == "/length-long":
        return [b"123456"]
    if path == "/length-long-late":
        return iter([b"123", b"456"])
    if path == "/length-extra":
        return iter([b"12345", b"6"])
    if path == "/length-short":
        return [b"1234"]
    return [b"ok"] if path == "/health" else [b"fine!"]
