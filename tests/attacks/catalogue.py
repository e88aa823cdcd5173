"""Which attacks there are."""
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDERS = ("escapes", "keys", "storage", "bombs", "egress")
ATTACKS = [f"{folder}/{path.stem}" for folder in FOLDERS for path in sorted((HERE / folder).glob("*.py"))]


def attack_file(name):
    return HERE / f"{name}.py"
