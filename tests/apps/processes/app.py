"""Tries to start a process in each way that there is, and says what came of it."""

import ctypes
import multiprocessing
import multiprocessing.util
import os
import pty
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)


def posixsubprocess():
    """multiprocessing calls _posixsubprocess.fork_exec() with the arguments of this Python's version; no audit event tells."""
    return multiprocessing.util.spawnv_passfds(b"/bin/true", ["true"], [])


def from_c(name, *arguments):
    result = getattr(libc, name)(*arguments)
    if result == 0 and name in ("fork", "vfork"):
        os._exit(7)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def c_execve():
    arguments = (ctypes.c_char_p * 2)(b"/bin/true", None)
    return from_c("execve", b"/bin/true", arguments, (ctypes.c_char_p * 1)(None))


def c_posix_spawn():
    child = ctypes.c_int()
    arguments = (ctypes.c_char_p * 2)(b"/bin/true", None)
    error = libc.posix_spawn(ctypes.byref(child), b"/bin/true", None, None, arguments, None)
    if error != 0:
        raise OSError(error, os.strerror(error))
    return child.value


def c_system():
    """The C library's system() gives the status of a shell that ended with 127 when it cannot start one."""
    status = libc.system(b"true")
    if status in (-1, 127 << 8):
        raise OSError(1, os.strerror(1))
    return status


def with_process():
    process = multiprocessing.Process(target=time.time)
    process.start()
    process.join()
    return process.exitcode


def with_pool():
    with multiprocessing.Pool(1) as pool:
        return pool.map(abs, [1])


attempts = {
    "os.fork": os.fork,
    "os.forkpty": os.forkpty,
    "os.system": lambda: os.system("true"),
    "os.popen": lambda: os.popen("true").read(),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "os.execvpe": lambda: os.execvpe("true", ["true"], {}),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.posix_spawnp": lambda: os.posix_spawnp("true", ["true"], {}),
    "os.spawnv": lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
    "subprocess.run": lambda: subprocess.run(["true"]).returncode,
    "subprocess.Popen": lambda: subprocess.Popen("true", shell=True).wait(),
    "pty.fork": pty.fork,
    "pty.spawn": lambda: pty.spawn("true"),
    "multiprocessing.Process": with_process,
    "multiprocessing.Pool": with_pool,
    "_posixsubprocess": posixsubprocess,
    "ctypes.fork": lambda: from_c("fork"),
    "ctypes.vfork": lambda: from_c("vfork"),
    "ctypes.execve": c_execve,
    "ctypes.posix_spawn": c_posix_spawn,
    "ctypes.system": c_system,
}


def attempt(name):
    try:
        result = attempts[name]()
    except Exception as error:
        return f"{'PermissionError' if isinstance(error, PermissionError) else type(error).__name__}: {error}"
    return f"DONE {result!r}"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/health":
        lines = ["ok"]
    elif path == "/children":
        try:
            lines = [f"children {os.waitpid(-1, os.WNOHANG)}"]
        except ChildProcessError:
            lines = ["no children"]
    else:
        lines = [f"{name}: {attempt(name)}" for name in attempts if path in ("/", "/" + name)]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(line + "\n" for line in lines).encode()]
