"""Types into the operator's terminal, from which the node may have been started."""
import fcntl
import os
import termios

from attack import application, attempt

TITLE = "the operator's terminal (TIOCSTI, /dev/tty, a controlling terminal)"
WALL = "no terminal is handed in: standard input is /dev/null, output a pipe; a session of its own"
SECOND = "no /dev/tty nor /dev/ptmx; seccomp refuses TIOCSTI and TIOCLINUX"
TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431


def type_into(fd):
    fcntl.ioctl(fd, termios.TIOCSTI, b"\n")


@attempt(inside="ENOTTY", outside="ENOTTY")
def standard_descriptors():
    for fd in (1, 2, 0):
        try:
            type_into(fd)
            return f"typed into {fd}"
        except OSError as error:
            last = error
    raise last


@attempt(inside=("ENXIO", "EACCES", "ENOENT"), outside=("ENXIO", "done"))
def controlling_terminal():
    os.close(os.open("/dev/tty", os.O_RDWR))


@attempt(inside="none")
def terminals_among_the_descriptors():
    return " ".join(name for name in os.listdir("/proc/self/fd") if name.isdigit() and int(name) < 16 and os.isatty(int(name))) or "none"


@attempt(inside="ENOENT", outside="done")
def type_into_a_terminal_of_its_own():
    main = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(main, TIOCSPTLCK, bytes(4))
        number = int.from_bytes(fcntl.ioctl(main, TIOCGPTN, bytes(4)), "little")
        type_into(os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY))
    finally:
        os.close(main)


app = application(globals())
