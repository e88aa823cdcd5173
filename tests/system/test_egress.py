"""Where applications may connect to, tried by applications: in a small internet of the tests' own."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest

import mse
from internet import NODE4, NODE6, Internet

PROBE = {"app.py": '''import json
import os
import socket
from flask import Flask, request
app = Flask(__name__)

@app.route("/health")
def health():
    return "healthy"

def attempt(action):
    try:
        return {"got": action()}
    except Exception as failure:
        return {"error": type(failure).__name__, "text": str(failure)}

def talk(kind, host, port):
    if kind == "abstract":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(2)
        connection.connect("\\0" + host)
    else:
        family, _, _, _, address = socket.getaddrinfo(host, port)[0]
        connection = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        connection.settimeout(2)
        connection.connect(address)
    if kind == "udp":
        connection.send(b"hello")
    return connection.recv(100).decode()

@app.route("/talk")
def talk_to():
    return attempt(lambda: talk(request.args["kind"], request.args["host"], int(request.args["port"])))

@app.route("/resolve")
def resolve():
    return attempt(lambda: sorted({entry[4][0] for entry in socket.getaddrinfo(request.args["host"], 80)}))

def ask(server, name):
    """Past the C library: one query, and its result code."""
    query = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0\\0\\1\\0\\1"
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(2)
    connection.connect((server, 53))
    connection.send(query)
    return connection.recv(512)[3] & 15

@app.route("/ask")
def ask_server():
    return attempt(lambda: ask(request.args["server"], request.args["name"]))

@app.route("/raw")
def raw():
    return {str(kind): attempt(lambda: socket.socket(*kind).fileno()) for kind in
            [(socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET6, socket.SOCK_RAW, 58), (socket.AF_PACKET, socket.SOCK_RAW, 0x0300), (16, socket.SOCK_RAW, 12)]}

@app.route("/mark")
def mark():
    def set_mark():
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, 36, 1)
        return "marked"
    return attempt(set_mark)

@app.route("/file")
def file():
    return attempt(lambda: open(request.args["path"]).read())

@app.route("/listen")
def listen():
    """A service of the app's own loopback."""
    global listener
    listener = socket.create_server(("127.0.0.1", int(request.args["port"])))
    with socket.create_connection(("127.0.0.1", int(request.args["port"])), 3):
        return {"got": "connected"}
'''}


class Probe(mse.App):
    def ask(self, path, /, **arguments):
        return json.loads(self.get(f"{path}?{urllib.parse.urlencode(arguments)}"))

    def tcp(self, host, port=443):
        return self.ask("/talk", kind="tcp", host=host, port=port)

    def udp(self, host, port=443):
        return self.ask("/talk", kind="udp", host=host, port=port)

    def resolve(self, host):
        return self.ask("/resolve", host=host)


def reached(answer, address):
    return answer == {"got": f"here is {address}"}


def refused(answer):
    return "error" in answer


@pytest.fixture(scope="module")
def internet(tmp_path_factory):
    with Internet(tmp_path_factory.mktemp("internet")) as one:
        yield one


@pytest.fixture(scope="module")
def node(internet, tmp_path_factory):
    started = mse.Node(tmp_path_factory.mktemp("egress") / "node").start()
    yield started
    started.destroy()


@pytest.fixture(scope="module")
def services(internet):
    """What listens on the node, and is nobody's business."""
    stopped = threading.Event()
    sockets = []
    for family, address, port in [(socket.AF_INET, "127.0.0.1", 9999), (socket.AF_INET6, "::1", 9999), (socket.AF_INET, "0.0.0.0", 8888),
                                  (socket.AF_INET6, "::", 8888), (socket.AF_INET, "127.0.0.1", 53)]:
        server = socket.socket(family)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((address, port))
        sockets.append(server)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0mse-test-abstract")
    sockets.append(abstract)

    def serve(server):
        server.listen(16)
        server.settimeout(0.2)
        while not stopped.is_set():
            try:
                peer, _ = server.accept()
            except TimeoutError:
                continue
            with peer:
                peer.sendall(b"here is the node")

    threads = [threading.Thread(target=serve, args=[server]) for server in sockets]
    for thread in threads:
        thread.start()
    # They are there, for whoever is on the node.
    for address in ("127.0.0.1", 9999), ("::1", 9999), (NODE4, 8888), (NODE6, 8888):
        with socket.create_connection(address, 3) as connection:
            assert connection.recv(100) == b"here is the node"
    yield
    stopped.set()
    for thread in threads:
        thread.join()
    for server in sockets:
        server.close()


def deploy(folder, node, name, egress):
    owner = mse.Owner(folder, node)
    app = owner.deploy(owner.project(name, PROBE, extra="" if egress is None else f"[network]\negress = {json.dumps(egress)}\n"))
    app.__class__ = Probe
    # What is said of it is true a little later than the app is there.
    mse.wait_until(lambda: program_of(node, app, "slirp4netns") or egress == "none", what="the gateway")
    return app


def program_of(node, app, name):
    shim = node.shim_of(app.id)
    return next((pid for pid in mse.descendants(shim) if mse.program_name(pid) == name), None) if shim else None


@pytest.fixture(scope="module")
def any_app(node, tmp_path_factory):
    app = deploy(tmp_path_factory.mktemp("any"), node, "anywhere", None)
    yield app
    app.stop()


@pytest.fixture(scope="module")
def list_app(node, tmp_path_factory):
    targets = ["API.test:443", "www.alias.test:80", "203.0.113.6:443", "[2001:db8::6]:80", "moving.test:80", "metadata.test:80", "loopback.test:9999",
               "node.test:8888", "known.test:80", "mine.test:8888", "big.test:80", "api.test:80", "absent.test:80"]
    app = deploy(tmp_path_factory.mktemp("list"), node, "somewhere", targets)
    yield app
    app.stop()


@pytest.fixture(scope="module")
def none_app(node, tmp_path_factory):
    app = deploy(tmp_path_factory.mktemp("none"), node, "nowhere", "none")
    yield app
    app.stop()


# ---- any ----

def test_an_app_reaches_the_world_by_name_and_address_over_tcp_and_udp(any_app):
    assert reached(any_app.tcp("api.test"), "203.0.113.5")
    assert reached(any_app.tcp("www.alias.test", 80), "203.0.113.5")
    assert reached(any_app.tcp("203.0.113.6", 80), "203.0.113.6")
    assert reached(any_app.udp("203.0.113.6"), "203.0.113.6")
    assert reached(any_app.tcp("2001:db8::5"), "2001:db8::5")
    assert reached(any_app.udp("2001:db8::6"), "2001:db8::6")
    assert any_app.resolve("api.test") == {"got": ["2001:db8::5", "203.0.113.5"]}
    assert len(any_app.resolve("big.test")["got"]) == 100, "answers too large for UDP come by TCP"
    assert reached(any_app.tcp("known.test", 80), "203.0.113.7"), "a name of the node's own hosts file"
    assert reached(any_app.tcp("10.1.2.3", 80), "10.1.2.3")


NODE_ALIASES = [("127.0.0.1", 9999), ("::1", 9999), ("127.1.2.3", 9999), ("0.0.0.0", 9999), ("::", 9999), ("::ffff:127.0.0.1", 9999), ("192.0.2.2", 9999),
                ("192.0.2.3", 9999), ("192.0.2.3", 8888), ("fd00::2", 9999), ("fd00::3", 9999), ("192.0.0.1", 9999), ("fd6d:7365::1", 9999),
                ("10.0.2.2", 9999), (NODE4, 8888), (NODE6, 8888), ("::ffff:" + NODE4, 8888), ("64:ff9b::7f00:1", 9999), ("64:ff9b::c633:6401", 8888),
                ("192.0.2.100", 9999), ("fd00::100", 9999), ("loopback.test", 9999), ("node.test", 8888), ("mine.test", 8888), ("localhost", 9999)]


@pytest.mark.parametrize("host,port", NODE_ALIASES)
def test_no_address_leads_to_services_of_the_node(any_app, list_app, none_app, services, host, port):
    for app in any_app, list_app, none_app:
        assert refused(app.tcp(host, port)), app.id


@pytest.mark.parametrize("host", ["169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "metadata.test", "::ffff:169.254.169.254", "fe80::99"])
def test_no_address_leads_to_the_metadata_of_a_cloud_or_to_the_link(any_app, list_app, none_app, host):
    for app in any_app, list_app, none_app:
        assert refused(app.tcp(host, 80)) and refused(app.udp(host)), app.id


def test_multicast_and_broadcast_go_nowhere(any_app):
    for address in "224.0.0.251", "255.255.255.255", "ff02::1%eth0", "198.51.100.255":
        assert refused(any_app.udp(address)), address


def test_an_app_makes_no_packets_of_its_own_and_marks_none(any_app, none_app):
    for app in any_app, none_app:
        assert all(refused(answer) for answer in app.ask("/raw").values()), app.ask("/raw")
        assert refused(app.ask("/mark"))


def test_abstract_sockets_of_the_node_are_not_there(any_app, list_app, none_app, services):
    for app in any_app, list_app, none_app:
        answer = app.ask("/talk", kind="abstract", host="mse-test-abstract", port=0)
        assert answer["error"] in ("ConnectionRefusedError", "PermissionError")


def test_an_app_sees_its_own_network_alone(any_app, none_app):
    devices = any_app.ask("/file", path="/proc/net/dev")["got"]
    assert sorted(line.partition(":")[0].strip() for line in devices.splitlines()[2:]) == ["eth0", "lo"]
    assert [line for line in none_app.ask("/file", path="/proc/net/dev")["got"].splitlines()[2:] if not line.strip().startswith("lo:")] == []
    for app in any_app, none_app:
        hosts = app.ask("/file", path="/etc/hosts")["got"]
        assert "secret-name-of-the-node" not in hosts and "127.0.0.1 localhost" in hosts
        assert "203.0.113.53" not in app.ask("/file", path="/etc/resolv.conf")["got"]
        assert app.ask("/listen", port=5000) == {"got": "connected"}


# ---- a list ----

def test_only_what_is_listed_is_reached(list_app):
    assert reached(list_app.tcp("api.test", 443), "203.0.113.5") and reached(list_app.tcp("api.test", 80), "203.0.113.5")
    assert reached(list_app.udp("api.test", 443), "203.0.113.5")
    assert reached(list_app.tcp("203.0.113.6", 443), "203.0.113.6")
    assert reached(list_app.tcp("2001:db8::6", 80), "2001:db8::6")
    # By its address, once its name has been asked for.
    assert reached(list_app.tcp("2001:db8::5", 443), "2001:db8::5")
    for host, port in ("203.0.113.6", 80), ("2001:db8::6", 443), ("other.test", 80), ("10.1.2.3", 80), ("198.51.100.254", 443), ("203.0.113.53", 53):
        assert refused(list_app.tcp(host, port)), (host, port)
    assert refused(list_app.udp("198.51.100.254"))


def test_a_chain_of_aliases_leads_to_its_end(list_app):
    assert reached(list_app.tcp("www.alias.test", 80), "203.0.113.5")


def test_a_port_counts_for_its_own_host_alone(list_app):
    """443 is api.test's, 80 is moving.test's."""
    assert reached(list_app.tcp("moving.test", 80), "203.0.113.8")
    assert refused(list_app.tcp("moving.test", 81))
    assert refused(list_app.tcp("www.alias.test", 81))


def test_names_that_are_not_listed_are_not_asked_for(list_app, internet):
    assert list_app.resolve("api.test") == {"got": ["2001:db8::5", "203.0.113.5"]}
    internet.order(forget=True)
    for name in "other.test", "secret.api.test", "data-that-leaves.api.test", "test", "x.test", "api.test.evil.test":
        assert refused(list_app.resolve(name)), name
        assert list_app.ask("/ask", server="192.0.0.1", name=name) in ({"got": 3}, {"got": 5}), name
    for server in "192.0.2.3", "203.0.113.53", "198.51.100.254":
        assert refused(list_app.ask("/ask", server=server, name="data.api.test")), server
    assert internet.order() == []


def test_a_name_with_many_addresses_and_one_without_any(list_app):
    assert len(list_app.resolve("big.test")["got"]) == 100
    assert refused(list_app.resolve("absent.test"))


def test_a_name_of_the_nodes_hosts_file_resolves_when_it_is_listed(list_app):
    assert reached(list_app.tcp("known.test", 80), "203.0.113.7")
    assert refused(list_app.tcp("known.test", 443))
    hosts = list_app.ask("/file", path="/etc/hosts")["got"]
    assert "known.test" in hosts and "secret" not in hosts


def test_a_name_that_moves_is_reached_where_it_has_moved_to(list_app, internet):
    assert reached(list_app.tcp("moving.test", 80), "203.0.113.8")
    assert refused(list_app.tcp("198.51.100.254", 80))
    internet.order(names={"moving.test": ["198.51.100.254"]})
    assert reached(list_app.tcp("moving.test", 80), "198.51.100.254")
    # A name that moves to where nobody may go is not followed there.
    for address in "169.254.169.254", "127.0.0.1", NODE4, "192.0.2.2":
        internet.order(names={"moving.test": [address]})
        assert refused(list_app.tcp("moving.test", 80)), address
    internet.order(names={"moving.test": ["203.0.113.8"]})


# ---- none ----

def test_without_egress_nothing_is_reached_and_the_app_is(none_app, internet):
    internet.order(forget=True)
    for host in "203.0.113.5", "2001:db8::5", "api.test", "known.test":
        assert refused(none_app.tcp(host)) and refused(none_app.udp(host)), host
    assert none_app.ask("/ask", server="192.0.2.3", name="api.test")["error"] == "OSError"
    assert internet.order() == []
    assert none_app.status_code("/health") == 200
    assert none_app.status()["weaker"] == [weak for weak in none_app.status()["weaker"] if weak["name"] != "offline"]


# ---- what is said of it ----

def test_egress_is_in_the_manifest_and_shown_by_verify(list_app, none_app, any_app, node):
    def member(app):
        answer = json.loads(app.verify().stdout)
        assert answer["verdict"] == "pass"
        return json.loads(next(check["found"] for check in answer["checks"] if check["name"] == "manifest.egress"))
    assert member(any_app) == "any" and member(none_app) == "none"
    listed = member(list_app)
    assert listed == sorted(listed) and "api.test:443" in listed and "[2001:db8::6]:80" in listed
    shown = list_app.owner.mse("verify", list_app.url, "--allow-simulation").stdout
    assert "api.test:443" in shown and "node's promise" in shown
    assert all(weak["name"] != "offline" for weak in list_app.status()["weaker"])


def test_an_egress_other_than_the_owners_is_no_pass(any_app, none_app, folder):
    """The context of one instance says no word for another."""
    context = folder / "context.json"
    any_app.owner.mse("context", "export", any_app.id, "--output", context, check=True)
    result = none_app.owner.mse("verify", none_app.url, "--allow-simulation", "--context", context, "--json")
    assert result.returncode == 1
    failed = {check["name"] for check in json.loads(result.stdout)["checks"] if check["result"] == "failed"}
    assert "manifest.egress" in failed


# ---- its life ----

def test_slirp4netns_that_dies_is_started_again_with_the_same_rules(list_app, node):
    first = program_of(node, list_app, "slirp4netns")
    os.kill(first, signal.SIGKILL)
    mse.wait_until(lambda: program_of(node, list_app, "slirp4netns") not in (None, first), what="another slirp4netns")
    mse.wait_until(lambda: reached(list_app.tcp("api.test"), "203.0.113.5"), what="the connection")
    assert refused(list_app.tcp("203.0.113.6", 80)) and refused(list_app.tcp("198.51.100.254"))
    mse.wait_until(lambda: all(weak["name"] != "offline" for weak in list_app.status()["weaker"]), what="the status")


def test_a_resolver_that_dies_is_started_again(list_app, node):
    first = program_of(node, list_app, "dnsmasq")
    os.kill(first, signal.SIGKILL)
    mse.wait_until(lambda: program_of(node, list_app, "dnsmasq") not in (None, first), what="another dnsmasq")
    mse.wait_until(lambda: reached(list_app.tcp("api.test"), "203.0.113.5"), what="the connection")
    assert refused(list_app.resolve("other.test"))


def test_an_enclave_that_is_started_again_has_the_same_network(list_app, node):
    enclave = node.enclave_of(list_app.id)
    network = os.readlink(f"/proc/{enclave}/ns/net")
    os.kill(enclave, signal.SIGKILL)
    mse.wait_until(lambda: node.enclave_of(list_app.id) not in (None, enclave) and list_app.curl("/health", check=False).stdout == "healthy", what="the restart")
    assert os.readlink(f"/proc/{node.enclave_of(list_app.id)}/ns/net") == network
    assert reached(list_app.tcp("api.test"), "203.0.113.5") and refused(list_app.tcp("198.51.100.254"))


def test_nothing_of_the_network_outlives_its_shim(folder, node):
    app = deploy(folder, node, "short", ["api.test:443"])
    mse.wait_until(lambda: program_of(node, app, "dnsmasq"), what="dnsmasq")
    family = [program_of(node, app, name) for name in ("slirp4netns", "dnsmasq")]
    os.kill(node.shim_of(app.id), signal.SIGKILL)
    mse.wait_until(lambda: not any(mse.program_name(pid) in ("slirp4netns", "dnsmasq") for pid in family), what="their end")
    mse.wait_until(lambda: app.curl("/health", check=False).stdout == "healthy", 40, "the new shim")
    mse.wait_until(lambda: reached(app.tcp("api.test"), "203.0.113.5"), what="its network")
    family = [program_of(node, app, name) for name in ("slirp4netns", "dnsmasq")]
    app.stop()
    mse.wait_until(lambda: not any(mse.program_name(pid) in ("slirp4netns", "dnsmasq") for pid in family), what="their end")


def test_its_programs_have_no_power_over_the_node(list_app, node):
    uid = Path(f"/proc/{node.enclave_of(list_app.id)}/status").read_text().split("Uid:\t")[1].split()[0]
    for name in "slirp4netns", "dnsmasq":
        pid = program_of(node, list_app, name)
        status = Path(f"/proc/{pid}/status").read_text()
        assert status.split("Uid:\t")[1].split()[0] == uid and "NoNewPrivs:\t1" in status
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
        assert not Path(f"/proc/{pid}/root/root").exists() and not Path(f"/proc/{pid}/root/tmp").exists()
    enclave = node.enclave_of(list_app.id)
    assert os.readlink(f"/proc/{enclave}/ns/user") != os.readlink(f"/proc/{program_of(node, list_app, 'dnsmasq')}/ns/user")


def test_an_address_that_the_node_gets_later_is_closed_too(any_app, services):
    assert subprocess.run(["ip", "addr", "add", "198.51.100.77/32", "dev", "node"]).returncode == 0
    try:
        mse.wait_until(lambda: refused(any_app.tcp("198.51.100.77", 8888)), what="the closing")
        with socket.create_connection(("198.51.100.77", 8888), 3) as connection:
            assert connection.recv(100) == b"here is the node"
        assert refused(any_app.tcp("198.51.100.77", 8888)) and reached(any_app.tcp("api.test"), "203.0.113.5")
    finally:
        subprocess.run(["ip", "addr", "del", "198.51.100.77/32", "dev", "node"], check=True)


def test_what_the_operator_denies_is_closed_whatever_the_manifest_says(internet, folder):
    node = mse.Node(folder / "node", '[network]\ndeny = ["10.0.0.0/8", "203.0.113.6", "2001:db8::6/127"]\n').start()
    try:
        anywhere = deploy(folder / "one", node, "denied", None)
        somewhere = deploy(folder / "two", node, "deniedtoo", ["inside.test:80", "203.0.113.6:443", "api.test:443", "[2001:db8::6]:80"])
        for app in anywhere, somewhere:
            for host, port in ("10.1.2.3", 80), ("inside.test", 80), ("203.0.113.6", 443), ("2001:db8::6", 80), ("64:ff9b::a01:203", 80):
                assert refused(app.tcp(host, port)), (host, port)
            assert reached(app.tcp("api.test"), "203.0.113.5")
            app.stop()
    finally:
        node.destroy()


@pytest.mark.parametrize("text,message", [('deny = ["10.0.0.1/8"]', "bits are set"), ('deny = ["example.com"]', "not an address"), ("deny = [7]", "not a string"),
                                          ('deny = "10.0.0.0/8"', "array"), ("allow = []", "unknown key")])
def test_a_denial_that_denies_nothing_is_refused(folder, text, message):
    config = folder / "msed.toml"
    config.write_text(f"[network]\n{text}\n")
    result = mse.run([mse.BIN / "msed", "--data", folder / "data", "--listen", f"unix:{folder}/msed.sock", "--config", config])
    assert result.returncode == 1 and re.search(rf"msed.toml:2: .*{message}", result.stderr), result.stderr


def test_a_machine_that_gives_no_tap_device_starts_apps_and_says_what_they_lack(internet, folder):
    """slirp4netns fails here as it does on a machine without the device."""
    broken, real, mended = folder / "slirp4netns", folder / "real", folder / "mended"
    shutil.copy("/usr/bin/slirp4netns", real)
    folder.chmod(0o755)
    broken.write_text(f"#!/bin/sh\n[ ! -e {mended} ] || exec {real} \"$@\"\necho no tap device here >&2\nexit 7\n")
    broken.chmod(0o755)
    subprocess.run(["mount", "--bind", broken, "/usr/bin/slirp4netns"], check=True)
    try:
        node = mse.Node(folder / "node").start()
        try:
            owner = mse.Owner(folder / "owner", node)
            app = owner.deploy(owner.project("offline", PROBE))
            app.__class__ = Probe
            mse.wait_until(lambda: any(weak["name"] == "offline" for weak in app.status()["weaker"]), what="the status")
            for host in "203.0.113.5", "127.0.0.1", NODE4, "api.test":
                assert refused(app.tcp(host))
            assert "no tap device here" in (node.app_folder(app.id) / "shim.err").read_text()
            mended.touch()
            mse.wait_until(lambda: reached(app.tcp("api.test"), "203.0.113.5"), 30, "the connection, once the machine gives it")
            mse.wait_until(lambda: all(weak["name"] != "offline" for weak in app.status()["weaker"]), what="the status")
            app.stop()
        finally:
            node.destroy()
    finally:
        subprocess.run(["umount", "/usr/bin/slirp4netns"], check=True)
