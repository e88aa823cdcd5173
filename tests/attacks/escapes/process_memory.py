"""Reads and writes the memory of processes, takes their descriptors, drops their pages: all without ptrace."""
import ctypes
import os

from attack import application, attempt, syscall

TITLE = "memory and descriptors of other processes (process_vm_readv, process_vm_writev, pidfd_getfd, process_madvise, kcmp, move_pages)"
WALL = "seccomp"
SECOND = "pid namespace; no capabilities"


class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def transfer(call):
    source, target = ctypes.create_string_buffer(b"secret"), ctypes.create_string_buffer(6)
    local, remote = Part(ctypes.addressof(target), 6), Part(ctypes.addressof(source), 6)
    syscall(call, os.getpid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)


@attempt(inside="EPERM", outside="done")
def read_memory():
    transfer("process_vm_readv")


@attempt(inside="EPERM", outside="done")
def write_memory():
    transfer("process_vm_writev")


@attempt(inside="EPERM", outside="EBADF")
def take_a_descriptor():
    syscall("pidfd_getfd", -1, 0, 0)


@attempt(inside="EPERM", outside="EBADF")
def drop_pages():
    part = Part(0, 4096)
    syscall("process_madvise", -1, ctypes.byref(part), 1, 20, 0)


@attempt(inside="EPERM", outside=("done", "ENOSYS"))
def compare_with_another():
    syscall("kcmp", os.getpid(), os.getpid(), 0, 0, 0)


@attempt(inside="ENOSYS", outside=("done", "ENOSYS", "ENOENT"))
def move_pages():
    syscall("move_pages", 0, 0, None, None, None, 0)


@attempt(inside="EPERM", outside=("EBADF", "ENOSYS"))
def reap_memory():
    syscall("process_mrelease", -1, 0)


app = application(globals())
