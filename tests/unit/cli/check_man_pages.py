#!/usr/bin/env python3
"""The man pages are clean mdoc, and mse(1) names every command and option of the program's table.

Usage: check_man_pages.py MSE PAGE..."""
import json
import re
import subprocess
import sys


def main(program, pages):
    failed = False
    for page in pages:
        result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            print(result.stdout + result.stderr)
            failed = True
    [page] = [page for page in pages if page.endswith("/mse.1")]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    commands = json.loads(subprocess.run([program, "help", "--json"], capture_output=True, check=True).stdout)["commands"]
    assert commands
    for command in commands:
        if not re.search(rf"^\.It Cm {command['name']}\b", text, re.M):
            print(f"{page} does not describe the command '{command['name']}'")
            failed = True
        for option in re.findall(r"--([a-z-]+)", command["usage"]):
            if not re.search(rf"^\.(It|Op|Pf) Fl .*-{option}\b", text, re.M):
                print(f"{page} does not describe the option --{option} of '{command['name']}'")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
