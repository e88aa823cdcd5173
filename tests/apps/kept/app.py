"""Keeps what belongs to one request, and uses it in the next, or in a thread after the end."""

import threading

kept = {}
outcome = []


def use(name, function, *arguments):
    try:
        return f"{name}: {function(*arguments)!r}"
    except Exception as error:
        return f"{name}: {type(error).__name__}"


def late_read(source):
    outcome.append(use("late", source.read))


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/keep":
        kept.update(environ=environ, input=environ["wsgi.input"], start_response=start_response)
        kept["input"].readline()
        kept["write"] = start_response("200 OK", [])
        return [b"kept"]
    if path == "/use":
        lines = [use("read", kept["input"].read), use("readline", kept["input"].readline), use("iterate", list, kept["input"]),
                 use("readlines", kept["input"].readlines), use("start_response", kept["start_response"], "200 OK", []),
                 use("write", kept["write"], b"x"), use("new", type(kept["input"])), f"same: {kept['environ'] is environ}",
                 f"path: {kept['environ']['PATH_INFO']}"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return ["\n".join(lines).encode()]
    if path == "/reader":
        kept["thread"] = threading.Thread(target=late_read, args=(environ["wsgi.input"],))
        kept["thread"].start()
        start_response("200 OK", [])
        return [b"started"]
    if path == "/joined":
        kept["thread"].join(20)
        start_response("200 OK", [])
        return [" ".join(outcome).encode()]
    start_response("200 OK", [])
    return [b"ok"]
