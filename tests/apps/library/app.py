"""Uses what the standard library and extension modules use of the kernel, and says what came of each."""

import asyncio
import concurrent.futures
import ctypes
import fcntl
import hashlib
import inspect
import logging.handlers
import mmap
import multiprocessing
import multiprocessing.pool
import os
import platform
import resource
import secrets
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zoneinfo

libc = ctypes.CDLL(None, use_errno=True)


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def threads():
    found = []
    workers = [threading.Thread(target=lambda n=n: found.append(n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == list(range(8))


def thread_pools():
    with multiprocessing.pool.ThreadPool(4) as pool:
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert sum(executor.map(len, ["a", "bc", "def"])) == 6


def locks_between_processes():
    """A named semaphore in /dev/shm."""
    with multiprocessing.Lock():
        pass
    assert multiprocessing.Value("i", 7).value == 7


def event_loop():
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"HELLO\n"
        writer.close()
        server.close()
        assert await asyncio.to_thread(lambda: 5) == 5
        await asyncio.wait_for(asyncio.sleep(0.01), 1)

    asyncio.run(main())


def database():
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(folder + "/db")
        assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        connection.execute("CREATE TABLE t (a, b)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, secrets.token_hex(64)) for n in range(1000)])
        connection.commit()
        assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (1000,)
        connection.execute("VACUUM")
        connection.close()


def tls():
    ssl.create_default_context()
    assert len(ssl.RAND_bytes(16)) == 16
    left, right = socket.socketpair()
    client = ssl.create_default_context()
    threading.Thread(target=lambda: (right.recv(100), right.close())).start()
    try:
        client.wrap_socket(left, server_hostname="localhost").close()
    except (ssl.SSLError, OSError):
        left.close()


def temporary_files():
    assert tempfile.gettempdir() == "/root/.tmp"
    with tempfile.NamedTemporaryFile() as file, tempfile.SpooledTemporaryFile(max_size=10) as spooled, tempfile.TemporaryFile() as hidden:
        for one in (file, spooled, hidden):
            one.write(b"x" * 100)
            one.flush()
            one.seek(0)
            assert len(one.read()) == 100


def mapped_files():
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        with mmap.mmap(file.fileno(), 0) as view:
            view[5:10] = b"hello"
            view.flush()
            view.madvise(mmap.MADV_WILLNEED)
            view.resize(1 << 21)
            assert view[5:10] == b"hello"
    with mmap.mmap(-1, 1 << 20) as view:
        view.madvise(mmap.MADV_DONTNEED)


def waiting_for_descriptors():
    read, write = os.pipe()
    event = os.eventfd(1)
    poll = select.poll()
    poll.register(read, select.POLLIN)
    with select.epoll() as epoll:
        epoll.register(event, select.EPOLLIN)
        os.write(write, b"x")
        assert poll.poll(1000) and epoll.poll(1) and select.select([read], [], [], 1)[0] == [read]
    for fd in (read, write, event):
        os.close(fd)


def timers_and_signals_as_files():
    timer = called(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC))
    called(libc.timerfd_settime(timer, 0, struct.pack("4q", 0, 0, 0, 1_000_000), None))
    assert struct.unpack("Q", os.read(timer, 8))[0] >= 1
    os.close(timer)
    signals = (ctypes.c_uint64 * 16)(1 << (signal.SIGRTMAX - 1))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMAX})
    arrived = called(libc.signalfd(-1, signals, os.O_CLOEXEC))
    signal.pthread_kill(threading.get_ident(), signal.SIGRTMAX)
    assert struct.unpack("I", os.read(arrived, 128)[:4])[0] == signal.SIGRTMAX
    os.close(arrived)


def copies_within_the_kernel():
    left, right = socket.socketpair()
    read, write = os.pipe()
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target, left, right:
        source.write(b"content" * 100)
        source.flush()
        assert os.sendfile(left.fileno(), source.fileno(), 0, 7) == 7 and right.recv(7) == b"content"
        assert os.splice(source.fileno(), write, 7, offset_src=0) == 7 and os.read(read, 7) == b"content"
        assert os.copy_file_range(source.fileno(), target.fileno(), 7, 0) == 7
        os.posix_fallocate(target.fileno(), 0, 4096)
        os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.fsync(target.fileno())
    os.close(read)
    os.close(write)


def trees_of_files():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree("/usr/lib/python3.11/json" if sys.version_info[:2] == (3, 11) else os.path.dirname(inspect.getfile(asyncio)), folder + "/copy")
        shutil.make_archive(folder + "/archive", "gztar", folder + "/copy")
        shutil.unpack_archive(folder + "/archive.tar.gz", folder + "/unpacked")
        os.link(folder + "/archive.tar.gz", folder + "/link")
        os.symlink("link", folder + "/symbolic")
        os.mkfifo(folder + "/fifo")
        os.chmod(folder + "/link", 0o600)
        os.utime(folder + "/link")
        os.rename(folder + "/link", folder + "/renamed")
        assert shutil.disk_usage(folder).total > 0


def attributes_of_files():
    with tempfile.NamedTemporaryFile() as file:
        assert os.listxattr(file.name) == []
        try:
            os.setxattr(file.name, "user.mine", b"yes")
            assert os.getxattr(file.name, "user.mine") == b"yes"
        except OSError as error:
            assert error.errno == 95, error


def notices_about_files():
    with tempfile.TemporaryDirectory() as folder:
        notices = called(libc.inotify_init1(os.O_CLOEXEC))
        called(libc.inotify_add_watch(notices, folder.encode(), 0x100))
        open(folder + "/new", "w").close()
        assert b"new" in os.read(notices, 4096)
        os.close(notices)


def locks_on_files():
    with tempfile.NamedTemporaryFile() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.flock(file, fcntl.LOCK_UN)
        fcntl.lockf(file, fcntl.LOCK_EX)
        handler = logging.handlers.RotatingFileHandler(file.name + ".log", maxBytes=100, backupCount=2)
        for _ in range(10):
            handler.emit(logging.LogRecord("name", logging.INFO, "", 0, "x" * 50, (), None))
        handler.close()


def randomness():
    assert len({os.urandom(16), os.getrandom(16), secrets.token_bytes(16), hashlib.sha256(uuid.uuid4().bytes).digest()[:16]}) == 4
    assert open("/dev/urandom", "rb").read(4) and open("/dev/random", "rb").read(4)


def callbacks_from_C():
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 5)(5, 3, 4, 1, 2)
    libc.qsort(numbers, 5, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    assert list(numbers) == [1, 2, 3, 4, 5]


def code_made_at_run_time():
    """mov eax, 42; ret"""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x2a\x00\x00\x00\xc3")
    assert ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() == 42


def a_library_from_memory():
    file = os.memfd_create("library")
    source = next(line.split()[-1] for line in open("/proc/self/maps") if "/libz.so" in line or "/libm.so" in line)
    os.write(file, open(source, "rb").read())
    ctypes.CDLL(f"/proc/self/fd/{file}")
    os.close(file)


def questions_about_the_machine():
    assert os.cpu_count() >= 1 and len(os.sched_getaffinity(0)) >= 1
    assert os.sysconf("SC_PHYS_PAGES") > 0 and os.sysconf("SC_NPROCESSORS_ONLN") >= 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    assert platform.system() == "Linux" and platform.python_version() and socket.gethostname() == "mse"
    assert os.getpid() == 1 and os.getuid() == 0 and time.process_time() > 0 and os.times().user >= 0
    assert sys.stdout is not None and not os.isatty(1)


def sockets():
    assert socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket(socket.AF_UNIX) as local:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.sendto(b"x", datagrams.getsockname())
        assert datagrams.recv(10) == b"x"
        with tempfile.TemporaryDirectory() as folder:
            local.bind(folder + "/socket")
            local.listen()
    left, right = socket.socketpair()
    with left, right, tempfile.TemporaryFile() as file:
        socket.send_fds(left, [b"x"], [file.fileno()])
        _, fds, _, _ = socket.recv_fds(right, 10, 1)
        os.close(fds[0])
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        left.settimeout(1)


def settings_of_connections():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as server, socket.create_connection(server.getsockname()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def time_zones():
    os.environ["TZ"] = "Europe/Paris"
    time.tzset()
    assert time.time() > 0 and time.localtime()
    try:
        zoneinfo.ZoneInfo("Europe/Paris")
    except zoneinfo.ZoneInfoNotFoundError:
        pass  # the image has no tzdata


def processes_are_refused_cleanly():
    def with_executor():
        with concurrent.futures.ProcessPoolExecutor(1) as executor:
            executor.submit(abs, 1).result()

    for attempt in (lambda: subprocess.run(["true"]), lambda: os.fork(), with_executor):
        try:
            attempt()
        except PermissionError:
            continue
        raise AssertionError("a process was started")


def rare_interfaces_are_refused_with_an_error():
    for family, kind in ((16, socket.SOCK_RAW), (17, socket.SOCK_RAW), (38, socket.SOCK_SEQPACKET), (40, socket.SOCK_STREAM), (2, socket.SOCK_RAW)):
        try:
            socket.socket(family, kind)
        except OSError as error:
            assert error.errno == 97, error
            continue
        raise AssertionError(f"a socket of family {family}")
    try:
        fcntl.ioctl(1, 0x5412, b"x")
    except OSError as error:
        assert error.errno == 25, error
    else:
        raise AssertionError("TIOCSTI")


attempts = [value for name, value in list(globals().items()) if inspect.isfunction(value) and name != "called"]


def attempt(function):
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "works"


def app(environ, start_response):
    lines = ["ok"] if environ["PATH_INFO"] == "/health" else [f"{function.__name__}: {attempt(function)}" for function in attempts]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(line + "\n" for line in lines).encode()]
