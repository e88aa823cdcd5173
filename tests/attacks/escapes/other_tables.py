"""Makes system calls through the tables for other programs, where every number means something else: 32-bit programs, and x32."""
from attack import application, attempt, machine_code, syscall

TITLE = "system calls of the 32-bit and x32 tables"
WALL = "seccomp: every other architecture is refused"
SECOND = "no capability"
X32 = 0x40000000

# push rbx; mov eax, edi; xor ebx, ebx; xor ecx, ecx; xor edx, edx; int 0x80; cdqe; pop rbx; ret
INT80 = bytes.fromhex("53 89 f8 31 db 31 c9 31 d2 cd 80 48 98 5b c3".replace(" ", ""))


def call32(number):
    return machine_code(INT80, number)


@attempt(inside="EPERM", outside="EFAULT")
def execve_as_32_bits():
    call32(11)


@attempt(inside="EPERM", outside=("done", "ENOSYS"))
def getpid_as_32_bits():
    call32(20)


@attempt(inside="EPERM", outside=("EFAULT", "ENOSYS"))
def execve_as_x32():
    syscall(X32 | 520, None, None, None)


@attempt(inside="EPERM", outside=("done", "ENOSYS"))
def getpid_as_x32():
    syscall(X32 | 39)


app = application(globals())
