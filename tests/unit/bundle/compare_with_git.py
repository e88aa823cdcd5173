#!/usr/bin/python3
"""Compares our .mseignore with git's .gitignore over generated folders and patterns.

    compare_with_git.py DRIVER [--seed N] [--trees N]

Every path of every folder is asked of `git check-ignore -v`, which also names the pattern that decides, and of our driver;
then what `git ls-files` would add is compared with what our walk packs. The same seed makes the same folders.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

NAMES = ["a", "b", "c", "ab", "abc", "foo", "foo.txt", "bar", "bar.py", "foobar", "a b", "a ", " a", "#x", "!x", "[a]", "a*b", "a\\b", "\\",
         "é", "A", "1", ".x", "a]b", "-", "^", "foo**bar", "a\r", "\t", "x\x7f", "aaab", "aXbXc", "~", "_", "\x0b"]
FOLDERS = ["a", "b", "foo", "bar", "d e", "é", "x", "foo.d", "[a]", "**"]
ATOMS = ["*", "**", "***", "?", "/", "/", "//", "**/", "/**", "/**/", "a", "b", "c", "foo", "bar", ".", "txt", "x", "X", " ", "  ", "\\ ", "\\",
         "\\*", "\\?", "\\[", "\\]", "\\\\", "\\a", "\\/", "#", "!", "-", "^", "é", "\t", "~", "1"]
CLASS_ATOMS = ["a", "b", "c", "x", "X", "A", "1", "-", "a-c", "a-", "-a", "!", "^", "]", "\\]", "\\\\", "\\-", "[", "[:alpha:]", "[:digit:]", "[:upper:]",
               "[:lower:]", "[:space:]", "[:punct:]", "[:blank:]", "[:cntrl:]", "[:graph:]", "[:print:]", "[:alnum:]", "[:xdigit:]", "[:nope:]", "[:", "[:a",
               ":]", "[::]", "[:]", "z-a", "\\a-\\c", "/", ".", "*", "?", " ", "é", "[a", "a-[:digit:]", "[:digit:]-a", "--a", "!-~", "\x01-\x7f"]
RARE = ["", "/", "//", "!", "!/", "#", "\\#x", "\\!x", "!!x", "**", "/**", "**/", "/*", "*/", "/.", "./a", "a/..", "!*", "*", "[", "[]", "[!]", "[^]]", "[]]", "[]-a]",
        "\\", "a\\", "\\ ", "a\\ ", "a \\ ", "a\\  ", "a \\", " ", "  a", "foo/**/bar", "foo**/bar", "**/foo/**", "a/**/**/b", "*/**/*", "foo/", "/foo/", "!foo/",
        "**foo", "foo**", "**.txt", "*.*", "?", "??", "*?*", "a/*/b", "a**b", "/a**b", "x/**/a", "**/a/**/b/**", "a\0b", "\0", "**\\/a", "a/\\*\\*/b", "[a]", "\\[a\\]"]


def pattern(rng, paths):
    kind = rng.random()
    if kind < 0.15:
        text = rng.choice(RARE)
    elif kind < 0.45 and paths:
        # A real path with parts replaced, so that much of it matches.
        text = rng.choice(paths)
        if rng.random() < 0.4:
            text = text.split("/")[-1]
        for _ in range(rng.randrange(3)):
            if text:
                at = rng.randrange(len(text))
                end = min(len(text), at + rng.randrange(1, 4))
                new = rng.choice(["*", "?", "**", "[" + text[at] + "]", "\\" + text[at], "[!q]", "[[:alpha:]]", "/**/", "**/", "[a-z]"])
                text = text[:at] + new + text[end:]
    else:
        text = ""
        for _ in range(rng.randrange(1, 7)):
            if rng.random() < 0.22:
                text += "[" + rng.choice(["", "", "!", "^"]) + "".join(rng.choice(CLASS_ATOMS) for _ in range(rng.randrange(4))) + rng.choice(["]", "]", "]", ""])
            else:
                text += rng.choice(ATOMS)
    if rng.random() < 0.15:
        text = "/" + text
    if rng.random() < 0.15:
        text = text + "/"
    if rng.random() < 0.25:
        text = "!" + text
    if rng.random() < 0.1:
        text += rng.choice([" ", "  ", "\\ ", " \\  ", "\t"])
    return text


def ignore_file(rng, paths):
    lines = [pattern(rng, paths) for _ in range(rng.choice([1, 1, 1, 2, 3, 4, 6, 9]))]
    if rng.random() < 0.1:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(["", "# comment", "\r", " "]))
    ending = rng.choice(["\n"] * 6 + ["\r\n", "\r\r\n"])
    text = ending.join(lines)
    if rng.random() < 0.8:
        text += ending
    data = text.encode()
    if rng.random() < 0.04:
        data = b"\xef\xbb\xbf" + data
    return data


def make_tree(rng, root, ignore_names):
    """Makes a folder; returns the relative paths of all in it."""
    paths = []
    os.mkdir(root)
    folders = [""]
    for _ in range(rng.randrange(4, 16)):
        folder = rng.choice(folders)
        kind = rng.random()
        name = rng.choice(FOLDERS if kind < 0.35 and folder.count("/") < 3 else NAMES)
        path = folder + "/" + name if folder else name
        full = os.path.join(root, path)
        if os.path.lexists(full):
            continue
        if kind < 0.35 and folder.count("/") < 3:
            os.mkdir(full)
            folders.append(path)
        elif kind < 0.42:
            os.symlink(rng.choice(["a", ".", "nowhere"]), full)
        else:
            open(full, "w").close()
        paths.append(path)
    for folder in folders:
        if folder == "" or rng.random() < 0.3:
            below = [p[len(folder) + 1:] if folder else p for p in paths if not folder or p.startswith(folder + "/")]
            data = ignore_file(rng, below)
            for ignore_name in ignore_names:
                with open(os.path.join(root, folder, ignore_name), "wb") as file:
                    file.write(data)
    return paths


def make_class_tree(root, text):
    """A folder with every name of one ASCII byte, and one class to tell them apart."""
    os.mkdir(root)
    names = [chr(byte) for byte in range(1, 128) if chr(byte) not in "./"]
    for name in names:
        open(os.path.join(root, name), "w").close()
    for ignore_name in (".gitignore", ".mseignore"):
        with open(os.path.join(root, ignore_name), "w") as file:
            file.write(text + "\n")
    return names


CLASSES = ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"}


def git(work_tree, git_dir, arguments, data=b""):
    command = ["git", "--git-dir=" + git_dir, "--work-tree=" + work_tree, "-c", "core.excludesFile="] + arguments
    done = subprocess.run(command, input=data, capture_output=True, cwd=work_tree, env=ENVIRONMENT)
    if done.returncode not in (0, 1) or done.stderr:
        sys.exit("git failed: %r %r" % (command, done.stderr[:500]))
    return done.stdout.split(b"\0")[:-1]


def ask_git(work_tree, git_dir, paths):
    """path -> (folder of the deciding .gitignore, line, verdict)"""
    fields = git(work_tree, git_dir, ["check-ignore", "--no-index", "-v", "-n", "--stdin", "-z"], b"".join(os.fsencode(p) + b"\0" for p in paths))
    answers = {}
    for source, line, text, path in zip(*[iter(fields)] * 4):
        source = os.fsdecode(source)
        verdict = "silent" if source == "" else "include" if text.startswith(b"!") else "exclude"
        answers[os.fsdecode(path)] = (os.path.dirname(source), int(line or 0), verdict)
    return answers


def ask_driver(driver, folders):
    fields = subprocess.run([driver, "match", ".gitignore"] + folders, capture_output=True, check=True).stdout.split(b"\0")[:-1]
    answers = {}
    for root, path, folder, line, verdict in zip(*[iter(fields)] * 5):
        answers[(os.fsdecode(root), os.fsdecode(path))] = (os.fsdecode(folder), int(line), verdict.decode())
    return answers


def show(root, path, expected, found):
    print("differs: %r\n  git:  %r\n  ours: %r" % (path, expected, found))
    for folder, _, files in os.walk(root):
        if ".gitignore" in files:
            print("  %s: %r" % (os.path.relpath(os.path.join(folder, ".gitignore"), root), open(os.path.join(folder, ".gitignore"), "rb").read()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("--seed", type=int, default=20260131)
    parser.add_argument("--trees", type=int, default=3000)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    # Tens of thousands of files: in memory where that can be had.
    top = tempfile.mkdtemp(prefix="mse-ignore-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    different = compared = excluded = included = 0
    try:
        git_dir = os.path.join(top, "git")
        subprocess.run(["git", "init", "-q", "--bare", git_dir], check=True, env=ENVIRONMENT)
        subprocess.run(["git", "--git-dir", git_dir, "config", "core.bare", "false"], check=True, env=ENVIRONMENT)
        work = os.path.join(top, "work")
        os.mkdir(work)
        # Most folders lie side by side in one work tree (one call of git for all), some are work trees themselves.
        roots = {}
        for number in range(options.trees):
            root = os.path.join(work, "t%05d" % number)
            roots[root] = make_tree(rng, root, [".gitignore", ".mseignore"])
        for number, name in enumerate(CLASSES * 2):
            root = os.path.join(work, "c%05d" % number)
            roots[root] = make_class_tree(root, "[%s[:%s:]]" % ("!" if number >= len(CLASSES) else "", name))
        alone = list(roots)[:: max(1, options.trees // 150)]

        ours = ask_driver_all(options.driver, list(roots))
        theirs = ask_git(work, git_dir, [os.path.relpath(os.path.join(root, path), work) for root, paths in roots.items() for path in paths])
        for root, paths in roots.items():
            prefix = os.path.basename(root)
            for path in paths:
                folder, line, verdict = theirs[prefix + "/" + path]
                if verdict != "silent":
                    folder = folder[len(prefix) + 1:]
                compared += 1
                excluded += verdict == "exclude"
                included += verdict == "include"
                if ours[(root, path)] != (folder, line, verdict):
                    different += 1
                    if different <= 10:
                        show(root, path, (folder, line, verdict), ours[(root, path)])
        for root in alone:
            answers = ask_git(root, git_dir, roots[root]) if roots[root] else {}
            for path, answer in answers.items():
                compared += 1
                if ours[(root, path)] != answer:
                    different += 1
                    if different <= 10:
                        show(root, path, answer, ours[(root, path)])

        # What is packed against what git would add, over files named .mseignore.
        added = {os.fsdecode(p) for p in git(work, git_dir, ["ls-files", "-z", "-o", "--exclude-per-directory=.mseignore"])}
        added = {p for p in added if os.path.basename(p) != ".mseignore"}
        packed = set()
        for some in chunks(list(roots), 500):
            fields = subprocess.run([options.driver, "walk"] + some, capture_output=True, check=True).stdout.split(b"\0")[:-1]
            packed |= {os.path.relpath(os.path.join(os.fsdecode(r), os.fsdecode(p)), work) for r, p in zip(*[iter(fields)] * 2)}
        for path in sorted(added ^ packed)[:10]:
            print("%s packs %r" % ("only git" if path in added else "only mse", path))
        different += len(added ^ packed)
        print("%d folders, %d paths compared (%d excluded, %d included by '!'), %d packed, %d differences" %
              (len(roots), compared, excluded, included, len(packed), different))
        if excluded < compared // 20 or included < compared // 200 or not packed:
            sys.exit("the generated patterns decide too little to prove anything")
    finally:
        shutil.rmtree(top)
    sys.exit(1 if different else 0)


def chunks(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


def ask_driver_all(driver, roots):
    answers = {}
    for some in chunks(roots, 500):
        answers.update(ask_driver(driver, some))
    return answers


if __name__ == "__main__":
    main()
