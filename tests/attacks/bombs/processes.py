"""The fork bomb, from C and past Python's own rule."""
from attack import application, attempt, spawn

TITLE = "fork bomb"
WALL = "seccomp: there is no other process"
SECOND = "the plan's limit of tasks (pids cgroup)"


@attempt(inside="EPERM × 10000", outside="done")
def bomb():
    refused = 0
    for _ in range(10000):
        try:
            spawn("fork")
            return "done"
        except PermissionError:
            refused += 1
    return f"EPERM × {refused}"


app = application(globals())
