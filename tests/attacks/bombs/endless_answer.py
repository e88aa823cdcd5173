"""Answers without an end, to somebody who reads only a little of it."""
from attack import application

TITLE = "endless answers"
WALL = "the server keeps a bounded part of an answer, and ends it with the connection"
SECOND = "the plan's memory"
health = application(globals())


def app(environ, start_response):
    if environ["PATH_INFO"] != "/endless":
        return health(environ, start_response)

    def parts():
        while True:
            yield b"x" * 65536
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return parts()
