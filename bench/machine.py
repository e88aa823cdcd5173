"""What figures are worth nothing without: where they were taken."""
import os
from pathlib import Path


def machine():
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores, {model}, Linux {os.uname().release}, load {os.getloadavg()[0]:.2f}"
