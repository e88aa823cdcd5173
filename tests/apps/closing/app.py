"""Counts how often close() of what it returned was called."""

import json

counts = {}


class Body:
    def __init__(self, name, pieces):
        self.name, self.pieces = name, iter(pieces)
        counts.setdefault(name, 0)

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self):
        counts[self.name] += 1
        if self.name == "/close-fails":
            raise ValueError("close() failed")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/counts":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(counts).encode()]
    if path == "/no-start":
        return Body(path, [b"x"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/fails-early":
        return Body(path, [ValueError("no body")])
    if path == "/fails-late":
        return Body(path, [b"some", ValueError("no more")])
    if path == "/disconnect":
        return Body(path, [b"x" * 1000] * 1000)
    return Body(path, [b"o", b"k"])
