"""Becomes another program: a shell of the image, a program that came with the code, one that was never in a file."""
import os
import ctypes

from attack import AT_FDCWD, application, attempt, syscall

TITLE = "become another program (execve, execveat, a program in memory)"
WALL = "seccomp"
SECOND = "no_new_privs, Landlock"
AT_EMPTY_PATH = 0x1000


def nothing():
    return (ctypes.c_char_p * 1)(None)


def not_a_program():
    """Reached, the kernel refuses it with ENOEXEC; a program would end this process."""
    fd = os.memfd_create("program", 0)
    os.write(fd, b"not a program")
    os.fchmod(fd, 0o755)
    return fd


@attempt(inside="EPERM", outside="ENOEXEC")
def execve_from_memory():
    syscall("execve", f"/proc/self/fd/{not_a_program()}", nothing(), nothing())


@attempt(inside="EPERM", outside="ENOEXEC")
def execveat_from_memory():
    syscall("execveat", not_a_program(), "", nothing(), nothing(), AT_EMPTY_PATH)


@attempt(inside="EPERM", outside="EACCES")
def execve_of_the_image():
    # A folder is no program: EACCES, if the question is asked at all.
    syscall("execve", "/usr/bin", nothing(), nothing())


@attempt(inside="EPERM", outside="ENOENT")
def execveat_of_a_path():
    syscall("execveat", AT_FDCWD, "/no/such/program", nothing(), nothing(), 0)


app = application(globals())
