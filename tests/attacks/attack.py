"""What all attacks have in common: attempts with names, each really made, and what came of each. Goes into every attack's bundle."""
import ctypes
import errno
import json
import mmap
import os
import select
import socket
import struct
import time
from urllib.parse import parse_qsl

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# System calls of x86-64 by their numbers, so that nothing of the C library's stands between an attempt and the kernel.
NUMBERS = {
    "read": 0, "mmap": 9, "mprotect": 10, "ioctl": 16, "mremap": 25, "shmget": 29, "shmat": 30, "dup2": 33, "getpid": 39, "socket": 41, "connect": 42,
    "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "semget": 64, "msgget": 68, "fcntl": 72, "chmod": 90, "chown": 92,
    "syslog": 103, "setuid": 105, "setgid": 106, "setpgid": 109, "setsid": 112, "setgroups": 116, "setresuid": 117, "capset": 126,
    "rt_sigqueueinfo": 129, "mknod": 133, "uselib": 134, "personality": 135, "ustat": 136, "sysfs": 139, "setpriority": 141, "sched_setscheduler": 144,
    "mlockall": 151, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155, "prctl": 157, "adjtimex": 159, "setrlimit": 160, "chroot": 161, "acct": 163,
    "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171,
    "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179, "gettid": 186, "setxattr": 188, "tkill": 200,
    "lookup_dcookie": 212, "remap_file_pages": 216, "timer_create": 222, "clock_settime": 227, "tgkill": 234, "mbind": 237, "mq_open": 240, "mq_unlink": 241,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "ioprio_set": 251, "migrate_pages": 256, "mknodat": 259, "unshare": 272,
    "vmsplice": 278, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300, "prlimit64": 302, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313,
    "seccomp": 317, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "execveat": 322, "userfaultfd": 323, "ptrace": 101,
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "process_mrelease": 448,
}
AT_FDCWD = -100
CHANNEL = 3
LISTENER = 4

# What a test tells its attack: process ids, paths, addresses.
given = {}


def failed(number):
    return OSError(number, os.strerror(number))


def word(value):
    """One argument of a system call as a machine word."""
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return ctypes.c_char_p(value)
    return ctypes.c_long(value) if isinstance(value, int) else value


def syscall(name, *arguments):
    """A system call by its name, or by its number."""
    number = NUMBERS[name] if isinstance(name, str) else name
    result = libc.syscall(ctypes.c_long(number), *[word(argument) for argument in arguments])
    if result == -1:
        raise failed(ctypes.get_errno())
    return result


def spawn(name, *arguments):
    """A system call that makes a process: the child, if there is one, ends at once."""
    child = syscall(name, *arguments)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def machine_code(code, *arguments):
    """Runs x86-64 machine code, as a dependency with a compiled part can."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
    result = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * len(arguments))(at)(*arguments)
    if -4096 < result < 0:
        raise failed(-result)
    return result


def attempt(inside, outside=None):
    """Marks one attempt. `inside`: what must come of it in an enclave, as the name of an errno, "done", or what the function returns; `outside`: what
    comes of it without the walls, as root in namespaces of its own, which shows that it is a real one. Several are alternatives, by machine.
    None outside says that it means nothing there."""
    def mark(function):
        function.inside = (inside,) if isinstance(inside, str) else inside
        function.outside = (outside,) if isinstance(outside, str) else outside
        function.__globals__.setdefault("ATTEMPTS", {})[function.__name__] = function
        return function
    return mark


def outcome(function):
    try:
        result = function()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done" if result is None else result if isinstance(result, str) else json.dumps(result)


class Channel:
    """The channel to the TEE, taken away from the enclave's own code: its reader finds another socket under the number, and afterwards the old one."""
    QUOTE, SEALING_KEY, STARTED, COLLATERAL, LOAD_STATE, SAVE_STATE, LOG, STATUS, METRICS, OPEN_STORAGE = range(1, 11)
    ANSWER, REFUSED = 64, 65

    taken = None

    def __new__(cls):
        # Taken once for all attempts of a request: the reader needs a moment to be back.
        cls.taken = cls.taken or super().__new__(cls)
        return cls.taken

    def __enter__(self):
        if hasattr(self, "shim"):
            return self
        time.sleep(0.2)
        self.shim = socket.socket(fileno=os.dup(CHANNEL))
        self.enclave, instead = socket.socketpair()
        os.dup2(instead.fileno(), CHANNEL)
        instead.close()
        # The reader takes the head of one more answer, which is refused; its rest is read here, and given to it at the end. When it comes too
        # late, and the whole answer is here, it still waits, and is sent another one.
        self.rest = b""
        while len(self.rest) < 5 or struct.unpack(">I", self.rest[:4])[0] == len(self.rest) - 4:
            self.tell(self.SEALING_KEY, b"\0")
            time.sleep(0.05)
            self.rest = self._drain()
        return self

    def __exit__(self, *_):
        pass

    @classmethod
    def give_back(cls):
        channel, cls.taken = cls.taken, None
        if channel is not None:
            os.dup2(channel.shim.fileno(), CHANNEL)
            channel.enclave.sendall(channel.rest)
            channel.shim.close()

    def _drain(self):
        data = b""
        while select.select([self.shim], [], [], 15 if not data else 0.2)[0]:
            data += self.shim.recv(65536)
        return data

    def tell(self, kind, payload=b""):
        self.shim.sendall(frame(kind, payload))

    def ask(self, kind, payload=b""):
        """The kind of the answer, and what it holds."""
        self.tell(kind, payload)
        size, kind = struct.unpack(">IB", self._exactly(5))
        return kind, self._exactly(size - 1)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            # Neither a timeout nor not blocking: the flag belongs to the enclave's own descriptor, too.
            if not select.select([self.shim], [], [], 10)[0]:
                raise TimeoutError
            part = self.shim.recv(size - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data


def reach(host, port, kind=socket.SOCK_STREAM):
    """What somebody outside says; "connected" of somebody who says nothing."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=kind)[0]
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(4)
        client.connect(address)
        client.send(b"hello")
        try:
            return client.recv(64).decode() or "connected"
        except ConnectionResetError:
            return "connected"


def users_connections():
    """Sockets of this process that somebody has connected to."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:") and fd > LISTENER:
                sock = socket.socket(fileno=os.dup(fd))
                if sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM and sock.getpeername():
                    yield sock
        except OSError:
            pass


def resolve(server, name):
    """Asks this name server, in its own words."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect((server, 53))
        client.send(struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1))
        return "answer" if client.recv(512) else "nothing"


def frame(kind, payload=b""):
    """One frame of the channel to the TEE."""
    return struct.pack(">IB", len(payload) + 1, kind) + payload


def application(module):
    """A WSGI application: /try makes every attempt, /try/NAME one; the module's ROUTES are other paths, each a function."""
    routes = module.get("ROUTES", {})

    def answer(path):
        if path == "/health":
            return "healthy"
        if path in routes:
            return json.dumps(routes[path]())
        name = path.removeprefix("/try").strip("/")
        try:
            return json.dumps({key: outcome(function) for key, function in module.get("ATTEMPTS", {}).items() if name in ("", key)})
        finally:
            Channel.give_back()

    def app(environ, start_response):
        given.update(parse_qsl(environ.get("QUERY_STRING", "")))
        body = answer(environ["PATH_INFO"]).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
    return app
