"""Makes the attempts of one attack without the walls: as root, in namespaces of its own, each in a process of its own. Shows that they are real ones:
what an enclave is refused works here, or fails at a later question.

Usage: control.py FILE KEY=VALUE..., in namespaces that the caller has made."""
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import attack  # noqa: E402


def load(path):
    spec = importlib.util.spec_from_file_location(f"attack_{Path(path).parent.name}_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def apart(function):
    """The outcome, told by a child that may be lost with what it did."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(20)
        told = attack.outcome(function)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        told = pipe.read()
    status = os.waitpid(child, 0)[1]
    return told or f"ended with {status}"


def main(path, pairs):
    attack.given.update(pair.split("=", 1) for pair in pairs)
    attempts = getattr(load(path), "ATTEMPTS", {})
    print(json.dumps({name: apart(function) for name, function in attempts.items() if function.outside is not None}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
