"""Gives back what it is sent, read in each way that wsgi.input offers."""

import json


def app(environ, start_response):
    source, path = environ["wsgi.input"], environ["PATH_INFO"]
    size = int(environ["QUERY_STRING"] or -1)
    if path == "/health":
        body = b"ok"
    elif path == "/read":
        body = source.read(size) if size >= 0 else source.read()
    elif path == "/read-none":
        body = source.read(None)
    elif path == "/read-twice":
        body = json.dumps([source.read(size).decode(), source.read(-7).decode(), source.read().decode(), source.read(3).decode()]).encode()
    elif path == "/pieces":
        pieces = []
        while piece := source.read(size):
            pieces.append(len(piece))
        body = json.dumps(pieces).encode()
    elif path == "/readline":
        body = json.dumps([source.readline(size).decode(), source.readline().decode(), source.read(2).decode(),
                           source.readline(None).decode(), source.read().decode(), source.readline().decode()]).encode()
    elif path == "/readlines":
        body = json.dumps([line.decode() for line in source.readlines(size)] + ["rest", source.read().decode()]).encode()
    elif path == "/iterate":
        body = json.dumps([line.decode() for line in source]).encode()
    elif path == "/wrong-size":
        try:
            source.read("many")
        except TypeError:
            body = b"TypeError"
    elif path == "/errors":
        try:
            source.read()
        except OSError as error:
            body = f"{type(error).__name__} {error.errno}".encode()
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return iter(lambda: source.read(65536), b"")
    else:
        body = b""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]
