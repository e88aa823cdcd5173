"""The write() callable of PEP 3333."""


def app(environ, start_response):
    path = environ["PATH_INFO"]
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/health":
        return [b"ok"]
    if path == "/wrong":
        write("text")
    write(b"written ")
    write(b"")
    write(b"twice ")
    return [b"and ", b"returned"]
