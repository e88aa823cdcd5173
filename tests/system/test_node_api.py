"""msed through its API, with deployments made by hand: what it takes, what it refuses, and what it remembers."""
import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tarfile
import threading
import time

import pytest

import mse
import node_client
from node_client import Deployment, Key, act, call, deploy, wait_for


@pytest.fixture
def key():
    return Key()


def unique(prefix="app"):
    return prefix + os.urandom(4).hex()


def port_answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def expect(answer, status, text, code=None):
    assert answer.status == status, answer.body
    assert text in answer.error
    if code:
        assert answer.json["error"]["code"] == code
    assert answer.headers["Mse-Simulated"] == "true"


# Reading


def test_the_node_says_that_it_is_simulated(node):
    answer = call(node, "GET", "/v1/node")
    assert answer.json["simulated"] is True and answer.json["tee"] == "sim" and answer.json["api"] == 1
    assert answer.headers["Mse-Simulated"] == "true"
    assert "BEGIN CERTIFICATE" in answer.json["simulation_root"]["certificate"]
    assert "SIMULATION" in node.log.read_text() and "can read everything" in node.log.read_text()


def test_the_socket_is_for_its_user_alone(node):
    assert stat.S_IMODE(node.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(node.data.stat().st_mode) == 0o700


def test_an_unknown_path_is_404_and_a_wrong_method_405(node):
    expect(call(node, "GET", "/v1/nothing"), 404, "/v1/nothing", "not-found")
    answer = call(node, "DELETE", "/v1/apps")
    expect(answer, 405, "DELETE")
    assert answer.headers["Allow"] == "GET, POST"


def test_images_resolve_by_name_alias_and_tag_but_not_by_pin(node):
    digest = mse.image_digest()
    images = call(node, "GET", "/v1/images").json["images"]
    assert digest in [image["digest"] for image in images if image["name"] == "mse-flask"]
    for name, alias in [("mse-flask", False), ("mse-flask:20230124", False), ("ghcr.io/cosmian/mse-flask:20230124182826", True),
                        ("ghcr.io%2Fcosmian%2Fmse-flask", True)]:
        found = call(node, "GET", f"/v1/images/resolve?name={name}").json
        assert (found["name"], found["digest"], found["alias"]) == ("mse-flask", digest, alias)
    expect(call(node, "GET", f"/v1/images/resolve?name=mse-flask@{digest}"), 422, "pins a digest", "unsupported")
    expect(call(node, "GET", "/v1/images/resolve?name=debian"), 404, "no image 'debian'")
    expect(call(node, "GET", "/v1/images/resolve"), 400, "missing")
    expect(call(node, "GET", "/v1/images/resolve?name=%zz"), 400, "percent-encoded")


def test_plans_are_given_in_plain_numbers(node):
    assert call(node, "GET", "/v1/plans/free").json == {"name": "free", "memory": 512 << 20, "cpu_millis": 380, "storage": mse.STORAGE_MIB << 20,
                                                        "threads": 16, "processes": 256, "open_files": 8192, "lifetime": 14400}
    expect(call(node, "GET", "/v1/plans/gold"), 404, "no plan 'gold'")


def test_an_app_is_found_by_a_prefix_of_eight_digits(node, key):
    app = deploy(node, key, name=unique())
    assert call(node, "GET", f"/v1/apps/{app['id'][:8]}").json["id"] == app["id"]
    expect(call(node, "GET", f"/v1/apps/{app['id'][:7]}"), 400, "not an instance id")
    expect(call(node, "GET", "/v1/apps/" + "0" * 64), 404, "no app")
    listed = call(node, "GET", f"/v1/apps?project=default&name={app['name']}").json["apps"]
    assert [entry["id"] for entry in listed] == [app["id"]]


# Bundles


def test_a_bundle_is_taken_only_under_its_own_digest(node):
    data = os.urandom(300000)
    right = hashlib.sha256(data).hexdigest()
    expect(call(node, "PUT", f"/v1/bundles/{right}", data[:-1] + bytes([data[-1] ^ 1])), 400, "changed or cut", "crypto")
    expect(call(node, "PUT", "/v1/bundles/abc", data), 400, "SHA-256")
    assert call(node, "PUT", f"/v1/bundles/{right}", data).status == 201
    assert call(node, "PUT", f"/v1/bundles/{right}", data).status == 200
    assert [path.name for path in (node.data / "bundles").iterdir() if path.name.startswith(".")] == []


def test_a_bundle_cut_on_its_way_leaves_nothing(node):
    data = os.urandom(100000)
    connection = node_client.UnixConnection(node.socket)
    connection.putrequest("PUT", f"/v1/bundles/{hashlib.sha256(data).hexdigest()}")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    connection.send(data[:50000])
    mse.wait_until(lambda: list((node.data / "bundles").glob(".new-*")), what="a temporary file")
    connection.close()
    mse.wait_until(lambda: not list((node.data / "bundles").glob(".new-*")), what="the temporary file's end")
    assert not (node.data / "bundles" / hashlib.sha256(data).hexdigest()).exists()


# Deploying


def test_a_deployed_app_comes_up_and_tells_of_itself(node, key):
    deployment = Deployment(node, key, name=unique())
    answer = deployment.send()
    assert answer.status == 201, answer.body
    app = answer.json
    assert app["id"] == deployment.id and app["address"] == key.address("default", deployment.name)
    assert app["url"] == f"https://{app['address']}.mse.localhost:{app['port']}/"
    assert app["instance_url"] == f"https://{app['id'][:12]}-i.mse.localhost:{app['port']}/"
    assert app["measurement"] == hashlib.sha256(node_client.canonical(deployment.manifest)).hexdigest()
    assert app["simulated"] is True and app["provisioned"] is False and app["stopped_at"] is None
    app = wait_for(node, app, "initializing")
    mse.wait_until(lambda: port_answers(app["port"]), what="the enclave's port")
    events = [event["event"] for event in call(node, "GET", f"/v1/apps/{app['id']}/events").json["events"]]
    assert events[0] == "deployed" and "supervisor-started" in events and "initializing" in events
    # What waits for a deployment is gone once it is taken.
    assert not (node.data / "bundles" / hashlib.sha256(deployment.bundle).hexdigest()).exists()
    folder = node.app_folder(app["id"])
    assert (folder / "manifest.json").read_bytes() == node_client.canonical(deployment.manifest)
    assert (folder / "bundle").read_bytes() == deployment.bundle


def test_what_is_not_signed_by_the_owner_is_refused(node, key):
    other = Key()
    expect(Deployment(node, key, name=unique()).send(signer=other), 403, "Mse-Signature is not the signature", "crypto")
    expect(Deployment(node, key, name=unique()).send(approver=other), 403, "manifest_signature", "crypto")
    expect(Deployment(node, key, name=unique()).send(verb="stop"), 403, "Mse-Signature", "crypto")
    expect(call(node, "POST", "/v1/apps", b"{}", {}), 400, "")
    expect(call(node, "POST", "/v1/apps", b"[" * 100000, {}), 400, "")
    expect(call(node, "POST", "/v1/apps", b" " * (2 << 20), {}), 413, "")


def wrong(path, value):
    def change(manifest):
        *parents, last = path
        for parent in parents:
            manifest = manifest[parent]
        manifest[last] = value(manifest[last]) if callable(value) else value
    return change


@pytest.mark.parametrize("change, status, text", [
    (wrong(["limits", "memory"], lambda old: old + 1), 422, "'memory'"),
    (wrong(["limits", "cpu_millis"], 1000), 422, "'cpu_millis'"),
    (wrong(["limits", "storage"], 1), 422, "'storage'"),
    (wrong(["limits", "threads"], 17), 422, "'threads'"),
    (wrong(["limits", "expires_at"], lambda old: old + 14400), 422, "lives 14400 seconds"),
    (wrong(["limits", "expires_at"], 1000), 422, "passed already"),
    (wrong(["image", "digest"], "sha256:" + "ab" * 32), 422, "this node has it with"),
    (wrong(["image", "name"], "debian"), 422, "no image 'debian'"),
    (wrong(["runtime", "files", "mse-enclave"], "sha256:" + "ab" * 32), 422, "mse-enclave"),
    (wrong(["runtime", "files"], lambda old: {"libmse_python.so": old["libmse_python.so"]}), 422, "does not name 'mse-enclave'"),
    (wrong(["runtime", "files"], lambda old: {**old, "libevil.so": "sha256:" + "ab" * 32}), 422, "libevil.so"),
    (wrong(["tls", "names"], lambda old: old + ["www.example.com"]), 422, "TLS names"),
    (wrong(["tls", "names"], lambda old: old[:1]), 422, "TLS names"),
    (wrong(["tls", "names"], lambda old: [old[0], "0123456789ab-i.mse.localhost"]), 422, "TLS names"),
    (wrong(["tls", "mode"], "operator"), 422, "zero-trust"),
    (wrong(["egress"], "some"), 400, "egress"),
    (wrong(["egress"], ["b.example:443", "a.example:443"]), 400, "out of order"),
    (wrong(["egress"], ["127.0.0.1:443"]), 422, "the machine itself"),
    (wrong(["app", "bundle_sha256"], "ab" * 32), 409, "PUT /v1/bundles"),
    (wrong(["version"], 2), 422, "version"),
])
def test_a_manifest_that_is_not_what_the_node_offers_is_refused(node, key, change, status, text):
    deployment = Deployment(node, key, name=unique())
    change(deployment.manifest)
    expect(deployment.send(), status, text)
    expect(call(node, "GET", f"/v1/apps/{deployment.id}"), 404, "no app")
    assert not node.app_folder(deployment.id).exists()


def test_an_unknown_member_of_the_manifest_or_the_request_is_refused(node, key):
    deployment = Deployment(node, key, name=unique())
    deployment.manifest["debug"] = True
    expect(deployment.send(), 400, "debug", "input")
    expect(call(node, "POST", "/v1/apps", json.dumps({"manifest": "", "manifest_signature": "", "replaces": "", "root": 1}).encode()), 400, "root")


def test_an_unknown_plan_is_refused(node, key):
    expect(Deployment(node, key, name=unique()).send(plan="gold"), 422, "no plan 'gold'")


def test_an_instance_id_is_taken_once_even_after_its_app_is_removed(node, key):
    deployment = Deployment(node, key, name=unique())
    app = deployment.send().json
    expect(deployment.send(), 409, "was used before", "exists")
    assert act(node, key, "stop", app).status == 200
    assert act(node, key, "remove", app).status == 200
    expect(deployment.send(), 409, "was used before", "exists")


def test_a_name_belongs_to_one_owner_until_it_is_removed(node, key):
    other, name = Key(), unique()
    app = deploy(node, key, name=name)
    expect(Deployment(node, other, name=name).send(), 403, "another owner", "denied")
    assert act(node, key, "stop", app).status == 200
    expect(Deployment(node, other, name=name).send(), 403, "another owner")
    # In another project it is another name.
    deploy(node, other, name=name, project="elsewhere")
    assert act(node, key, "remove", app).status == 200
    deploy(node, other, name=name)


def test_another_owner_can_neither_stop_nor_remove_nor_replace(node, key):
    other = Key()
    app = deploy(node, key, name=unique())
    expect(act(node, other, "stop", app), 403, "not the signature of the owner", "crypto")
    expect(act(node, other, "remove", app), 403, "not the signature of the owner")
    expect(Deployment(node, other, name=app["name"]).send(replaces=app["id"]), 403, "another owner")
    mine = deploy(node, other, name=unique())
    # A stop signed for one instance stops no other.
    expect(act(node, key, "stop", app, signed_id=mine["id"]), 403, "not the signature of the owner")
    assert call(node, "GET", f"/v1/apps/{app['id']}").json["stopped_at"] is None


def test_an_app_is_replaced_only_by_name_and_keeps_its_port(node, key):
    name = unique()
    old = wait_for(node, deploy(node, key, name=name), "initializing")
    expect(Deployment(node, key, name=name).send(), 409, f"runs as instance {old['id']}", "exists")
    expect(Deployment(node, key, name=name).send(replaces="ab" * 32), 409, "runs as instance")
    # What would be refused stops nothing.
    refused = Deployment(node, key, name=name)
    refused.manifest["limits"]["threads"] = 99
    expect(refused.send(replaces=old["id"]), 422, "'threads'")
    assert call(node, "GET", f"/v1/apps/{old['id']}").json["status"] == "initializing"
    answer = Deployment(node, key, name=name).send(replaces=old["id"])
    assert answer.status == 201, answer.body
    assert answer.json["port"] == old["port"] and answer.json["address"] == old["address"] and answer.json["id"] != old["id"]
    stopped = call(node, "GET", f"/v1/apps/{old['id']}").json
    assert stopped["status"] == "stopped" and stopped["reason"] == "replaced by its owner"
    wait_for(node, answer.json, "initializing")


def test_a_stopped_app_leaves_neither_enclave_nor_bundle_nor_port(node, key):
    app = wait_for(node, deploy(node, key, name=unique()), "initializing")
    assert node.shim_of(app["id"]) is not None
    answer = act(node, key, "stop", app)
    assert answer.status == 200, answer.body
    assert answer.json["status"] == "stopped" and answer.json["reason"] == "stopped by its owner" and answer.json["stopped_at"]
    mse.wait_until(lambda: node.shim_of(app["id"]) is None, what="the shim's end")
    assert not port_answers(app["port"])
    assert not (node.app_folder(app["id"]) / "bundle").exists() and not (node.app_folder(app["id"]) / "sealed").exists()
    # Again is the same, and a redeployment has the same port.
    assert act(node, key, "stop", app).status == 200
    assert deploy(node, key, name=app["name"])["port"] == app["port"]


def test_only_a_stopped_app_can_be_removed(node, key):
    app = deploy(node, key, name=unique())
    expect(act(node, key, "remove", app), 409, "stop it first", "state")
    assert act(node, key, "stop", app).status == 200
    assert act(node, key, "remove", app).status == 200
    expect(call(node, "GET", f"/v1/apps/{app['id']}"), 404, "no app")
    assert not node.app_folder(app["id"]).exists()


def test_an_expired_app_stops(node, key):
    app = deploy(node, key, name=unique(), lifetime=4 * mse.PATIENCE)
    stopped = wait_for(node, app, "stopped", seconds=15)
    assert stopped["reason"] == "expired" and stopped["stopped_at"]


def test_quotas_hold_and_a_replacement_needs_none(folder, key):
    node = mse.Node(folder / "node", "[quotas]\napps = 2\napps_per_owner = 1\n").start()
    try:
        app = deploy(node, key, name="one")
        expect(Deployment(node, key, name="two").send(), 429, "one owner may have", "limit")
        assert Deployment(node, key, name="one").send(replaces=app["id"]).status == 201
        deploy(node, Key(), name="three")
        expect(Deployment(node, Key(), name="four").send(), 429, "all that it may")
    finally:
        node.destroy()


def test_ten_deployments_at_once_get_ten_ports_and_ten_users(own_node):
    answers = []

    def one(number):
        answers.append(Deployment(own_node, Key(), name=f"app{number}").send())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201] * 10
    assert len({answer.json["port"] for answer in answers}) == 10
    users = {json.loads((own_node.app_folder(answer.json["id"]) / "shim.json").read_text())["uid"] for answer in answers}
    assert len(users) == 10 and 0 not in users


def test_of_one_name_deployed_many_times_at_once_one_wins(own_node, key):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(Deployment(own_node, key, name="same").send())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [201] + [409] * 5


def test_a_port_that_another_program_has_is_left_to_it(folder, key):
    blocker = socket.socket()
    blocker.bind(("127.0.0.1", 0))
    blocker.listen()
    first = blocker.getsockname()[1]
    node = mse.Node(folder / "node", f"ports = {{ first = {first}, last = {first + 3} }}\n").start()
    try:
        assert deploy(node, key, name="demo")["port"] > first
    finally:
        node.destroy()
        blocker.close()


# Logs


def test_logs_are_given_from_any_offset(node, key):
    app = wait_for(node, deploy(node, key, name=unique()), "initializing")
    log = node.app_folder(app["id"]) / "log"
    # An enclave tells its owner of refused provisioning.
    mse.run(["curl", "-sk", "-X", "POST", "-d", "{}", f"https://127.0.0.1:{app['port']}/.well-known/mse/provision"], check=True)
    mse.wait_until(lambda: call(node, "GET", f"/v1/apps/{app['id']}/logs").body, what="a log record")
    answer = call(node, "GET", f"/v1/apps/{app['id']}/logs?from=0")
    start, end, after = (int(answer.headers[f"Mse-Log-{what}"]) for what in ("Start", "End", "Next"))
    assert answer.headers["Content-Type"] == "application/octet-stream" and (start, after) == (0, end) and len(answer.body) == end
    size = int.from_bytes(answer.body[:4], "big")
    assert 0 < size < 81920 and log.exists()
    assert call(node, "GET", f"/v1/apps/{app['id']}/logs?from={end}").body == b""
    assert call(node, "GET", f"/v1/apps/{app['id']}/logs?from=-1").status == 200
    expect(call(node, "GET", f"/v1/apps/{app['id']}/logs?from=x"), 400, "offset")


# Crashes


def test_a_killed_msed_finds_its_apps_again(own_node, key):
    app = wait_for(own_node, deploy(own_node, key), "initializing")
    shim = own_node.shim_of(app["id"])
    own_node.kill()
    assert own_node.shim_of(app["id"]) == shim and port_answers(app["port"])
    own_node.start()
    found = call(own_node, "GET", f"/v1/apps/{app['id']}").json
    assert found["status"] == "initializing" and found["port"] == app["port"]
    assert own_node.shim_of(app["id"]) == shim
    assert act(own_node, key, "stop", app).json["status"] == "stopped"


def test_a_shim_that_is_killed_is_started_again(own_node, key):
    app = wait_for(own_node, deploy(own_node, key), "initializing")
    shim = own_node.shim_of(app["id"])
    os.kill(shim, signal.SIGKILL)
    mse.wait_until(lambda: own_node.shim_of(app["id"]) not in (None, shim), what="another shim")
    mse.wait_until(lambda: "supervisor-lost" in [event["event"] for event in own_node.get(f"/v1/apps/{app['id']}/events")["events"]],
                   what="the event")
    wait_for(own_node, app, "initializing")
    mse.wait_until(lambda: port_answers(app["port"]), what="the enclave's port")


def test_a_shim_killed_while_msed_was_down_is_started_again(own_node, key):
    app = wait_for(own_node, deploy(own_node, key), "initializing")
    shim = own_node.shim_of(app["id"])
    own_node.kill()
    os.kill(shim, signal.SIGKILL)
    own_node.start()
    mse.wait_until(lambda: own_node.shim_of(app["id"]) not in (None, shim), what="another shim")
    wait_for(own_node, app, "initializing")


def test_an_app_whose_shim_is_gone_can_be_stopped(own_node, key):
    app = wait_for(own_node, deploy(own_node, key), "initializing")
    os.kill(own_node.shim_of(app["id"]), signal.SIGKILL)
    answer = act(own_node, key, "stop", app)
    assert answer.status == 200 and answer.json["status"] == "stopped"
    time.sleep(1)
    assert own_node.shim_of(app["id"]) is None
    assert not (own_node.app_folder(app["id"]) / "bundle").exists()


def test_an_app_that_expired_while_nobody_looked_is_stopped(own_node, key):
    app = wait_for(own_node, deploy(own_node, key, lifetime=3 * mse.PATIENCE), "initializing")
    shim = own_node.shim_of(app["id"])
    own_node.kill()
    os.kill(shim, signal.SIGKILL)
    time.sleep(3.5 * mse.PATIENCE)
    own_node.start()
    assert wait_for(own_node, app, "stopped")["reason"] == "expired"


def test_a_missing_folder_is_on_error_and_an_unknown_one_is_removed(own_node, key):
    app = wait_for(own_node, deploy(own_node, key), "initializing")
    shim = own_node.shim_of(app["id"])
    own_node.kill()
    os.kill(shim, signal.SIGKILL)
    shutil.rmtree(own_node.app_folder(app["id"]))
    stray = own_node.app_folder("cd" * 32)
    half = own_node.app_folder(".new-" + "cd" * 32)
    upload = own_node.data / "bundles" / ".new-abcdef"
    for folder in (stray, half):
        folder.mkdir()
        (folder / "bundle").write_bytes(b"x")
    upload.write_bytes(b"x")
    own_node.start()
    assert wait_for(own_node, app, "on_error")["reason"] == "its folder is missing from the node"
    assert not stray.exists() and not half.exists() and not upload.exists()
    assert act(own_node, key, "stop", app).json["status"] == "stopped"


def test_msed_killed_at_any_moment_comes_back_with_what_it_promised(own_node, key):
    chance = random.Random(7)
    promised = {}
    for round_number in range(8):
        deployments = [Deployment(own_node, key, name=f"r{round_number}x{number}", lifetime=600) for number in range(2)]

        def send(deployment):
            try:
                answer = deployment.send()
                if answer.status == 201:
                    promised[deployment.id] = deployment
            except (OSError, node_client.http.client.HTTPException):
                pass

        threads = [threading.Thread(target=send, args=(deployment,)) for deployment in deployments]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0, 0.15))
        own_node.kill()
        for thread in threads:
            thread.join()
        own_node.start()
        apps = {app["id"]: app for app in own_node.get("/v1/apps")["apps"]}
        assert set(promised) <= set(apps)
        folders = {path.name for path in (own_node.data / "apps").iterdir()}
        assert folders == set(apps)
        for app in apps.values():
            if app["stopped_at"] is None:
                assert act(own_node, key, "stop", app).json["status"] == "stopped"
    mse.wait_until(lambda: not own_node.shims(), what="the end of all shims")
    assert promised


def test_what_is_old_is_cleared_away(own_node, key):
    old = deploy(own_node, key, name="old")
    recent = deploy(own_node, key, name="recent")
    for app in (old, recent):
        assert act(own_node, key, "stop", app).status == 200
    waiting = own_node.data / "bundles" / ("ab" * 32)
    fresh = own_node.data / "bundles" / ("cd" * 32)
    waiting.write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(waiting, (time.time() - 3700,) * 2)
    own_node.terminate()
    with sqlite3.connect(own_node.data / "msed.db") as database:
        database.execute("UPDATE apps SET stopped_at = stopped_at - 345700 WHERE id = ?", [old["id"]])
    database.close()
    own_node.start()
    mse.wait_until(lambda: not own_node.app_folder(old["id"]).exists(), what="the old app's removal")
    expect(call(own_node, "GET", f"/v1/apps/{old['id']}"), 404, "no app")
    assert own_node.get(f"/v1/apps/{recent['id']}")["status"] == "stopped" and own_node.app_folder(recent["id"]).exists()
    assert not waiting.exists() and fresh.exists()
    # The name stays its owner's.
    expect(Deployment(own_node, Key(), name="old").send(), 403, "another owner")


# The program


def msed(*arguments, **options):
    return mse.run([mse.BIN / "msed", *arguments], **options)


def test_one_folder_has_one_msed(own_node):
    second = msed("--data", own_node.data, "--listen", f"unix:{own_node.folder}/other.sock")
    assert second.returncode == 1 and "another msed uses the folder" in second.stderr


def test_a_socket_in_use_or_a_path_too_long_or_not_a_socket_is_refused(own_node, folder):
    assert "another program listens" in msed("--data", folder / "d", "--listen", own_node.address).stderr
    assert "at most 107 characters" in msed("--data", folder / "d", "--listen", "unix:/tmp/" + "x" * 110).stderr
    (folder / "file").write_text("mine")
    assert "is not a socket" in msed("--data", folder / "d", "--listen", f"unix:{folder}/file").stderr
    assert (folder / "file").read_text() == "mine"
    assert "only unix:PATH" in msed("--data", folder / "d", "--listen", "tcp:80").stderr


def test_sigterm_ends_it_with_0_and_leaves_no_socket(own_node, key):
    app = wait_for(own_node, deploy(own_node, key), "initializing")
    assert own_node.terminate() == 0
    assert not own_node.socket.exists() and port_answers(app["port"])


def test_wrong_usage_is_2_and_a_failure_1(folder):
    for arguments in [["nonsense"], [], ["--data", folder / "d"], ["image", "list"], ["image", "build", "--data", folder / "d"], ["image"],
                      ["image", "list", "--data", folder / "d", "--rebuild"], ["--nonsense"]]:
        result = msed(*arguments)
        assert result.returncode == 2 and "usage:" in result.stderr
    assert msed("image", "remove", "none", "--data", folder / "d").returncode == 1
    assert msed("help").returncode == 0 and "image build" in msed("help").stdout
    assert msed("version").stdout.startswith("msed ")


# Images


def tree(folder):
    (folder / "usr" / "bin").mkdir(parents=True)
    (folder / "dev").mkdir()
    (folder / "proc").mkdir()
    (folder / "usr" / "bin" / "tool").write_text("#!/bin/sh\n")
    os.chmod(folder / "usr" / "bin" / "tool", 0o755)
    os.symlink("usr/bin", folder / "bin")
    os.symlink("/usr/bin/tool", folder / "tool")
    os.link(folder / "usr" / "bin" / "tool", folder / "usr" / "bin" / "same")
    return folder


def images(data):
    return {image["name"]: image["digest"] for image in json.loads(msed("image", "list", "--data", data, "--json", check=True).stdout)}


def test_an_image_from_a_folder_and_from_its_tar_are_the_same(folder):
    source, data = tree(folder / "tree"), folder / "data"
    assert msed("image", "import", "plain", source, "--data", data).returncode == 0
    subprocess.run(["tar", "-C", source, "-czf", folder / "tree.tgz", "."], check=True)
    assert msed("image", "import", "packed", folder / "tree.tgz", "--data", data).returncode == 0
    found = images(data)
    assert found["plain"] == found["packed"]
    assert found["plain"] == json.loads(mse.run([mse.BIN / "mse", "image", "digest", source, "--json"], check=True).stdout)["digest"]
    again = msed("image", "import", "plain", source, "--data", data)
    assert again.returncode == 1 and "--replace" in again.stderr
    (source / "usr" / "bin" / "tool").write_text("#!/bin/sh\nexit\n")
    assert msed("image", "import", "plain", source, "--data", data, "--replace").returncode == 0
    assert images(data)["plain"] != found["plain"]
    assert msed("image", "remove", "packed", "--data", data).returncode == 0
    assert list(images(data)) == ["plain"]
    assert [path.name for path in (data / "images").iterdir() if path.name.startswith(".new")] == []


def test_devices_are_left_out_of_dev_and_refused_elsewhere(folder):
    source, data = tree(folder / "tree"), folder / "data"
    os.mknod(source / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    taken = msed("image", "import", "clean", source, "--data", data)
    assert taken.returncode == 0 and "1 entries of /dev" in taken.stderr
    os.mkfifo(source / "usr" / "pipe")
    refused = msed("image", "import", "dirty", source, "--data", data)
    assert refused.returncode == 1 and "usr/pipe" in refused.stderr
    assert list(images(data)) == ["clean"]


def test_an_archive_that_leads_out_of_the_image_is_refused(folder):
    data, outside = folder / "data", folder / "outside"
    outside.mkdir()
    for number, entries in enumerate([
            [("../../../outside/evil", None)],
            [("link", str(outside)), ("link/evil", None)]]):
        path = folder / f"{number}.tar"
        with tarfile.open(path, "w") as archive:
            for name, target in entries:
                info = tarfile.TarInfo(name)
                if target:
                    info.type, info.linkname = tarfile.SYMTYPE, target
                    archive.addfile(info)
                else:
                    info.size = 4
                    archive.addfile(info, io.BytesIO(b"evil"))
        assert msed("image", "import", f"evil{number}", path, "--data", data).returncode == 1
    assert list(outside.iterdir()) == [] and images(data) == {}


def test_an_image_that_an_app_uses_stays(folder, key):
    data = folder / "node" / "data"
    node = mse.Node(folder / "node").start()
    try:
        app = deploy(node, key)
        refused = msed("image", "remove", "mse-flask", "--data", data, "--config", node.config)
        assert refused.returncode == 1 and f"used by the app {app['id'][:12]}" in refused.stderr
        rebuilt = msed("image", "build", "mse-flask", "--rebuild", "--data", data, "--config", node.config)
        assert rebuilt.returncode == 1 and "is used by the app" in rebuilt.stderr
    finally:
        node.destroy()
    assert (mse.STORE / "images" / "mse-flask" / "image.json").exists()


def test_what_a_killed_build_left_is_removed_by_the_next(folder):
    source, data = tree(folder / "tree"), folder / "data"
    left = data / "images" / ".new-abcdef"
    (left / "rootfs").mkdir(parents=True)
    (left / "lock").touch()
    assert msed("image", "import", "plain", source, "--data", data).returncode == 0
    assert not left.exists()


def test_building_needs_a_recipe_and_says_which_there_are(folder):
    result = msed("image", "build", "debian", "--data", folder / "d")
    assert result.returncode == 1 and "mse-flask" in result.stderr
    result = msed("image", "build", "mse-flask", "--include", "x;y", "--data", folder / "d")
    assert result.returncode == 1 and "not the name of a Debian package" in result.stderr


def test_a_folder_that_is_no_nodes_is_left_alone(folder):
    data = folder / "conf"
    (data / "apps" / "kept").mkdir(parents=True)
    result = mse.run([mse.BIN / "msed", "--data", data, "--listen", f"unix:{folder}/msed.sock"])
    assert result.returncode == 1
    assert "has 'apps' and no database of a node" in result.stderr
    assert sorted(path.name for path in data.rglob("*")) == ["apps", "kept"]
