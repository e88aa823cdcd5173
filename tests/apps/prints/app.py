"""Prints what it is asked to, on standard output and standard error."""
import sys

from flask import Flask, request

app = Flask(__name__)


@app.route("/health")
def health():
    return "healthy"


@app.route("/print")
def to_output():
    print(request.args["text"])
    return "printed"


@app.route("/error")
def to_error():
    print(request.args["text"], file=sys.stderr)
    return "printed"
