"""What must be refused, each through the real programs: nothing secret is sent or stored, and `mse` says which step failed."""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import attest_client
import mse
from hostile import HostileNode, TlsRelay

SECRET = '{"login": "hunter2-the-secret"}'
CODE = {"app.py": '''# the-code-is-private
from flask import Flask
app = Flask(__name__)

@app.route("/health")
def health():
    return "healthy"
'''}
PLAINTEXTS = (b"hunter2-the-secret", b"the-code-is-private", base64.b64encode(SECRET.encode()))


@pytest.fixture
def hostile(folder, node):
    made = []

    def make(**lies):
        made.append(HostileNode(folder, node, **lies))
        return made[-1]

    yield make
    for lying in made:
        lying.close()


@pytest.fixture
def victim(folder, node):
    """An owner who knows the honest node: the simulation root and the platform are pinned."""
    owner = mse.Owner(folder / "victim", node)
    owner.project("victim", CODE, secrets=SECRET)
    return owner


class Refusal:
    """What the owner of a deployment that failed is told: the error itself, and the checks that failed."""

    def __init__(self, answer):
        self.message = answer["error"]["message"]
        self.step = answer["error"]["step"]
        self.failed = {check["name"] for check in answer.get("checks", []) if check["result"] == "failed"}


def deploy_to(owner, lying, *more):
    """A deployment that must fail, after a look for anything secret in what the node got."""
    owner.node = lying
    result = owner.mse("deploy", "--path", owner.folder / "victim" / "mse.toml", "-y", "--trust-image", mse.image_digest(), *more, "--json", timeout=90)
    assert result.returncode == 1, result.stdout + result.stderr
    everything = lying.everything()
    for plaintext in PLAINTEXTS:
        assert plaintext not in everything
    return Refusal(json.loads(result.stdout))


def pin(owner, node):
    """The first contact, at which the node's root is pinned."""
    owner.node = node
    owner.mse("list", check=True)


# What the node runs is not what the owner composed.

def test_a_bundle_changed_by_one_byte(victim, hostile):
    lying = hostile(tamper_bundle=lambda bundle: bundle[:-1] + bytes([bundle[-1] ^ 1]))
    assert "the bundle is not the one that the manifest names" in deploy_to(victim, lying).message


def test_a_bundle_changed_by_one_byte_under_a_running_app(victim, own_node):
    victim.node = own_node
    app = victim.deploy(victim.folder / "victim")
    bundle = own_node.app_folder(app.id) / "bundle"
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    os.kill(own_node.enclave_of(app.id), 9)
    mse.wait_until(lambda: app.status()["status"] == "on_error", what="the refusal")
    assert "bundle" in app.status()["reason"]


def test_a_manifest_with_one_member_changed(victim, hostile):
    def more_threads(manifest):
        decoded = json.loads(manifest)
        decoded["limits"]["threads"] += 1
        return canonical(decoded)
    # An honest shim misses the owner's approval ...
    assert "the manifest's signature" in deploy_to(victim, hostile(tamper_manifest=more_threads)).message


def test_a_manifest_with_members_changed_and_approved_by_an_owner_of_the_nodes_own(victim, hostile):
    def more_threads(manifest):
        decoded = json.loads(manifest)
        decoded["limits"]["threads"] += 1
        return canonical(decoded)
    # ... and `mse` sees that it is not what it composed, whoever approved it.
    refusal = deploy_to(victim, hostile(tamper_manifest=more_threads, usurp=True))
    assert refusal.step == "verify" and {"measurement", "manifest.limits.threads", "manifest.owner.key"} <= refusal.failed


def test_a_manifest_with_one_member_added(victim, hostile):
    def backdoor(manifest):
        return canonical({**json.loads(manifest), "debug_shell": True})
    assert "'debug_shell'" in deploy_to(victim, hostile(tamper_manifest=backdoor)).message


def test_another_mse_enclave_binary(victim, hostile, folder):
    other = folder / "mse-enclave"
    shutil.copy(mse.BIN / "mse-enclave", other)
    with other.open("ab") as file:
        file.write(b"backdoor")
    # An honest shim measures it ...
    assert "'mse-enclave' is not the one that the manifest names" in deploy_to(victim, hostile(program=other)).message


def test_another_mse_enclave_binary_with_a_manifest_to_fit(victim, hostile, folder):
    other = folder / "mse-enclave"
    shutil.copy(mse.BIN / "mse-enclave", other)
    with other.open("ab") as file:
        file.write(b"backdoor")
    digest = "sha256:" + hashlib.sha256(other.read_bytes()).hexdigest()

    def fit(manifest):
        decoded = json.loads(manifest)
        decoded["runtime"]["files"]["mse-enclave"] = digest
        return canonical(decoded)
    # ... and a manifest that fits is not the one that the owner composed.
    refusal = deploy_to(victim, hostile(program=other, tamper_manifest=fit, usurp=True))
    assert refusal.step == "verify" and {"measurement", "manifest.runtime.files.mse-enclave"} <= refusal.failed


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# Images.

@pytest.fixture
def image_copy(folder):
    """The image with one library changed: a link farm, but for that file."""
    source = mse.STORE / "images" / "mse-flask" / "rootfs"
    copy = folder / "backdoored"
    subprocess.run(["cp", "-al", source, copy], check=True)
    library = next(copy.glob("usr/lib/*/libpython3.*.so.1.0"))
    data = bytearray(library.read_bytes())
    data[-1] ^= 1
    mode = library.stat().st_mode
    library.unlink()
    library.write_bytes(data)
    library.chmod(mode)
    return copy


def test_an_image_file_changed(victim, hostile, image_copy):
    assert "image 'mse-flask' is not the one that the manifest names" in deploy_to(victim, hostile(image=image_copy)).message


def test_an_image_digest_that_only_the_node_told(victim, node):
    result = victim.mse("deploy", "--path", victim.folder / "victim" / "mse.toml", "-y")
    assert result.returncode == 1
    assert f"--trust-image {mse.image_digest()}" in result.stderr
    assert not (victim.folder / "victim" / "mse.lock").exists()


def test_a_backdoored_image_that_differs_in_one_library(victim, folder, image_copy):
    store = folder / "store"
    mse.run([mse.BIN / "msed", "image", "import", "mse-flask", image_copy, "--data", store], check=True, timeout=120)
    lying = mse.Node(folder / "lying")
    lying.config.write_text(f'images = "{store / "images"}"\n')
    lying.start()
    try:
        victim.node = lying
        result = victim.mse("deploy", "--path", victim.folder / "victim" / "mse.toml", "-y", "--trust-image", mse.image_digest(), timeout=90)
        assert result.returncode == 1
        assert mse.image_digest() in result.stderr, "the digest that was trusted is named"
        assert not list((lying.data / "apps").glob("*")), "nothing was started"
    finally:
        lying.destroy()


# Quotes.

@pytest.fixture
def other_node(folder):
    """A node with a simulation root of its own."""
    started = mse.Node(folder / "other").start()
    yield started
    started.destroy()


def test_a_quote_under_another_simulation_root(victim, node, other_node, hostile):
    pin(victim, node)
    refusal = deploy_in_place_of(node, victim, hostile(sim_dir=other_node.data / "sim"))
    assert refusal.step == "verify" and "certificate-chain" in refusal.failed
    assert "another simulation root than the pinned one" in refusal.message


def take_the_place_of(node, lying):
    os.rename(node.socket, f"{node.socket}.honest")
    os.symlink(lying.socket, node.socket)
    lying.honest = HonestBehind(node)


def give_back(node):
    os.unlink(node.socket)
    os.rename(f"{node.socket}.honest", node.socket)


class HonestBehind:
    """The honest node, reached by the socket that was moved aside."""

    def __init__(self, node):
        self.socket = f"{node.socket}.honest"

    def request(self, method, path):
        result = subprocess.run(["curl", "-sS", "--unix-socket", self.socket, "-X", method, "-w", "\n%{http_code}", f"http://node{path}"],
                                capture_output=True, check=True)
        body, _, status = result.stdout.rpartition(b"\n")
        return int(status), body


class StandIn:
    """What deploy_to() needs of a node: the honest one's address, and what the lying one has got hold of."""

    def __init__(self, node, lying):
        self.address = node.address
        self.everything = lying.everything


def deploy_in_place_of(node, owner, lying):
    """At the honest node's address, so that what was pinned for it counts."""
    take_the_place_of(node, lying)
    try:
        return deploy_to(owner, StandIn(node, lying))
    finally:
        give_back(node)


def test_a_node_that_shows_another_simulation_root_than_the_pinned_one(victim, node, other_node, hostile):
    pin(victim, node)
    shown = {**node.get("/v1/node"), "simulation_root": other_node.get("/v1/node")["simulation_root"]}
    refusal = deploy_in_place_of(node, victim, hostile(sim_dir=other_node.data / "sim", answer={"/v1/node": shown}))
    assert refusal.step == "node" and "pinned" in refusal.message


def test_a_node_whose_simulation_root_is_not_its_certificates(victim, node, hostile):
    honest = node.get("/v1/node")
    refusal = deploy_to(victim, hostile(answer={"/v1/node": {**honest, "simulation_root": {**honest["simulation_root"], "sha256": "ab" * 32}}}))
    assert refusal.step == "node" and "not the certificate that it shows" in refusal.message


def test_a_tls_relay_between_mse_and_the_enclave(victim, hostile):
    refusal = deploy_to(victim, hostile(relay=TlsRelay))
    assert refusal.step == "verify" and refusal.failed == {"certificate", "connection", "freshness"}


def test_a_quote_for_another_key(victim, hostile):
    refusal = deploy_to(victim, hostile(relay=lambda port: TlsRelay(port, certificate="quoted")))
    assert refusal.failed == {"certificate", "connection", "freshness"} and "another key" in refusal.message


def test_a_replayed_session_evidence(victim, hostile):
    # Everything else about it is right: it is this very enclave's, of a moment ago.
    refusal = deploy_to(victim, hostile(relay=lambda port: TlsRelay(port, certificate="quoted", replay=True)))
    assert refusal.failed == {"certificate", "connection", "freshness"}


# Provisioning.

@pytest.fixture
def waiting(node):
    """An instance that waits for its owner; the owner is this test."""
    deployment = by_hand(node).start()
    yield deployment
    deployment.stop()


def by_hand(node, **options):
    runtime = json.loads((mse.PREFIX / "share" / "mse" / "runtime.json").read_text())
    files = {path: text.encode() for path, text in CODE.items()}
    return attest_client.Deployment(node, files, runtime, mse.image_digest(), name=f"byhand{os.urandom(4).hex()}", **options)


def assert_refused(deployment, answer):
    """Refused, in the words that every refusal has, and nothing is kept: the enclave waits on, and takes the right message."""
    status, _, body = answer
    assert (status, json.loads(body)) == (403, {"error": {"code": "denied", "message": "refused"}})
    assert not (deployment.node.app_folder(deployment.instance) / "sealed").exists()
    assert deployment.connect().request("GET", "/health")[1]["mse-status"] == "waiting"


def good_message(deployment):
    return attest_client.provision_message(deployment.instance, deployment.code_key, SECRET.encode())


def provision(deployment, connection, **lies):
    return attest_client.provision(connection, deployment.seed, deployment.manifest, lies.pop("body", good_message(deployment)), **lies)


def test_the_right_message_by_hand_is_accepted_so_that_the_refusals_below_mean_something(waiting):
    connection = waiting.connect()
    status, _, body = provision(waiting, connection)
    assert status == 200 and set(json.loads(body)) == {"clock", "signature"}
    mse.wait_until(lambda: waiting.connect().request("GET", "/health")[2] == b"healthy", what="the application")


def test_provisioning_with_a_wrong_signature(waiting):
    assert_refused(waiting, provision(waiting, waiting.connect(), signature=base64.b64encode(bytes(64)).decode()))
    assert_refused(waiting, provision(waiting, waiting.connect(), signature="no base64"))
    connection = waiting.connect()
    someone_else = attest_client.provision_signature(os.urandom(32), good_message(waiting), connection.exporter("EXPORTER-mse-provision"),
                                                     waiting.manifest)
    assert_refused(waiting, provision(waiting, connection, signature=someone_else))
    assert_refused(waiting, waiting.connect().request("POST", attest_client.PROVISION, good_message(waiting)))


def test_provisioning_with_a_wrong_uuid(waiting):
    assert_refused(waiting, provision(waiting, waiting.connect(), body=attest_client.provision_message("ab" * 32, waiting.code_key)))


def test_provisioning_with_a_body_of_1_gib(waiting):
    connection, asked = waiting.connect(), time.monotonic()
    answer = connection.request("POST", attest_client.PROVISION, b"x" * 1000, ["Mse-Signature: " + "A" * 86 + "=="], length=1 << 30)
    assert time.monotonic() - asked < 10 * mse.PATIENCE, "a slow sender is waited for, and this one is not"
    assert_refused(waiting, answer)


def test_provisioning_on_a_connection_without_session_evidence(waiting):
    assert_refused(waiting, provision(waiting, waiting.connect(attested=False)))


def test_provisioning_over_tls_1_2_cannot_be_attested(waiting):
    connection = attest_client.Connection(waiting.port, version=attest_client.SSL.TLS1_2_VERSION)
    status, _, body = connection.request("POST", attest_client.EVIDENCE, json.dumps({"nonce": base64.b64encode(bytes(32)).decode()}).encode())
    assert status == 400 and b"TLS 1.3" in body
    assert_refused(waiting, provision(waiting, connection))


def test_provisioning_a_second_time(waiting):
    assert provision(waiting, waiting.connect())[0] == 200
    status, _, body = provision(waiting, waiting.connect(), body=attest_client.provision_message(waiting.instance, waiting.code_key, b"other"))
    assert (status, json.loads(body)) == (403, {"error": {"code": "denied", "message": "refused"}})


def test_a_message_recorded_from_another_connection(waiting):
    first = waiting.connect()
    signature = attest_client.provision_signature(waiting.seed, good_message(waiting), first.exporter("EXPORTER-mse-provision"), waiting.manifest)
    assert_refused(waiting, provision(waiting, waiting.connect(), signature=signature))


def test_a_message_recorded_from_another_instance(waiting, node):
    other = by_hand(node)
    connection = waiting.connect()
    signature = attest_client.provision_signature(waiting.seed, good_message(waiting), connection.exporter("EXPORTER-mse-provision"), other.manifest)
    assert_refused(waiting, provision(waiting, connection, signature=signature))


def test_a_bundle_opened_with_another_key(waiting):
    assert_refused(waiting, provision(waiting, waiting.connect(), body=attest_client.provision_message(waiting.instance, os.urandom(32))))


def test_a_bundle_whose_code_is_not_what_was_committed_to(node):
    deployment = by_hand(node, committed={"app.py": b"# what the owner showed around"}).start()
    assert_refused(deployment, provision(deployment, deployment.connect()))
    deployment.stop()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"{", b'{"uuid": 1}', b"\xff\xfe", b"[" * 100_000])
def test_malformed_messages_with_a_right_signature(waiting, body):
    assert_refused(waiting, provision(waiting, waiting.connect(), body=body))


def test_the_reason_of_a_refusal_is_in_the_owners_log_only(waiting):
    provision(waiting, waiting.connect(), body=attest_client.provision_message("ab" * 32, waiting.code_key))
    folder = waiting.node.app_folder(waiting.instance)
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    assert b"another instance" not in stored
    assert (folder / "log").stat().st_size > 0


# The node's own refusals.

def test_another_owners_stop_replace_and_name(owner, folder, node):
    app = owner.deploy(owner.project("mine", CODE, secrets=SECRET))
    other = mse.Owner(folder / "other", node)
    stopped = other.mse("stop", app.id)
    assert stopped.returncode == 1 and "owner" in stopped.stderr
    taken = other.mse("deploy", "--path", other.project("mine", CODE, secrets=SECRET) / "mse.toml", "-y", "--trust-image", mse.image_digest())
    assert taken.returncode == 1 and "owner" in taken.stderr

    stranger = by_hand(node)
    stranger.name = "mine"
    manifest = json.loads(stranger.manifest)
    manifest["app"]["name"] = "mine"
    stranger.manifest = canonical(manifest)
    status, body = stranger.post(replaces=app.id)
    assert status in (403, 409, 422), body
    assert app.status_code("/health") == 200
    app.stop()


def test_a_deployment_that_is_signed_by_another_key_or_sent_twice(node):
    deployment = by_hand(node)
    assert deployment.post(seed=os.urandom(32))[0] == 403
    deployment.start()
    assert deployment.post()[0] in (403, 409, 422), "an instance id is taken once"
    assert deployment.stop()[0] == 200
    assert deployment.post()[0] in (403, 409, 422), "also after its end"


# Verification by users.

def test_slow_senders_keep_nobody_from_evidence_and_provisioning(waiting):
    """Each of these once held a thread of the enclave's for as long as a body may take to come."""
    bodies = ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"]
    slow = []
    for path in (attest_client.EVIDENCE, attest_client.PROVISION):
        for number in range(24):
            slow.append(waiting.connect())
            slow[-1].tls.sendall(f"POST {path} HTTP/1.1\r\nHost: x.mse.localhost\r\nMse-Signature: x\r\n{bodies[number % 3]}".encode())
    began = time.monotonic()
    connection = waiting.connect()
    body = attest_client.provision_message(waiting.instance, waiting.code_key)
    assert attest_client.provision(connection, waiting.seed, waiting.manifest, body)[0] == 200
    assert time.monotonic() - began < 5 * mse.PATIENCE
    for connection in slow:
        connection.close()


@pytest.fixture
def app(owner):
    deployed = owner.deploy(owner.project(f"verified{os.urandom(4).hex()}", CODE, secrets=SECRET))
    yield deployed
    deployed.stop()


def verdict(result):
    answer = json.loads(result.stdout)
    assert (answer["verdict"] == "pass") == (result.returncode == 0)
    return answer["verdict"], {check["name"] for check in answer["checks"] if check["result"] == "failed"}


def test_verify_without_allow_simulation(owner, app):
    result = owner.mse("verify", app.url, "--json")
    outcome, failed = verdict(result)
    assert outcome == "fail" and failed
    assert "--allow-simulation" in owner.mse("verify", app.url).stdout + owner.mse("verify", app.url).stderr


def test_a_context_with_a_forged_signature(owner, app, folder, node):
    context = folder / "context.json"
    owner.mse("context", "export", app.answer["name"], "--output", context, check=True)
    user = mse.Owner(folder / "user", node)
    good = user.mse("verify", app.url, "--context", context, "--allow-simulation", "--json")
    assert verdict(good) == ("pass", set())

    forged = json.loads(context.read_text())
    forged["context"]["url"] = "https://evil.mse.localhost:1/"
    context.write_text(json.dumps(forged))
    result = user.mse("verify", app.url, "--context", context, "--allow-simulation")
    assert result.returncode == 1 and "signature" in result.stdout + result.stderr


def test_strangers_pass_with_what_fixes_every_member_and_with_nothing_less(owner, app, folder, node):
    root = node.get("/v1/node")["simulation_root"]["sha256"]
    user = mse.Owner(folder / "user", node)
    simulation = ["--allow-simulation", "--simulation-root", root, "--json"]
    bundle = owner.conf / "apps" / app.id / "bundle"
    context = json.loads(owner.mse("context", "export", app.answer["name"], check=True).stdout)
    key = context["owner"]
    salt = base64.b64decode(context["context"]["salt"]).hex()
    source = owner.folder / app.answer["name"] / "code"
    digest = mse.image_digest()

    assert verdict(user.mse("verify", app.url, "--measurement", app.answer["measurement"], *simulation)) == ("pass", set())
    assert verdict(user.mse("verify", app.url, "--bundle", bundle, "--owner", key, "--trust-image", digest, *simulation)) == ("pass", set())
    by_code = ["--code", source, "--salt", salt, "--python-application", "app:app"]
    assert verdict(user.mse("verify", app.url, *by_code, "--owner", key, "--trust-image", digest, *simulation)) == ("pass", set())

    outcome, failed = verdict(user.mse("verify", app.url, "--bundle", bundle, "--owner", key, *simulation))
    assert outcome == "fail" and failed == {"manifest.image.digest"}
    outcome, failed = verdict(user.mse("verify", app.url, *simulation))
    assert outcome == "fail" and "manifest.app.code_commitment" in failed
    outcome, failed = verdict(user.mse("verify", app.url, "--measurement", "ab" * 32, *simulation))
    assert outcome == "fail" and "measurement" in failed
    (source / "app.py").write_text("# something else")
    outcome, failed = verdict(user.mse("verify", app.url, *by_code, "--owner", key, "--trust-image", digest, *simulation))
    assert outcome == "fail" and failed == {"manifest.app.code_commitment"}


def test_verify_writes_the_certificate_only_when_it_passes(owner, app, folder):
    output = folder / "ratls.pem"
    assert app.owner.mse("verify", app.url, "--output", output).returncode == 1
    assert not output.exists()
    assert app.verify("--output", output).returncode == 0
    assert output.read_text() == Path(app.certificate).read_text()
