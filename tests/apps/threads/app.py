"""A thread of the application's own runs while the server waits; thread-local data survives; requests run side by side."""

import json
import threading
import time

ticks = 0
local = threading.local()
barrier = threading.Barrier(2)


def tick():
    global ticks
    while True:
        time.sleep(0.005)
        ticks += 1


threading.Thread(target=tick, daemon=True).start()


def beside(function, *arguments):
    """Calls it in a thread that is in the middle of it while the request's own thread does the same; who was refused?"""
    outcome = {"ok": 0, "refused": 0}

    def call():
        try:
            function(*arguments)
            outcome["ok"] += 1
        except RuntimeError:
            outcome["refused"] += 1

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.05)
    call()
    thread.join()
    return outcome


def app(environ, start_response):
    path = environ["PATH_INFO"]
    answer = {}
    if path == "/ticks":
        answer["ticks"] = ticks
    elif path == "/read":
        before = ticks
        answer["size"] = len(environ["wsgi.input"].read())
        answer["ticks"] = ticks - before
    elif path == "/read-beside":
        answer = beside(environ["wsgi.input"].read)
    elif path == "/write-beside":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        answer = beside(write, b"x")
        return [json.dumps(answer).encode()]
    elif path == "/local":
        local.count = getattr(local, "count", 0) + 1
        answer["count"] = local.count
    elif path == "/meet":
        try:
            barrier.wait(10)
            answer["met"] = True
        except threading.BrokenBarrierError:
            answer["met"] = False
    elif path == "/who":
        answer["thread"] = threading.current_thread().name
        answer["main"] = threading.main_thread().name
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
