"""Statuses and headers that must be refused, chosen by the query string."""

cases = {
    "crlf-value": ("200 OK", [("X-A", "1\r\nSet-Cookie: stolen=1")]),
    "lf-value": ("200 OK", [("X-A", "1\n2")]),
    "cr-value": ("200 OK", [("X-A", "1\r2")]),
    "nul-value": ("200 OK", [("X-A", "1\0002")]),
    "del-value": ("200 OK", [("X-A", "1\x7f2")]),
    "crlf-name": ("200 OK", [("X-A: 1\r\nX-B", "1")]),
    "blank-name": ("200 OK", [("X A", "1")]),
    "empty-name": ("200 OK", [("", "1")]),
    "colon-name": ("200 OK", [("X:", "1")]),
    "non-ascii-name": ("200 OK", [("X-\u00e9", "1")]),
    "wide-value": ("200 OK", [("X-A", "\u20ac")]),
    "surrogate-value": ("200 OK", [("X-A", "\udcff")]),
    "bytes-value": ("200 OK", [("X-A", b"1")]),
    "bytes-name": ("200 OK", [(b"X-A", "1")]),
    "number-value": ("200 OK", [("Content-Length", 2)]),
    "connection": ("200 OK", [("Connection", "close")]),
    "transfer-encoding": ("200 OK", [("Transfer-Encoding", "chunked")]),
    "upgrade": ("200 OK", [("upgrade", "h2c")]),
    "keep-alive": ("200 OK", [("KEEP-ALIVE", "1")]),
    "two-lengths": ("200 OK", [("Content-Length", "2"), ("content-length", "2")]),
    "bad-length": ("200 OK", [("Content-Length", "+2")]),
    "negative-length": ("200 OK", [("Content-Length", "-2")]),
    "empty-length": ("200 OK", [("Content-Length", "")]),
    "huge-length": ("200 OK", [("Content-Length", "9" * 30)]),
    "pair": ("200 OK", ["ab"]),
    "triple": ("200 OK", [("a", "b", "c")]),
    "dict": ("200 OK", {"X-A": "1"}),
    "none": ("200 OK", None),
    "status-crlf": ("200 OK\r\nX-A: 1", []),
    "status-number": (200, []),
    "status-bytes": (b"200 OK", []),
    "status-word": ("OK", []),
    "status-empty": ("", []),
    "status-100": ("100 Continue", []),
    "status-101": ("101 Switching Protocols", []),
    "status-600": ("600 What", []),
    "status-glued": ("200OK", []),
    "many": ("200 OK", [("X-A", "1")] * 513),
    "large": ("200 OK", [("X-A", "1" * 300000)]),
    "refused-by-server": ("200 OK", [("X-Refuse-Me", "1")]),
    # These are good.
    "obs-text": ("200 OK", [("X-A", "caf\u00e9")]),
    "tab": ("299 Fine\ttoo", [("X-A", "1\t2"), ("X-B", "")]),
    "bare-status": ("404", []),
    "list-pair": ("200 OK", [["X-A", "1"]]),
    "tuple": ("200 OK", (("X-A", "1"),)),
    "no-content": ("204 No Content", [("Content-Length", "0")]),
    "not-modified": ("304 Not Modified", [("ETag", '"1"')]),
}


def app(environ, start_response):
    if environ["PATH_INFO"] == "/health":
        start_response("200 OK", [])
        return [b"ok"]
    status, headers = cases[environ["QUERY_STRING"]]
    start_response(status, headers)
    return [] if status[:3] in ("204", "304") else [b"ok"]
