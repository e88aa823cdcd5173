"""Uses its $HOME as programs use a file system, and says what came of it."""
import ctypes
import errno
import fcntl
import inspect
import mmap
import os
import random
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

from flask import Flask, request

app = Flask(__name__)
HOME = Path(os.environ["HOME"])
libc = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH_HOLE = 1, 2


@app.route("/health")
def health():
    return "healthy"


# ---- what works as on ext4 ----

def sqlite_with_wal_and_a_reader(folder):
    path = folder / "data.db"
    seen, done = [], threading.Event()
    writer = sqlite3.connect(path)
    assert writer.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    writer.execute("CREATE TABLE t (n INTEGER)")
    writer.commit()

    def read():
        reader = sqlite3.connect(path)
        while not done.is_set():
            count, top = reader.execute("SELECT count(*), coalesce(max(n), -1) FROM t").fetchone()
            assert count == top + 1, "a reader saw half a commit"
            seen.append(count)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in range(100):
            writer.execute("INSERT INTO t VALUES (?)", (number,))
            writer.commit()
    finally:
        done.set()
        thread.join()
    assert seen == sorted(seen) and writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def shared_mappings(folder):
    with open(folder / "mapped", "wb+") as file:
        file.truncate(1 << 20)
        with mmap.mmap(file.fileno(), 1 << 20) as one, mmap.mmap(file.fileno(), 1 << 20) as other:
            one[4090:4106] = b"across the pages"
            assert other[4090:4106] == b"across the pages"
            one.flush()
        assert os.pread(file.fileno(), 16, 4090) == b"across the pages"


def synchronising(folder):
    with open(folder / "file", "wb") as file:
        file.write(b"x" * 100_000)
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def renaming_over_a_file_in_use(folder):
    (folder / "old").write_text("old")
    (folder / "new").write_text("new")
    with open(folder / "old") as held:
        os.rename(folder / "new", folder / "old")
        assert held.read() == "old" and (folder / "old").read_text() == "new" and not (folder / "new").exists()


def hard_and_symbolic_links(folder):
    (folder / "one").write_text("content")
    os.link(folder / "one", folder / "two")
    os.symlink("two", folder / "three")
    assert os.stat(folder / "one").st_nlink == 2 and os.path.samefile(folder / "one", folder / "three")
    os.unlink(folder / "one")
    assert (folder / "three").read_text() == "content"


def locks(folder):
    with open(folder / "lock", "w") as one, open(folder / "lock", "w") as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise AssertionError("two have the lock")
        except BlockingIOError:
            pass
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
        fcntl.lockf(one, fcntl.LOCK_UN, 10, 0)


def sparse_files(folder):
    with open(folder / "sparse", "wb+") as file:
        os.pwrite(file.fileno(), b"end", 1 << 40)
        assert file.seek(0, os.SEEK_DATA) == 1 << 40 and file.seek(0, os.SEEK_HOLE) == 0
        assert os.fstat(file.fileno()).st_blocks * 512 < 1 << 20


def temporary_files(folder):
    assert Path(tempfile.gettempdir()) == HOME / ".tmp"
    assert os.stat(tempfile.gettempdir()).st_dev == os.stat(HOME).st_dev != os.stat(os.environ["TMP_PATH"]).st_dev


def ownership(folder):
    status = os.stat(HOME)
    assert status.st_mode & 0o7777 == 0o700 and status.st_uid == os.getuid()
    assert os.statvfs(HOME).f_flag & (os.ST_NOSUID | os.ST_NODEV) == os.ST_NOSUID | os.ST_NODEV
    assert os.stat(os.environ["TMP_PATH"]).st_mode & 0o1777 == 0o1777
    (Path(os.environ["MODULE_PATH"]) / "instance").mkdir(exist_ok=True)


WORKS = [function for name, function in list(globals().items())
         if inspect.isfunction(function) and list(inspect.signature(function).parameters) == ["folder"]]


@app.route("/works")
def works():
    said = []
    for function in WORKS:
        folder = Path(tempfile.mkdtemp(dir=HOME))
        try:
            function(folder)
            said.append(f"{function.__name__}: works")
        except Exception as error:
            said.append(f"{function.__name__}: {type(error).__name__}: {error}")
        shutil.rmtree(folder)
    return "\n".join(said)


# ---- any operation after any other ----

class File:
    """A file, and what must be in it."""
    MAX = 400_000

    def __init__(self, path, chance):
        self.path, self.chance = path, chance
        self.model = bytearray()
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def span(self):
        start = self.chance.randrange(self.MAX)
        return start, self.chance.randrange(1, min(70_000, self.MAX - start) + 1)

    def grow(self, size):
        if len(self.model) < size:
            self.model.extend(bytes(size - len(self.model)))

    def write(self):
        start, size = self.span()
        data = self.chance.randbytes(size)
        assert os.pwrite(self.fd, data, start) == size
        self.grow(start + size)
        self.model[start:start + size] = data

    def read(self):
        start, size = self.span()
        assert os.pread(self.fd, size, start) == bytes(self.model[start:start + size])

    def truncate(self):
        size = self.chance.randrange(self.MAX)
        os.ftruncate(self.fd, size)
        del self.model[size:]
        self.grow(size)

    def map(self):
        if len(self.model) == 0:
            return
        start, size = self.span()
        start %= len(self.model)
        size = min(size, len(self.model) - start)
        data = self.chance.randbytes(size)
        with mmap.mmap(self.fd, len(self.model)) as mapped:
            assert mapped[start:start + size] == bytes(self.model[start:start + size])
            mapped[start:start + size] = data
        self.model[start:start + size] = data

    def punch(self):
        start, size = self.span()
        if libc.fallocate(self.fd, KEEP_SIZE | PUNCH_HOLE, ctypes.c_long(start), ctypes.c_long(size)) < 0:
            raise OSError(ctypes.get_errno(), "fallocate")
        end = min(start + size, len(self.model))
        if start < end:
            self.model[start:end] = bytes(end - start)

    def sync(self):
        os.fsync(self.fd)

    def forget(self):
        """Read from the disk again, not from memory."""
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def reopen(self):
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def step(self):
        self.chance.choices([self.write, self.read, self.truncate, self.map, self.punch, self.sync, self.forget, self.reopen],
                            [8, 8, 2, 4, 3, 1, 2, 1])[0]()
        assert os.fstat(self.fd).st_size == len(self.model)

    def check(self):
        self.forget()
        assert os.pread(self.fd, self.MAX + 1, 0) == bytes(self.model)


@app.route("/random/<int:seed>/<int:steps>")
def randomly(seed, steps):
    chance = random.Random(seed)
    files = [File(HOME / f"random-{number}", chance) for number in range(3)]
    for number in range(steps):
        try:
            chance.choice(files).step()
        except Exception as error:
            return f"seed {seed}, step {number}: {type(error).__name__}: {error}", 500
    for file in files:
        file.check()
        os.close(file.fd)
        os.unlink(file.path)
    return "as it must be"


# ---- its limits ----

def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


@app.route("/fill")
def fill():
    """Bytes written until no more can be, the error, and what can be written once they are gone."""
    written = 0
    with open(HOME / "filling", "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(b"\xa5" * (1 << 20))
        except OSError as error:
            came = name_of(error)
    os.unlink(HOME / "filling")
    (HOME / "after").write_bytes(b"x" * (1 << 20))
    os.unlink(HOME / "after")
    return {"written": written, "error": came}


@app.route("/files")
def files():
    """The same of files with nothing in them."""
    folder = HOME / "many"
    folder.mkdir()
    count, came = 0, None
    try:
        while True:
            os.close(os.open(folder / f"{count:010}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError as error:
        came = name_of(error)
    free = os.statvfs(HOME)
    shutil.rmtree(folder)
    (HOME / "after").write_text("x")
    os.unlink(HOME / "after")
    return {"count": count, "error": came, "inodes": free.f_files, "left": free.f_ffree, "room": free.f_bavail}


# ---- what is kept ----

@app.route("/put/<name>", methods=["POST"])
def put(name):
    with open(HOME / name, "wb") as file:
        file.write(request.get_data())
        os.fsync(file.fileno())
    return "kept"


@app.route("/get/<name>")
def get(name):
    try:
        with open(HOME / name, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return file.read()
    except OSError as error:
        return name_of(error), 500


@app.route("/list")
def names():
    return sorted(str(path.relative_to(HOME)) for path in HOME.rglob("*"))


@app.route("/commit/<int:number>")
def commit(number):
    base = sqlite3.connect(HOME / "commits.db", timeout=30)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, text TEXT)")
    base.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * (number * 37 % 5000)))
    base.commit()
    base.close()
    return "committed"


@app.route("/committed")
def committed():
    base = sqlite3.connect(HOME / "commits.db", timeout=30)
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert all(len(text) == number * 37 % 5000 for number, text in base.execute("SELECT n, text FROM t"))
    return [number for (number,) in base.execute("SELECT n FROM t ORDER BY n")]
