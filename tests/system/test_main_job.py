"""The whole main job, through the real programs."""
import json
import os
import re
import ssl
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

import mse

MISSION = Path(os.environ.get("MSE_MISSION", mse.ROOT.parent / "shared" / "mission" / "developing-for-mse.md"))


def mission_blocks():
    if not MISSION.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{MISSION} is not there")
        pytest.skip(f"SKIPPED: the page with the example application, {MISSION}, is not on this machine")
    return re.findall(r"```\w+\n(.*?)```", MISSION.read_text(), re.S)


def test_the_example_of_the_mission_page_is_deployed_unchanged(owner):
    configuration, secrets, application = mission_blocks()[:3]
    project = owner.folder / "helloworld"
    (project / "code").mkdir(parents=True)
    (project / "code" / "app.py").write_text(application)
    (project / "secrets.json").write_text(secrets)
    (project / "mse.toml").write_text(configuration[:configuration.index("[ssl]")])

    result = owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", mse.image_digest(), timeout=90, check=True)
    assert re.search(r"image 'ghcr\.io/cosmian/mse-flask:\d+' is 'mse-flask' here, by an alias", result.stdout), "the alias is shown"
    assert "curl --cacert" in result.stdout
    [status] = [app for app in owner.json("list")["apps"] if app["name"] == "helloworld"]
    app = mse.App(owner, {**status, "certificate": str(owner.conf / "apps" / status["id"] / "ratls.pem")})

    assert app.get("/whoami") == "username"
    assert app.status_code("/") == 404
    assert app.status_code("/", "-X", "POST") == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", app.get("/"))
    assert app.status_code("/") == 404, "the second read finds nothing"
    app.stop()


def test_deploy_with_json_ends_with_one_object_that_scripts_rely_on(owner):
    app = owner.deploy(owner.project("jsonapp", "environment"))
    answer = app.answer
    assert re.fullmatch(r"https://[0-9a-f]{12}\.mse\.localhost:\d+/", answer["url"])
    assert answer["name"] == "jsonapp" and answer["project"] == "default" and answer["status"] == "running"
    assert answer["tee"] == "sim" and answer["simulated"] is True
    assert re.fullmatch(r"[0-9a-f]{64}", answer["measurement"])
    assert Path(answer["certificate"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert all(step["name"] and step["seconds"] >= 0 for step in answer["steps"])
    assert answer["expires_at"]
    app.stop()


def test_a_scaffolded_app_deploys_verifies_and_runs_under_plain_python_too(owner):
    owner.mse("scaffold", "fresh", check=True, cwd=owner.folder)
    project = owner.folder / "fresh"
    for path in ("mse.toml", "mse_src/app.py", "mse_src/.mseignore", "secrets.json", "tests", "README.md"):
        assert (project / path).exists(), path
    app = owner.deploy(project)
    assert app.status_code("/health") == 200 and app.status_code("/") == 200
    verified = json.loads(app.verify().stdout)
    assert verified["verdict"] == "pass" and verified["simulated"] is True and verified["tee"] == "sim"
    app.stop()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
    plain = subprocess.Popen(["/usr/bin/python3", "app.py"], cwd=project / "mse_src", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = ""
        while "Running on http" not in line:
            line = plain.stdout.readline()
            assert line, "python3 app.py ended without serving"
        url = re.search(r"http://[\d.]+:\d+", line).group()
        assert mse.run(["curl", "-sSf", url + "/health"]).returncode == 0
    finally:
        plain.terminate()
        plain.wait()


def test_the_environment_and_the_paths_are_those_of_the_mission_page(owner):
    app = owner.deploy(owner.project("envapp", "environment", secrets='{"login": "secret-login"}'))
    seen = json.loads(app.get("/environment"))
    assert seen["HOME"] == "/root" and seen["TMP_PATH"] == "/tmp" and seen["MODULE_PATH"] == "/mse-app"
    assert seen["SECRETS_PATH"] == "/root/.cache/mse/secrets.json"
    allowed = {"HOME", "SECRETS_PATH", "TMP_PATH", "TMPDIR", "MODULE_PATH", "PATH", "LANG", "LC_CTYPE"}
    assert set(seen) <= allowed, set(seen) - allowed
    paths = json.loads(app.get("/paths"))
    assert paths["writable"] == {"HOME": True, "TMP_PATH": True, "TMPDIR": True, "MODULE_PATH": True}
    assert paths["secrets"] == '{"login": "secret-login"}'
    assert paths["root_is_read_only"] is True
    assert paths["cwd"] == "/mse-app"
    app.stop()


def test_the_same_name_keeps_its_address_and_replacing_needs_consent(owner):
    project = owner.project("kept", "environment")
    first = owner.deploy(project)
    again = owner.mse("deploy", "--path", project / "mse.toml", "--json")
    assert again.returncode == 1 and "-y" in again.stderr, "without a terminal and without -y nothing is replaced"
    assert first.status_code("/health") == 200
    second = owner.deploy(project)
    assert second.url == first.url and second.id != first.id
    assert second.status_code("/health") == 200
    stale = second.curl("/health", "--cacert", first.certificate, check=False)
    assert Path(first.certificate).read_text() != Path(second.certificate).read_text()
    assert first.owner.json("status", first.id)["status"] == "stopped"
    second.stop()


def test_the_certificate_names_the_address_and_loopback_and_is_no_ca(owner):
    app = owner.deploy(owner.project("named", "environment"))
    text = mse.run(["openssl", "x509", "-in", app.certificate, "-noout", "-text"], check=True).stdout
    host = app.url[len("https://"):].rpartition(":")[0]
    assert f"DNS:{host}" in text and "IP Address:127.0.0.1" in text and "CA:FALSE" in text
    result = mse.run(["curl", "-sS", "--cacert", app.certificate, f"https://127.0.0.1:{app.port}/health"], check=True)
    assert result.stdout
    app.stop()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_app_is_served_over_both_versions_of_tls(owner, node, version):
    app = owner.deploy(owner.project(f"tls-{version.lower().replace('_', '-')}", "environment"))
    context = ssl.create_default_context(cafile=app.certificate)
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    host = app.url[len("https://"):].rpartition(":")[0]
    with socket.create_connection(("127.0.0.1", app.port)) as raw, context.wrap_socket(raw, server_hostname=host) as tls:
        tls.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert tls.recv(1000).startswith(b"HTTP/1.1 200")
    app.stop()


def test_the_expiry_date_stops_the_app(owner):
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 8 * mse.PATIENCE))
    app = owner.deploy(owner.project("expiring", "environment", extra=f'expiration_date = "{soon}"'))
    assert app.status_code("/health") == 200
    mse.wait_until(lambda: app.status()["status"] == "stopped", 20, "the expiry")
    assert "expired" in app.status()["reason"]
    assert app.curl("/health", check=False).returncode != 0


def test_list_status_logs_and_stop_tell_of_an_app(owner):
    app = owner.deploy(owner.project("told", "prints"))
    app.get("/print?text=" + urllib.parse.quote("grüße-aus-der-enklave"))
    app.get("/error?text=on-standard-error")
    text = mse.wait_until(lambda: (logs := app.logs()) and "on-standard-error" in logs and logs, what="the printed lines")
    assert "grüße-aus-der-enklave" in text
    by_name = owner.json("status", "told")
    assert by_name["id"] == app.id and by_name["simulated"] is True
    assert any(entry["id"] == app.id for entry in owner.json("list")["apps"])
    plain = owner.mse("status", "told", check=True).stdout
    assert "simulat" in plain.lower(), "people are told that it is simulated"
    assert app.stop()["status"] == "stopped"
    assert app.curl("/health", check=False).returncode != 0
    assert "grüße-aus-der-enklave" in app.logs(), "the log outlives the app"


def test_following_a_log_ends_with_the_app(owner):
    app = owner.deploy(owner.project("followed", "prints"))
    assert "the log is empty" in owner.mse("logs", app.id, check=True).stderr
    follower = subprocess.Popen([mse.BIN / "mse", "logs", app.id, "-f"], env=owner.environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        app.get("/print?text=words-to-follow")
        app.stop()
        followed, said = follower.communicate(timeout=20 * mse.PATIENCE)
    finally:
        follower.kill()
    assert follower.returncode == 0 and "words-to-follow" in followed
    assert "the app has stopped (stopped by its owner)" in said


def test_a_node_that_keeps_back_the_end_of_a_log_is_found_out(owner, node):
    app = owner.deploy(owner.project("cutlog", "prints"))
    for number in range(3):
        app.get(f"/print?text=line-{number}")
        mse.wait_until(lambda: f"line-{number}" in app.logs(), what="the line")
    assert "MISSING" not in app.logs()
    log = node.app_folder(app.id) / "log"
    data = log.read_bytes()
    # A header of 16 bytes, then records with their sizes before them.
    starts, position = [], 16
    while position < len(data):
        starts.append(position)
        position += 4 + int.from_bytes(data[position:position + 4], "big")
    log.write_bytes(data[:starts[-1]])
    cut = app.logs()
    assert "line-2" not in cut and "1 records are MISSING" in cut
    assert owner.json("logs", app.id)["complete"] is False
    app.stop()


def test_version_help_and_exit_codes(owner):
    assert owner.mse("version").returncode == 0
    assert json.loads(owner.mse("version", "--json").stdout)["version"]
    assert owner.mse("help").returncode == 0
    assert owner.mse("no-such-command").returncode == 2
    assert owner.mse("deploy", "--no-such-option").returncode == 2
    assert owner.mse("status", "no-such-app").returncode == 1


def test_what_an_app_is_without_is_told_to_its_owner(owner):
    app = owner.deploy(owner.project("weakapp", "environment"))
    told = app.status()["weaker"]
    assert app.answer["weaker"] == told
    assert "user" not in [weakness["name"] for weakness in told]
    shown = owner.mse("status", app.id, check=True).stdout
    assert [line for line in shown.splitlines() if line.startswith("weaker")] == [f"weaker here: {weakness['text']}" for weakness in told]
    app.stop()
