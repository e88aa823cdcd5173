#!/usr/bin/python3
"""Reads what we make by the words of src/bundle/tree.h and bundle.h, with nothing of ours: tree digests of folders and of
tars of every kind, and sealed bundles (PyNaCl, tarfile).

    check_formats.py FORMAT_DRIVER OPEN_DRIVER
"""
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

DRIVER = ""
OPEN_DRIVER = ""


def field(data):
    return len(data).to_bytes(4, "big") + data


def listing(entries):
    """entries: path -> (type, mode, content or target)"""
    out = field(b"mse-tree-v1")
    for path in sorted(entries):
        kind, mode, data = entries[path]
        size = len(data) if kind == b"f" else 0
        content = hashlib.sha256(data).digest() if kind == b"f" else data
        out += field(path) + field(kind) + field(mode.to_bytes(8, "big")) + field(size.to_bytes(8, "big")) + field(content)
    return hashlib.sha256(out).hexdigest()


def entries_of(root, code=False):
    entries = {}
    root = os.fsencode(root)
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            full = os.path.join(folder, name)
            status = os.lstat(full)
            mode = stat.S_IMODE(status.st_mode)
            if code:
                mode = 0o755 if stat.S_ISDIR(status.st_mode) or mode & 0o100 else 0o644
            if stat.S_ISLNK(status.st_mode):
                entry = (b"l", 0, os.readlink(full))
            elif stat.S_ISDIR(status.st_mode):
                entry = (b"d", mode, b"")
            else:
                with open(full, "rb") as file:
                    entry = (b"f", mode, file.read())
            entries[os.path.relpath(full, root)] = entry
    return entries


def run(*arguments, locale="C"):
    done = subprocess.run([DRIVER, *arguments], capture_output=True, text=True, env={**os.environ, "LC_ALL": locale})
    if done.stderr:
        raise AssertionError(done.stderr)
    return done.stdout.strip()


class Formats(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="mse-formats-")
        self.addCleanup(shutil.rmtree, self.top)
        self.root = os.path.join(self.top, "root")
        self.make(self.root)

    def path(self, name):
        return os.path.join(self.top, name)

    def make(self, root):
        os.mkdir(root)
        os.makedirs(os.path.join(root, "a/b/c"))
        os.mkdir(os.path.join(root, "empty"))
        for name, data in {"a-b": b"1", "a/b/x.py": b"print()\n" * 5000, "a.b": b"", "h\u00e9.py": b"nfc", "he\u0301.py": b"nfd",
                           "n" * 150: b"long", "a/b/c/" + "m" * 120: b"longer", "set": b"#!/bin/sh\n", "big": os.urandom(300000)}.items():
            with open(os.path.join(root, name), "wb") as file:
                file.write(data)
        os.chmod(os.path.join(root, "set"), 0o4755)
        os.chmod(os.path.join(root, "a-b"), 0o600)
        os.chmod(os.path.join(root, "empty"), 0o1777)
        os.symlink("../a-b", os.path.join(root, "a/link"))
        os.symlink("t\u00e9" * 60, os.path.join(root, "nowhere"))
        os.link(os.path.join(root, "big"), os.path.join(root, "a/hard"))

    def test_a_folder_has_the_digest_of_its_listing(self):
        self.assertEqual(run("dir", self.root), listing(entries_of(self.root)))
        self.assertEqual(run("dir", self.root, locale="C.UTF-8"), listing(entries_of(self.root)))
        self.assertEqual(run("code", self.root), listing(entries_of(self.root, code=True)))
        self.assertNotEqual(run("code", self.root), run("dir", self.root))

    def test_an_empty_folder_has_one_too(self):
        self.assertEqual(run("dir", os.path.join(self.root, "empty")), listing({}))

    def test_every_kind_of_tar_has_the_digest_of_its_folder(self):
        expected = run("dir", self.root)
        for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            for compression in ("", ":gz", ":bz2", ":xz"):
                for prefix in (".", ""):
                    path = self.path("t.tar")
                    with tarfile.open(path, "w" + compression, format=kind) as tar:
                        if prefix:
                            tar.add(self.root, arcname=prefix)
                        else:
                            for name in sorted(os.listdir(self.root), reverse=True):
                                tar.add(os.path.join(self.root, name), arcname=name)
                    for locale in ("C", "C.UTF-8"):
                        self.assertEqual(run("tar", path, locale=locale), expected, (kind, compression, prefix, locale))
        subprocess.run(["tar", "-C", self.root, "-cf", path, "."], check=True)
        self.assertEqual(run("tar", path), expected)

    def test_folders_that_a_tar_only_implies_are_755(self):
        with tarfile.open(self.path("t.tar"), "w") as tar:
            for name in ("z/y/x", "a/b/c", "a/b/d", "a/c"):
                info = tarfile.TarInfo(name)
                info.mode, info.size = 0o640, 3
                tar.addfile(info, io.BytesIO(b"abc"))
        folders = {p: (b"d", 0o755, b"") for p in (b"z", b"z/y", b"a", b"a/b")}
        files = {p: (b"f", 0o640, b"abc") for p in (b"z/y/x", b"a/b/c", b"a/b/d", b"a/c")}
        self.assertEqual(run("tar", self.path("t.tar")), listing({**folders, **files}))

    def tar_of(self, *members):
        with tarfile.open(self.path("t.tar"), "w") as tar:
            for name, kind, link in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, link
                if kind == tarfile.REGTYPE:
                    info.size = 1
                tar.addfile(info, io.BytesIO(b"x") if info.size else None)
        return run("tar", self.path("t.tar"))

    def test_a_tar_that_has_no_tree_is_refused_by_the_name_of_the_entry(self):
        reg, directory, hard, symbolic = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE
        self.assertRegex(self.tar_of(("a", reg, ""), ("a", reg, "")), "error -6 .*'a' occurs twice")
        self.assertRegex(self.tar_of(("d/null", tarfile.CHRTYPE, "")), "error -8 .*'d/null' is neither")
        self.assertRegex(self.tar_of(("pipe", tarfile.FIFOTYPE, "")), "error -8 .*'pipe' is neither")
        self.assertRegex(self.tar_of(("../a", reg, "")), r"error -6 .*'\.\./a' is not a plain relative path")
        self.assertRegex(self.tar_of(("/a", reg, "")), "error -6 .*'/a' is not a plain relative path")
        self.assertRegex(self.tar_of(("a/../b", reg, "")), "error -6 .*not a plain relative path")
        self.assertRegex(self.tar_of(("a", reg, ""), ("a/b", reg, "")), "error -6 .*'a/b' stands below 'a'")
        self.assertRegex(self.tar_of(("s", symbolic, "d"), ("s/b", reg, "")), "error -6 .*'s/b' stands below 's'")
        self.assertRegex(self.tar_of(("h", hard, "nothing")), "error -6 .*'h' is a hard link to something")
        self.assertRegex(self.tar_of(("h", hard, "g"), ("g", hard, "h")), "error -6 .*is a hard link to something")
        self.assertRegex(self.tar_of(("d", directory, ""), ("h", hard, "d")), "error -6 .*'h' is a hard link to the folder")
        with open(self.path("t.tar"), "wb") as file:
            file.write(b"no tar at all" * 100)
        self.assertRegex(run("tar", self.path("t.tar")), "error -6 ")
        self.assertRegex(run("tar", self.root), "error -6 .*not a regular file")

    def test_a_cut_tar_is_refused(self):
        with tarfile.open(self.path("t.tar"), "w") as tar:
            tar.add(os.path.join(self.root, "big"), arcname="big")
        with open(self.path("t.tar"), "r+b") as file:
            file.truncate(100000)
        self.assertRegex(run("tar", self.path("t.tar")), "error -6 ")

    def test_hard_links_in_any_order_are_their_file(self):
        reg, hard = tarfile.REGTYPE, tarfile.LNKTYPE
        expected = listing({p: (b"f", 0o644, b"x") for p in (b"a", b"b", b"c")})
        self.assertEqual(self.tar_of(("c", hard, "./b"), ("b", hard, "a"), ("a", reg, "")), expected)

    def test_a_folder_with_a_device_or_fifo_is_refused_by_name(self):
        os.mkfifo(os.path.join(self.root, "a/pipe"))
        self.assertRegex(run("dir", self.root), "error -8 .*'a/pipe' is neither")

    def test_the_cache_is_believed_until_anything_changes(self):
        cache = self.path("cache")
        time.sleep(1.1)
        expected = run("dir", self.root)
        self.assertEqual(run("cached", self.root, cache), expected)
        self.assertEqual(run("cached", self.root, cache), expected + " cached")
        self.assertEqual(stat.S_IMODE(os.stat(cache).st_mode), 0o600)
        with open(cache) as file:
            good = file.read()
        for bad in ("", good[:-1], good + "x", good.replace("v1", "v2"), good.upper(), good[:-2] + "g\n", good.replace(" ", "  ", 1)):
            with open(cache, "w") as file:
                file.write(bad)
            self.assertEqual(run("cached", self.root, cache), expected, bad)
        # Each of these changes is seen, although size and times can look as before.
        victim = os.path.join(self.root, "a-b")
        before = os.stat(victim)
        with open(victim, "wb") as file:
            file.write(b"2")
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
        changed = run("cached", self.root, cache)
        self.assertEqual(changed, listing(entries_of(self.root)))
        self.assertNotEqual(changed, expected)
        os.chmod(victim, 0o644)
        self.assertEqual(run("cached", self.root, cache), listing(entries_of(self.root)))
        os.rename(victim, victim + "2")
        self.assertEqual(run("cached", self.root, cache), listing(entries_of(self.root)))
        # What has just changed is not written into the cache.
        self.assertNotIn("cached", run("cached", self.root, cache))
        time.sleep(1.1)
        self.assertNotIn("cached", run("cached", self.root, cache))
        self.assertIn("cached", run("cached", self.root, cache))
        # Another folder with the same content is another folder.
        shutil.copytree(self.root, self.path("copy"), symlinks=True)
        self.assertNotIn("cached", run("cached", self.path("copy"), cache))

    def open_bundle(self, path, key):
        with open(path, "rb") as file:
            data = file.read()
        header, data = data[:32], data[32:]
        self.assertEqual(header[:13], b"mse-bundle\n\x01\x01")
        inner = b""
        counter = 0
        while data:
            chunk, data = data[:65536 + 16], data[65536 + 16:]
            nonce = header[13:] + counter.to_bytes(4, "big") + (b"\0" if data else b"\1")
            inner += crypto_aead_xchacha20poly1305_ietf_decrypt(chunk, header, nonce, key)
            counter += 1
        return inner

    def test_a_bundle_is_what_its_specification_says(self):
        json = '{"python_application":"app:app"}'
        inners = set()
        headers = set()
        for locale in ("C", "C.UTF-8"):
            key, sha256, digest, inner_size, padded_size, sealed_size = run("seal", self.root, self.path("out"), json, locale=locale).split()
            with open(self.path("out"), "rb") as file:
                sealed = file.read()
            self.assertEqual(hashlib.sha256(sealed).hexdigest(), sha256)
            self.assertEqual(len(sealed), int(sealed_size))
            self.assertEqual(stat.S_IMODE(os.stat(self.path("out")).st_mode), 0o600)
            headers.add(sealed[:32])
            inner = self.open_bundle(self.path("out"), bytes.fromhex(key))
            inners.add(inner)
            self.assertEqual(len(inner), int(padded_size))
            self.assertEqual(inner[int(inner_size):].strip(b"\0"), b"")
            self.assertNotIn(b"print()", sealed)
            self.assertNotIn(b"x.py", sealed)
        self.assertEqual(len(inners), 1, "the same folder packs to the same bytes")
        self.assertEqual(len(headers), 2, "no two bundles share a prefix")
        members = {}
        order = []
        with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
            for member in tar:
                self.assertEqual((member.mtime, member.uid, member.gid, member.uname, member.gname), (0, 0, 0, "", ""))
                name = os.fsencode(member.name)
                order.append(name)
                if member.issym():
                    members[name] = (b"l", 0, os.fsencode(member.linkname))
                elif member.isdir():
                    members[name] = (b"d", member.mode, b"")
                else:
                    members[name] = (b"f", member.mode, tar.extractfile(member).read())
        self.assertEqual(order[0], b".mse/app.json")
        self.assertEqual(order[1:], sorted(order[1:]))
        self.assertEqual(members[b".mse/app.json"], (b"f", 0o644, json.encode()))
        expected = entries_of(self.root, code=True)
        expected[b".mse/app.json"] = members[b".mse/app.json"]
        self.assertEqual(members, expected)
        expected[b".mse"] = (b"d", 0o755, b"")
        self.assertEqual(digest, listing(expected))
        # The same digest as of the unpacked folder with .mse/app.json in it.
        os.mkdir(os.path.join(self.root, ".mse"))
        with open(os.path.join(self.root, ".mse/app.json"), "w") as file:
            file.write(json)
        self.assertEqual(digest, run("code", self.root))
        # What the enclave makes of it, with nothing but libc linked dynamically.
        os.mkdir(self.path("opened"))
        done = subprocess.run([OPEN_DRIVER, self.path("out"), self.path("opened")], input=key, capture_output=True, text=True)
        self.assertEqual(done.stdout.split(), [digest, str(len(members) - 1), json])
        shutil.rmtree(os.path.join(self.root, ".mse"))
        self.assertEqual(entries_of(self.path("opened")), entries_of(self.root, code=True))
        needed = subprocess.run(["readelf", "-d", OPEN_DRIVER], capture_output=True, text=True, check=True).stdout
        libraries = {line.split("[")[1].rstrip("]") for line in needed.splitlines() if "(NEEDED)" in line}
        self.assertLessEqual({name for name in libraries if not name.startswith(("libasan", "libubsan", "libgcc"))},
                             {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"})


if __name__ == "__main__":
    DRIVER = sys.argv.pop(1)
    OPEN_DRIVER = sys.argv.pop(1)
    unittest.main()
