"""Bodies that are made while they are sent."""

import threading
import time

released = threading.Event()
closed = threading.Event()
idle_closed = threading.Event()


def waiting():
    yield b"first "
    released.wait(20)
    yield b""
    yield b"second"


def endless():
    try:
        while True:
            yield b"x" * 65536
    finally:
        closed.set()


def idle():
    try:
        while True:
            time.sleep(0.01)
            yield b""
    finally:
        idle_closed.set()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/waiting":
        return waiting()
    if path == "/release":
        released.set()
        return [b"released"]
    if path == "/endless":
        return endless()
    if path == "/idle":
        return idle()
    if path == "/was-idle-closed":
        return [b"closed" if idle_closed.wait(20) else b"open"]
    if path == "/was-closed":
        return [b"closed" if closed.wait(20) else b"open"]
    if path == "/large":
        return (bytes([65 + number % 26]) * 4096 for number in range(1024))
    if path == "/list":
        return [b"a", b"", b"bc", b"d" * 100000, b"e"]
    if path == "/small-list":
        return (b"a", b"", b"bc")
    if path == "/nothing":
        return []
    if path == "/empty-generator":
        return (piece for piece in [b"", b""])
    return [b"ok"]
