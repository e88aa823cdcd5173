"""Applications that were not written for this project, from Debian's packages, deployed as they are."""
import json
import shutil
import subprocess

import pytest

import mse


def fetched(name, wanted):
    """The contents of some packages, fetched once and kept beside the image."""
    folder = mse.STORE / name
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


@pytest.fixture(scope="module")
def packages():
    return fetched("debian-apps", ["python3-httpbin", "python3-six", "python3-decorator", "python3-brotli", "python-werkzeug-doc"])


@pytest.fixture(scope="module")
def numpy():
    """With a BLAS that computes in threads of its own."""
    return fetched("debian-numpy", ["python3-numpy", "libopenblas0-pthread", "libgfortran5", "libquadmath0"])


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


NUMPY = '''import concurrent.futures
import ctypes
import json
import os
import tempfile

for library in ("libquadmath.so.0", "libgfortran.so.5", "libblas.so.3", "liblapack.so.3"):
    ctypes.CDLL("/mse-app/lib/" + library, mode=ctypes.RTLD_GLOBAL)

import numpy as np
from flask import Flask

app = Flask(__name__)


@app.route("/health")
def health():
    return "healthy"


@app.route("/")
def compute():
    random = np.random.default_rng(1)
    a = random.standard_normal((400, 400))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        products = list(pool.map(lambda n: a @ (n * a), range(1, 5)))
    with tempfile.TemporaryDirectory() as folder:
        np.savez_compressed(folder + "/saved.npz", a=a)
        saved = bool(np.array_equal(np.load(folder + "/saved.npz")["a"], a))
        mapped = np.memmap(folder + "/mapped", dtype="float64", mode="w+", shape=(1000, 1000))
        mapped[:] = 1
        mapped.flush()
        total = float(mapped.sum())
    return json.dumps({
        "products": bool(np.allclose(products[3], 4 * products[0])),
        "solved": bool(np.allclose(a @ np.linalg.solve(a, np.eye(400)), np.eye(400))),
        "spectrum": bool(np.allclose(np.fft.ifft(np.fft.fft(a[0])).real, a[0])),
        "saved": saved,
        "total": total,
        "blas": "openblas" in open("/proc/self/maps").read(),
    })
'''


def test_numpy(owner, numpy):
    """Large extension modules, with threads and memory of their own, in the code folder."""
    libraries = numpy / "usr" / "lib" / "x86_64-linux-gnu"
    source = owner.folder / "source"
    shutil.copytree(numpy / "usr" / "lib" / "python3" / "dist-packages" / "numpy", source / "numpy",
                    ignore=shutil.ignore_patterns("tests", "__pycache__", "f2py", "distutils"))
    (source / "lib").mkdir()
    for library in [*libraries.glob("lib*.so.*"), *(libraries / "openblas-pthread").glob("lib*.so.3"), libraries / "openblas-pthread" / "libopenblas.so.0"]:
        if library.exists():
            shutil.copy(library, source / "lib" / library.name)
    (source / "app.py").write_text(NUMPY)
    app = owner.deploy(owner.project("numpy", source))
    assert json.loads(app.get("/")) == {"products": True, "solved": True, "spectrum": True, "saved": True, "total": 1e6, "blas": True}
    app.stop()
