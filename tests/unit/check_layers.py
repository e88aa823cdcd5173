#!/usr/bin/env python3
"""A folder of src/ includes headers of its own and of the folders before it only.

Usage: check_layers.py SRC FOLDER..."""
import pathlib
import re
import sys


def main(source, folders):
    failed = False
    seen = 0
    assert sorted(folders) == sorted(path.name for path in source.iterdir() if path.is_dir())
    for path in sorted(source.glob("*/*.[ch]*")):
        allowed = folders[:folders.index(path.parent.name) + 1]
        for header in re.findall(r'^#include "(([^/"]+)/[^"]+)"', path.read_text(encoding="utf-8"), re.M):
            seen += 1
            if header[1] in folders and header[1] not in allowed:
                print(f"{path} includes {header[0]}, which is of a later folder")
                failed = True
    assert seen > 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
