#!/usr/bin/env python3
"""Run by `meson install`: writes share/mse/runtime.json, the digests of what runs inside an enclave, which `mse` trusts.

Usage: runtime-digests.py SECURITY_VERSION [LIBRARY TO SHIP BESIDE ...]
"""
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

prefix = Path(os.environ["MESON_INSTALL_DESTDIR_PREFIX"])
security_version = int(sys.argv[1])
library_folder = prefix / "lib"

files = {"mse-enclave": prefix / "bin" / "mse-enclave", "libmse_python.so": library_folder / "libmse_python.so"}
for library in map(Path, sys.argv[2:]):
    real = library.resolve()
    # The name that the loader asks for: libasan.so.8, where the file may be libasan.so.8.0.0.
    name = ".".join(real.name.split(".")[:3])
    target = library_folder / name
    if not target.exists() or target.read_bytes() != real.read_bytes():
        shutil.copyfile(real, target)
    files[name] = target

digests = {name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}
text = json.dumps({"security_version": security_version, "files": digests}, indent=2, sort_keys=True) + "\n"
output = prefix / "share" / "mse" / "runtime.json"
output.parent.mkdir(parents=True, exist_ok=True)
if not output.exists() or output.read_text() != text:
    output.write_text(text)
