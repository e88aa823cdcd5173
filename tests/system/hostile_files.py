"""What a host can do to a file. Each deed is a function of a path that is there, and may use `other` (the same file of somebody else), `early` (an older
version of it) and `outside` (a file that nobody may change)."""
import os
import shutil
import socket
import tempfile
from pathlib import Path


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flip(path, at):
    if path.is_file() and path.stat().st_size > 0:
        with path.open("r+b") as file:
            size = path.stat().st_size
            offset = {"head": 0, "middle": size // 2, "tail": size - 1}[at]
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            # Of text this makes something that no text is, wherever it falls.
            file.write(bytes([byte ^ 0x80]))


def _cut(path, size):
    if path.is_file():
        os.truncate(path, min(size, path.stat().st_size))


def _replace(path, source):
    if source is not None and Path(source).is_file():
        _remove(path)
        shutil.copy(source, path)
        os.chown(path, os.stat(source).st_uid, os.stat(source).st_gid)


def _link(path, target):
    _remove(path)
    path.symlink_to(target)


def _fifo(path):
    _remove(path)
    os.mkfifo(path, 0o600)


def _linked_fifo(path):
    target = Path(tempfile.mkdtemp(prefix="mse-fifo-")) / "fifo"
    os.mkfifo(target)
    _link(path, target)


def _directory(path):
    _remove(path)
    path.mkdir()
    (path / "within").write_text("something")


def _socket(path):
    _remove(path)
    # An address has room for 107 bytes.
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    listener.close()
    os.close(descriptor)


def _huge(path):
    if not path.is_file():
        _remove(path)
    with path.open("ab") as file:
        file.truncate(1 << 40)


DEEDS = {
    "one byte at the head": lambda path, **_: _flip(path, "head"),
    "one byte in the middle": lambda path, **_: _flip(path, "middle"),
    "one byte at the tail": lambda path, **_: _flip(path, "tail"),
    "emptied": lambda path, **_: _cut(path, 0),
    "cut in half": lambda path, **_: _cut(path, path.stat().st_size // 2),
    "cut at a block": lambda path, **_: _cut(path, max(0, (path.stat().st_size - 1) // 4096 * 4096)),
    "rolled back": lambda path, early=None, **_: _replace(path, early),
    "another app's": lambda path, other=None, **_: _replace(path, other),
    "a link to itself": lambda path, **_: _link(path, path.name),
    "a link elsewhere": lambda path, outside=None, **_: _link(path, outside),
    "a link to a fifo": lambda path, **_: _linked_fifo(path),
    "a fifo": lambda path, **_: _fifo(path),
    "a folder": lambda path, **_: _directory(path),
    "a socket": lambda path, **_: _socket(path),
    "gone": lambda path, **_: _remove(path),
    "huge": lambda path, **_: _huge(path),
}
# What leaves a regular file of about its size.
CHANGED = {"one byte at the head", "one byte in the middle", "one byte at the tail", "cut in half", "cut at a block", "emptied"}
IRREGULAR = {"a link to itself", "a link to a fifo", "a fifo", "a folder", "a socket"}
