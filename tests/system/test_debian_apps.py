"""Applications that were not written for this project, from Debian's packages, deployed as they are."""
import json
import shutil
import subprocess

import pytest

import mse


@pytest.fixture(scope="module")
def packages():
    """The contents of some packages, fetched once and kept beside the image."""
    wanted = ["python3-httpbin", "python3-six", "python3-decorator", "python3-brotli", "python-werkzeug-doc"]
    folder = mse.STORE / "debian-apps"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if mse.run(["apt-get", "download", *wanted], cwd=folder, timeout=120).returncode != 0:
            # Lists that are missing or old.
            mse.run(["apt-get", "update"], timeout=120, check=True)
            mse.run(["apt-get", "download", *wanted], cwd=folder, timeout=120, check=True)
        for package in folder.glob("*.deb"):
            mse.run(["dpkg", "-x", package, folder / "root"], check=True)
        (folder / "complete").touch()
    return folder / "root"


def test_httpbin(owner, packages):
    """Flask 2, with dependencies of its own, one of them a C extension, in the code folder."""
    modules = packages / "usr" / "lib" / "python3" / "dist-packages"
    source = owner.folder / "source"
    source.mkdir()
    shutil.copytree(modules / "httpbin", source / "httpbin")
    for module in ("six.py", "decorator.py", "brotli.py"):
        shutil.copy(modules / module, source)
    for extension in modules.glob("_brotli*"):
        shutil.copy(extension, source)
    app = owner.deploy(owner.project("httpbin", source, application="httpbin:app", health="/status/200"))

    assert json.loads(app.get("/get?a=1"))["args"] == {"a": "1"}
    assert json.loads(app.get("/post", "-d", "field=value"))["form"] == {"field": "value"}
    assert app.status_code("/status/418") == 418
    assert app.status_code("/basic-auth/u/p") == 401
    assert app.status_code("/basic-auth/u/p", "-u", "u:p") == 200
    assert json.loads(app.get("/brotli", "--compressed"))["brotli"] is True
    assert json.loads(app.get("/gzip", "--compressed"))["gzipped"] is True
    assert len(app.get("/stream/20").splitlines()) == 20
    assert len(app.curl("/stream-bytes/100000", text=False).stdout) == 100000
    assert json.loads(app.get("/headers", "-H", "X-Mine: yes"))["headers"]["X-Mine"] == "yes"
    assert app.status_code("/redirect/3", "-L") == 200
    app.stop()


def test_an_example_application_of_werkzeug(owner, packages):
    """A package with templates, made by a factory, without Flask."""
    examples = packages / "usr" / "share" / "doc" / "python-werkzeug-doc" / "examples"
    source = owner.folder / "source"
    source.mkdir()
    shutil.copytree(examples / "i18nurls", source / "i18nurls")
    app = owner.deploy(owner.project("i18nurls", source, application="i18nurls:make_app()", health="/en/"))
    assert "<title>" in app.get("/en/")
    assert app.get("/en/") != app.get("/de/")
    assert "Not Found" in app.get("/en/no-such-page")
    app.stop()
