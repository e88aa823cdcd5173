"""The smallest Flask application."""

from flask import Flask, request

app = Flask(__name__)


@app.get("/health")
def health():
    return "ok"


@app.get("/")
def hello():
    return "Hello, world!"


@app.post("/json")
def echo():
    return request.get_json()


@app.post("/form")
def form():
    return f"{request.form['name']} {request.files['file'].read().decode()}"


@app.get("/fails")
def fails():
    raise ValueError("flask-detail")
