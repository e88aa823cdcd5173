#!/usr/bin/env python3
"""The service units are what systemd understands, as tight as they were, and in step with what the programs themselves give up.

Usage: check_units.py MSED CONFINE_C UNIT..."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# Of 100, as systemd-analyze weighs them; what is not set, and why, is in the units.
MAX_EXPOSURE = {"system": 52, "user": 76}


def settings(text):
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
        found.setdefault(name, []).append(value)
    return found


def analyze(unit, manager, folder, *arguments):
    """Complaints are on standard error, whatever the exit status is."""
    result = subprocess.run(["systemd-analyze", *arguments, *(["--user"] if manager == "user" else []), "--no-pager", str(unit)],
                            env={**os.environ, "XDG_RUNTIME_DIR": folder, "SYSTEMD_LOG_LEVEL": "warning"}, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, result.stderr


def check(unit, msed, confine):
    manager = unit.name.partition("-")[0]
    text = unit.read_text(encoding="utf-8")
    problems = []
    found = settings(text)
    kept = set(re.findall(r"BIT\((CAP_\w+)\)", confine.read_text(encoding="utf-8")))
    if manager == "system" and set(found["CapabilityBoundingSet"][0].split()) != kept:
        problems.append(f"CapabilityBoundingSet differs from {confine}: {sorted(kept ^ set(found['CapabilityBoundingSet'][0].split()))}")
    for paragraph in text.split("[Service]")[1].split("[Install]")[0].strip().split("\n\n")[1:]:
        if not paragraph.startswith("#"):
            problems.append(f"no reason is given for: {paragraph.splitlines()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        # The program is installed later; what is to be checked is that systemd would start it.
        copy = pathlib.Path(folder) / "msed.service"
        copy.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={msed}", text, flags=re.M), encoding="utf-8")
        status, _, said = analyze(copy, manager, folder, "verify", "--man=no", "--generators=no")
        if status != 0 or said:
            problems.append(f"systemd-analyze verify: {said}")
        status, said, errors = analyze(copy, manager, folder, "security", "--offline=true", f"--threshold={MAX_EXPOSURE[manager]}")
        if status != 0:
            problems.append(f"systemd-analyze security: {said.splitlines()[-1] if said else errors}")
        # A misspelt setting is only warned of, and would leave the exposure as it was without it.
        copy.write_text(text.replace("NoNewPrivileges=", "NoNewPrivilege="), encoding="utf-8")
        if not analyze(copy, manager, folder, "verify", "--man=no", "--generators=no")[2]:
            problems.append("systemd-analyze verify does not see a misspelt setting: this check is worth nothing")
    return [f"{unit}: {problem}" for problem in problems]


def main(msed, confine, *units):
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is not there: tools/install-deps test")
        return 1
    problems = [problem for unit in units for problem in check(pathlib.Path(unit), pathlib.Path(msed).resolve(), pathlib.Path(confine))]
    print("\n".join(problems))
    return 1 if problems or len(units) != 2 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
