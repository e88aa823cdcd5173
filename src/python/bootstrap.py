"""What runs in the interpreter before, around and after the application.

Compiled into libmse_python.so and executed in a namespace of its own, with the C side as `host`: no module of this
name exists, and nothing here can be imported by the application.
"""

import atexit
import os
import sys
import threading
import time

FILE = "<mse>"


def report(what, error):
    """One traceback, written at once so that those of several threads do not mix."""
    from traceback import format_exception

    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == FILE:
            trace = trace.tb_next
        text = "".join(format_exception(type(error), error, trace))
    except Exception as second:
        text = f"{type(error).__name__} (its traceback cannot be written: {type(second).__name__})\n"
    try:
        sys.stderr.write(f"{what}\n{text}")
        sys.stderr.flush()
    except Exception:
        pass  # the application has closed or replaced its stderr: nobody is left to be told


class Unfit(Exception):
    """The application cannot be served; the text holds nothing that comes from its code."""


class Unsupported(Unfit):
    """It could be by a later release."""


def resolve(application):
    """The callable that "module:attribute" or "module:factory()" names."""
    name, colon, attributes = application.partition(":")
    is_factory = attributes.endswith("()")
    path = attributes[:-2] if is_factory else attributes
    parts = name.split(".") + path.split(".")
    if not colon or not all(part.isidentifier() for part in parts):
        raise Unfit(f"'{application}' is not of the form 'module:attribute' or 'module:factory()'")
    try:
        __import__(name)
        found = sys.modules[name]
    except BaseException as error:
        report(f"mse: module '{name}' cannot be imported:", error)
        raise Unfit(f"module '{name}' cannot be imported: the traceback is in the application's log") from None
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except BaseException as error:
            report(f"mse: '{application}' cannot be found:", error)
            raise Unfit(f"module '{name}' has no '{path}'") from None
    if is_factory:
        try:
            found = found()
        except BaseException as error:
            report(f"mse: '{path}()' of module '{name}' failed:", error)
            raise Unfit(f"'{path}()' of module '{name}' failed: the traceback is in the application's log") from None
    return found


def accepts(application, count):
    from inspect import signature

    try:
        signature(application).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # written in C, and says nothing about its arguments
        return count == 2
    return True


def check(name, application):
    """WSGI takes two arguments; ASGI is a coroutine of three, or (ASGI 2) a function of one that gives a coroutine."""
    from inspect import iscoroutinefunction

    if not callable(application):
        raise Unfit(f"'{name}' is neither a function nor another callable")
    called = getattr(application, "__call__", None)
    is_coroutine = iscoroutinefunction(application) or iscoroutinefunction(called) or hasattr(application, "__await__")
    if is_coroutine or (not accepts(application, 2) and (accepts(application, 3) or accepts(application, 1))):
        raise Unsupported(f"'{name}' is an ASGI application (FastAPI, Starlette, Quart, ...), which this release does not serve yet: "
                          "it serves WSGI applications (Flask, Django, Bottle, ...)")
    if not accepts(application, 2):
        raise Unfit(f"'{name}' is no WSGI application: it cannot be called with environ and start_response")


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def serve():
    """Until the server says that there will be no more requests."""
    done = threading.Event()

    def work():
        try:
            host.work()
        finally:
            done.set()

    workers = [threading.Thread(target=work, name=f"mse-worker-{number}", daemon=True) for number in range(1, host.threads + 1)]
    try:
        for worker in workers:
            worker.start()
    except RuntimeError:
        raise Unfit(f"{host.threads} threads cannot be started") from None
    host.serving()
    done.wait()
    deadline = time.monotonic() + host.drain_ms / 1000
    for worker in workers:
        worker.join(max(0, deadline - time.monotonic()))


def leave():
    """What is registered with atexit runs, within the time that requests had: a handler that hangs must not keep the process."""
    def give_up():
        flush()
        host.finished()

    guard = threading.Timer(host.drain_ms / 1000, give_up)
    guard.daemon = True
    try:
        guard.start()
    except RuntimeError:
        pass  # no thread can be had: it goes on without the limit
    atexit._run_exitfuncs()
    guard.cancel()
    flush()
    host.finished()


def main():
    sys.addaudithook(host.audit)
    sys.argv = [host.module_path]
    sys.path.insert(0, host.module_path)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)
    try:
        application = resolve(host.application)
        check(host.application, application)
        host.prepare(application, report)
        serve()
    except Unfit as unfit:
        host.failed(str(unfit), isinstance(unfit, Unsupported))
    leave()


main()
