"""A user sends it a body that is small, and large once it is unpacked."""
import json

from attack import application

TITLE = "compressed request bodies"
WALL = "the server unpacks nothing: the app gets the bytes that came"
SECOND = "limits of size and time for bodies; the plan's memory"

health = application(globals())


def app(environ, start_response):
    if environ["REQUEST_METHOD"] != "POST":
        return health(environ, start_response)
    size = 0
    while part := environ["wsgi.input"].read(65536):
        size += len(part)
    body = json.dumps([size, environ.get("HTTP_CONTENT_ENCODING")]).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
