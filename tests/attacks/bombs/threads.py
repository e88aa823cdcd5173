"""Starts threads until none can be started."""
import threading

from attack import application, attempt

TITLE = "thread bomb"
WALL = "the plan's limit of tasks (pids cgroup)"
SECOND = "the plan's memory"
MANY = 3000


@attempt(inside="refused within the plan")
def bomb():
    end, started = threading.Event(), []
    try:
        threading.stack_size(65536)
        for _ in range(MANY):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
        return f"{len(started)} threads"
    except RuntimeError:
        return "refused within the plan" if len(started) < 1000 else f"{len(started)} threads"
    finally:
        end.set()
        for thread in started:
            thread.join()


app = application(globals())
