"""What the programs of a node could still do on the host if one of them were taken over, read from the kernel's own account of them."""
from pathlib import Path

import pytest

import mse

# Numbers of linux/capability.h.
NAMES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8, "NET_ADMIN": 12, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "MKNOD": 27, "SETFCAP": 31}
OF_SHIMS = set(NAMES) - {"SETPCAP"}


@pytest.fixture(scope="module")
def app(node, tmp_path_factory):
    owner = mse.Owner(tmp_path_factory.mktemp("owner"), node)
    deployed = owner.deploy(owner.project("confined", "environment"))
    yield deployed
    deployed.stop()


def account(pid, task=None):
    path = Path(f"/proc/{pid}/task/{task}/status" if task else f"/proc/{pid}/status")
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def capabilities(mask):
    bits = {number for number in range(64) if int(mask, 16) >> number & 1}
    return {next((name for name, value in NAMES.items() if value == number), number) for number in bits}


def test_msed_can_end_processes_and_hands_on_only_what_shims_use(node, app):
    for task in Path(f"/proc/{node.process.pid}/task").iterdir():
        said = account(node.process.pid, task.name)
        assert capabilities(said["CapEff"]) == {"KILL"}
        assert capabilities(said["CapInh"]) == capabilities(said["CapAmb"]) == set()
        assert capabilities(said["CapPrm"]) == capabilities(said["CapBnd"]) == set(NAMES), "and what it takes to give up the rest"
        assert said["NoNewPrivs"] == "1" and said["Seccomp"] == "2"


def test_a_shim_has_only_what_it_uses(node, app):
    said = account(node.shim_of(app.id))
    assert capabilities(said["CapEff"]) == capabilities(said["CapPrm"]) == capabilities(said["CapBnd"]) == OF_SHIMS
    assert capabilities(said["CapInh"]) == capabilities(said["CapAmb"]) == set()
    assert said["NoNewPrivs"] == "1" and said["Seccomp"] == "2"


def test_no_program_leaves_a_core_or_files_for_others(node, app):
    for pid in (node.process.pid, node.shim_of(app.id), node.enclave_of(app.id)):
        limits = Path(f"/proc/{pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
    assert account(node.process.pid)["Umask"].strip() == account(node.shim_of(app.id))["Umask"].strip() == "0077"


def test_a_shim_keeps_nothing_of_mseds_but_its_log(node, app):
    shim = node.shim_of(app.id)
    links = {entry.name: entry.readlink() for entry in Path(f"/proc/{shim}/fd").iterdir()}
    assert str(links["0"]) == str(links["1"]) == "/dev/null" and str(links["2"]).endswith("/shim.err")
    assert not any(name in str(link) for link in links.values() for name in ("msed.db", "msed.lock", "/bundles/"))
    assert account(shim)["Groups"].strip() in ("", account(node.process.pid)["Groups"].strip())
    environment = Path(f"/proc/{shim}/environ").read_bytes()
    assert {line.partition(b"=")[0] for line in environment.split(b"\0") if line} <= {b"PATH", b"LANG"}
