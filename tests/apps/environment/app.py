"""Shows the environment and the paths that an application sees."""
import os
from pathlib import Path

from flask import Flask, jsonify

app = Flask(__name__)


@app.route("/health")
def health():
    return "healthy"


@app.route("/environment")
def environment():
    return jsonify(dict(os.environ))


def is_writable(folder):
    try:
        probe = Path(folder) / "probe"
        probe.write_text("x")
        probe.unlink()
        return True
    except OSError:
        return False


@app.route("/paths")
def paths():
    secrets = Path(os.environ["SECRETS_PATH"])
    return jsonify(
        writable={name: is_writable(os.environ[name]) for name in ("HOME", "TMP_PATH", "TMPDIR", "MODULE_PATH")},
        root_is_read_only=not any(is_writable(folder) for folder in ("/", "/usr", "/etc", "/var", "/opt")),
        secrets=secrets.read_text() if secrets.exists() else None,
        cwd=os.getcwd(),
    )
