"""Every call goes through wsgiref.validate, which raises AssertionError where server or application leave PEP 3333."""

from wsgiref.validate import validator


def answer(environ, start_response):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if method == "POST":
        body = environ["wsgi.input"].read(5) + environ["wsgi.input"].readline() + b"".join(environ["wsgi.input"])
    else:
        body = b"ok\n"
    environ["wsgi.errors"].write(f"seen {method} {path}\n")
    environ["wsgi.errors"].flush()
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    if path == "/pieces":
        return iter([body[:2], body[2:]])
    return [] if method == "HEAD" else [body]


app = validator(answer)
