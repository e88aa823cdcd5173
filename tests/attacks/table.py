"""The rows of docs/isolation.md's table of attacks, from the attacks themselves. Usage: table.py"""
from control import load
from catalogue import ATTACKS, attack_file


def rows():
    for name in ATTACKS:
        module = load(attack_file(name))
        yield f"| {module.TITLE} | {module.WALL} | {module.SECOND} | [{name}](../tests/attacks/{name}.py) |"


if __name__ == "__main__":
    print("\n".join(rows()))
