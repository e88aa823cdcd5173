"""HTTP through the enclave: what clients do to an application server."""
import hashlib
import json
import os
import socket
import ssl

import pytest

import mse


@pytest.fixture(scope="module")
def apps(node, tmp_path_factory):
    owner = mse.Owner(tmp_path_factory.mktemp("serving"), node)
    deployed = {name: owner.deploy(owner.project(name, name)) for name in ("echo", "validated", "streaming")}
    yield deployed
    for app in deployed.values():
        app.stop()


def connect(app):
    context = ssl.create_default_context(cafile=app.certificate)
    host = app.url[len("https://"):].rpartition(":")[0]
    return context.wrap_socket(socket.create_connection(("127.0.0.1", app.port), timeout=20 * mse.PATIENCE), server_hostname=host)


def talk(app, *parts):
    """Sends the parts, each in a record of its own, and reads to the end."""
    with connect(app) as tls:
        for part in parts:
            tls.sendall(part)
        answer = b""
        while data := tls.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize("arguments", [
    [], ["-X", "POST", "-d", "some body"], ["-I"], ["-X", "OPTIONS"], ["-X", "DELETE"], ["-H", "X-Header: ä"],
    ["-X", "POST", "-H", "Transfer-Encoding: chunked", "-d", "chunked"],
])
@pytest.mark.parametrize("path", ["/", "/empty", "/pieces", "/with%20space?and=query"])
def test_wsgiref_validate_finds_nothing(apps, path, arguments):
    assert apps["validated"].status_code(path, *arguments) in (200, 204)


def test_keep_alive_and_pipelining_are_answered_in_order(apps):
    one = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    answer = talk(apps["echo"], one + b"one" + one + b"two", one.replace(b"Host", b"Connection: close\r\nHost") + b"six")
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"one", b"two", b"six"]


def test_chunked_bodies_both_ways(apps):
    answer = talk(apps["echo"], b"POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
                  b"5\r\nhello\r\n", b"6;extension=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"200" in head and b"chunked" in head.lower()
    text, rest = b"", body
    while (size := int(rest.partition(b"\r\n")[0], 16)) > 0:
        rest = rest.partition(b"\r\n")[2]
        text, rest = text + rest[:size], rest[size + 2:]
    assert text == b"hello world"


def test_expect_100_continue_is_answered_when_the_application_reads(apps):
    with connect(apps["echo"]) as tls:
        tls.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert tls.recv(1000).startswith(b"HTTP/1.1 100")
        tls.sendall(b"body")
        answer = b""
        while data := tls.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"body")


def test_head_has_the_headers_and_no_body(apps):
    answer = talk(apps["echo"], b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length: 2" in head.lower() and body == b""


def test_http_1_0_without_host_is_served_and_closed(apps):
    assert talk(apps["echo"], b"GET /health HTTP/1.0\r\n\r\n").endswith(b"ok")


def test_a_large_upload_and_download_are_whole(apps, folder):
    data = os.urandom(20 * 1024 * 1024)
    (folder / "upload").write_bytes(data)
    back = apps["echo"].curl("/stream", "--data-binary", f"@{folder / 'upload'}", "-H", "Content-Type: application/octet-stream", text=False,
                             timeout=120).stdout
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


def test_a_client_that_leaves_closes_the_iterator_of_the_response(apps):
    with connect(apps["streaming"]) as tls:
        tls.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tls.recv(65536)
    assert apps["streaming"].get("/was-closed") == "closed"


@pytest.mark.parametrize("request_bytes", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nFolded: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x00\x00",
])
def test_malformed_and_ambiguous_requests_are_refused(apps, request_bytes):
    answer = talk(apps["echo"], request_bytes)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b"", answer[:100]
    assert apps["echo"].status_code("/health") == 200


def test_heads_that_are_too_large_are_refused(apps):
    assert talk(apps["echo"], b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert talk(apps["echo"], b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 414")


def test_paths_of_the_enclave_do_not_reach_the_application(apps):
    assert apps["echo"].status_code("/.well-known/mse/anything") == 404
    assert apps["echo"].status_code("/.well-known/mse/evidence") == 405
    assert apps["echo"].status_code("/.well-known/other") == 200
