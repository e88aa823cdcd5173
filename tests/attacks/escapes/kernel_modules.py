"""Code in the kernel, as a module or as a whole other kernel. What is given is no module: the attempt shows whether the question is asked."""
from attack import application, attempt, syscall

TITLE = "modules and another kernel (init_module, finit_module, delete_module, kexec_load, kexec_file_load)"
WALL = "seccomp"
SECOND = "no capability"


@attempt(inside="EPERM", outside=("EINVAL", "ENOEXEC", "ENOSYS"))
def init_module():
    syscall("init_module", b"no module", 9, "")


@attempt(inside="EPERM", outside=("EBADF", "ENOSYS"))
def finit_module():
    syscall("finit_module", -1, "", 0)


@attempt(inside="EPERM", outside=("ENOENT", "ENOSYS"))
def delete_module():
    syscall("delete_module", "mse_no_such_module", 0)


@attempt(inside="EPERM", outside=("EINVAL", "ENOSYS"))
def kexec():
    syscall("kexec_load", 0, 0, None, 0xffff)


@attempt(inside="EPERM", outside=("EINVAL", "EBADF", "ENOSYS"))
def kexec_by_file():
    syscall("kexec_file_load", -1, -1, 0, None, 0x80000000)


app = application(globals())
