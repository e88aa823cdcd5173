"""What a clumsy owner gets told: the line, and the remedy. Nothing is sent before everything is checked."""
import json
import os

import pytest

import mse
from test_refused import CODE, SECRET

GOOD = '''name = "clumsy"
project = "default"
resource = "free"

[code]
location = "./code"
python_application = "app:app"
healthcheck_endpoint = "/health"
docker = "mse-flask"
secrets = "./secrets.json"
'''


def deploy(owner, toml, prepare=None):
    folder = owner.project("clumsy", CODE, secrets=SECRET)
    (folder / "mse.toml").write_text(toml)
    if prepare is not None:
        prepare(folder)
    # A node that is not there: whatever needs it comes after the checks.
    owner.node = f"unix:{owner.folder}/no-node.sock"
    result = owner.mse("deploy", "--path", folder / "mse.toml", "-y", "--trust-image", mse.image_digest())
    assert result.returncode == 1
    return result.stderr


@pytest.mark.parametrize("line, wrong, words", [
    (1, 'nam = "clumsy"', ["mse.toml:1", "nam", "name"]),
    (1, "name = 5", ["mse.toml:1", "name", "string"]),
    (1, 'name = "../evil"', ["mse.toml:1", "name"]),
    (1, 'name = "clumsy', ["mse.toml:1"]),
    (3, 'expiration_date = "2020-01-01T00:00:00Z"', ["mse.toml:3", "expiration_date"]),
    (3, "expiration_date = 2020-01-01T00:00:00Z", ["mse.toml:3", "expiration_date"]),
    (6, 'location = "./elsewhere"', ["mse.toml:6", "elsewhere"]),
    (7, 'pyton_application = "app:app"', ["mse.toml:7", "pyton_application", "python_application"]),
    (7, 'python_application = "other:app"', ["mse.toml:7", "other"]),
    (7, 'python_application = "app"', ["mse.toml:7", "module:attribute"]),
    (8, 'healthcheck_endpoint = "health"', ["mse.toml:8", "healthcheck_endpoint"]),
    (10, 'secrets = "./no-secrets.json"', ["mse.toml:10", "no-secrets.json"]),
    (10, 'secrets = "./code"', ["mse.toml:10"]),
    (4, '[network]\negress = ["example.com"]\n', ["mse.toml:5", "network.egress", "no port"]),
])
def test_a_mistake_in_the_configuration_is_named_with_its_line(owner, line, wrong, words):
    lines = GOOD.splitlines()
    lines[line - 1] = wrong
    text = deploy(owner, "\n".join(lines) + "\n")
    for word in words:
        assert word in text, text


def test_the_secrets_file_inside_the_code_folder_is_refused_unless_ignored(owner):
    inside = GOOD.replace("./secrets.json", "./code/secrets.json")

    def place(folder):
        (folder / "code" / "secrets.json").write_text(SECRET)

    assert "secrets.json" in deploy(owner, inside, place)


@pytest.mark.parametrize("name", ["hard link", "symbolic link"])
def test_the_secrets_file_in_the_code_folder_by_another_name_is_refused(owner, name):
    def link(folder):
        if name == "hard link":
            os.link(folder / "secrets.json", folder / "code" / "data.txt")
        else:
            os.symlink("../secrets.json", folder / "code" / "data.txt")

    assert "data.txt" in deploy(owner, GOOD, link)


def test_the_configuration_file_inside_the_code_folder_is_refused(owner):
    def nest(folder):
        (folder / "app.py").write_text("app = None")
        (folder / ".mseignore").write_text("secrets.json\n")

    text = deploy(owner, GOOD.replace('"./code"', '"."'), nest)
    assert "configuration file" in text and "no-node.sock" not in text, text


def test_what_is_not_there_yet_is_refused_by_name(owner):
    def requirements(folder):
        (folder / "code" / "requirements.txt").write_text("flask\n")

    assert "requirements.txt" in deploy(owner, GOOD, requirements)


SSL = '\n[ssl]\ndomain_name = "example.com"\ncertificate = "./cert.pem"\nprivate_key = "./key.pem"\n'


def certificate(name):
    def make(folder):
        mse.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-addext",
                 f"subjectAltName=DNS:{name}", "-days", "30", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True)
    return make


def test_a_certificate_that_is_not_there_is_named(owner):
    assert "cert.pem" in deploy(owner, GOOD + SSL)


def test_a_certificate_for_another_name_is_named(owner):
    text = deploy(owner, GOOD + SSL, certificate("other.org"))
    assert "example.com" in text and "mse.toml:" in text


def test_a_good_ssl_table_is_refused_as_coming_later(owner):
    text = deploy(owner, GOOD + SSL, certificate("example.com"))
    assert "[ssl]" in text and "later" in text


def test_a_node_that_is_not_there_is_named(owner):
    text = deploy(owner, GOOD)
    assert "no-node.sock" in text


def test_an_unknown_image_and_an_unknown_plan_are_named(owner):
    project = owner.project("unknown", CODE, secrets=SECRET)
    toml = (project / "mse.toml").read_text()
    (project / "mse.toml").write_text(toml.replace('"mse-flask"', '"no-such-image"'))
    result = owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", mse.image_digest())
    assert result.returncode == 1 and "no-such-image" in result.stderr
    (project / "mse.toml").write_text(toml.replace('"free"', '"gold"'))
    result = owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", mse.image_digest())
    assert result.returncode == 1 and "gold" in result.stderr


def test_an_application_that_cannot_be_imported_is_shown_with_its_traceback_and_stopped(owner):
    project = owner.project("broken", {"app.py": "import a_module_that_is_not_there\napp = None\n"}, secrets=SECRET)
    result = owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", mse.image_digest(), timeout=90)
    assert result.returncode == 1
    assert "a_module_that_is_not_there" in result.stdout + result.stderr
    assert owner.json("status", "broken")["status"] == "on_error"


def test_an_asgi_application_is_refused_by_name(owner):
    project = owner.project("asgi", "asgi")
    result = owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", mse.image_digest(), timeout=90)
    assert result.returncode == 1 and "ASGI" in result.stdout + result.stderr


def test_ignored_files_do_not_leave_the_machine(owner):
    code = {**CODE, ".mseignore": "*.key\n/data/\n!keep.key\n", "a.key": "x", "keep.key": "y", "data/x.py": "z"}
    code["app.py"] += '\n\n@app.route("/files")\ndef files():\n    import os\n    return sorted(os.listdir("/mse-app"))\n'
    app = owner.deploy(owner.project("ignoring", code, secrets=SECRET))
    assert json.loads(app.get("/files")) == ["app.py", "keep.key"]
    app.stop()


def test_a_configuration_folder_that_others_rule_is_refused(owner):
    os.chmod(owner.conf, 0o770)
    assert "others can write" in owner.mse("list").stderr
    os.chmod(owner.conf, 0o700)
    os.chown(owner.conf, 54321, 54321)
    result = owner.mse("list")
    assert result.returncode == 1 and "belongs to another user" in result.stderr and "MSE_CONF_PATH" in result.stderr
    assert list(owner.conf.iterdir()) == []


def test_an_image_without_a_usable_python_is_refused_by_name(folder):
    """The same image, but for its libpython."""
    copy, store = folder / "image", folder / "store"
    mse.run(["cp", "-al", mse.STORE / "images" / "mse-flask" / "rootfs", copy], check=True)
    for library in copy.glob("usr/lib/*/libpython3.*"):
        library.unlink()
    mse.run([mse.BIN / "msed", "image", "import", "no-python", copy, "--data", store], check=True, timeout=120)
    digest = mse.run([mse.BIN / "mse", "image", "digest", copy], check=True).stdout.strip()
    node = mse.Node(folder / "node", f'images = "{store / "images"}"\n').start()
    try:
        owner = mse.Owner(folder / "owner", node)
        project = owner.project("pythonless", CODE, secrets=SECRET)
        toml = (project / "mse.toml").read_text()
        (project / "mse.toml").write_text(toml.replace('"mse-flask"', '"no-python"'))
        result = owner.mse("deploy", "--path", project / "mse.toml", "-y", "--trust-image", digest, timeout=90)
        assert result.returncode == 1
        assert "libpython" in result.stdout + result.stderr
    finally:
        node.destroy()


def test_every_command_speaks_json(owner, folder):
    app = owner.deploy(owner.project("jsonall", CODE, secrets=SECRET))
    context = folder / "context.json"
    answers = [
        owner.json("version"), owner.json("help"), owner.json("list"), owner.json("status", app.id), owner.json("logs", app.id),
        owner.json("context", "export", "jsonall", "--output", context), json.loads(app.verify().stdout),
        owner.json("image", "digest", mse.STORE / "images" / "mse-flask" / "rootfs"), owner.json("scaffold", "fresh", cwd=folder), app.stop(),
    ]
    assert all(isinstance(answer, dict) for answer in answers)
    failed = owner.mse("status", "no-such-app", "--json")
    assert failed.returncode == 1 and json.loads(failed.stdout)["error"]["message"]


def test_a_user_needs_no_node_to_verify(owner, folder):
    app = owner.deploy(owner.project("nodeless", CODE, secrets=SECRET))
    context = folder / "context.json"
    owner.mse("context", "export", "nodeless", "--output", context, check=True)
    environment = {"PATH": os.environ["PATH"], "MSE_CONF_PATH": str(folder / "user"), "HOME": str(folder)}
    result = mse.run([mse.BIN / "mse", "verify", app.url, "--context", context, "--allow-simulation", "--output", folder / "user.pem"],
                     env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (folder / "user" / "owner.key").exists(), "verifying makes no keys"
    app.stop()
