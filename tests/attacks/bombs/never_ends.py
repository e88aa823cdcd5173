"""Does not stop when it is told to: every thread holds the interpreter, in C."""
import ctypes
import threading

from attack import application, attempt

TITLE = "an app that does not stop"
WALL = "the shim kills the sandbox when the time for stopping is over"
SECOND = "killing the first process of a pid namespace ends all of it; the cgroup is killed, too"


@attempt(inside="done")
def hold():
    sleep = ctypes.PyDLL(None).sleep
    timer = threading.Timer(0.5, lambda: sleep(3600))
    timer.daemon = True
    timer.start()


app = application(globals())
