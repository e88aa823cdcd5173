"""An owner's client written apart from `mse`, for saying to an enclave what `mse` never would."""
import base64
import hashlib
import json
import os
import socket
import struct

import nacl.signing
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

EVIDENCE = "/.well-known/mse/evidence"
PROVISION = "/.well-known/mse/provision"


def fields(tag, *values):
    """The encoding of everything that is signed or hashed: each field after its length, the tag first."""
    return b"".join(struct.pack(">I", len(value)) + value
                    for value in [tag.encode()] + [value.encode() if isinstance(value, str) else value for value in values])


def sign(key, tag, *values):
    return base64.b64encode(nacl.signing.SigningKey(key).sign(fields(tag, *values)).signature).decode()


class Connection:
    """One TLS connection to an enclave, not verified."""

    def __init__(self, port, host="127.0.0.1", version=None):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if version is not None:
            context.set_max_proto_version(version)
        self.raw = socket.create_connection((host, port))
        self.tls = SSL.Connection(context, self.raw)
        self.tls.set_connect_state()
        self.tls.do_handshake()

    def close(self):
        self.raw.close()

    def exporter(self, label, context=None):
        return self.tls.export_keying_material(label.encode(), 32, context)

    def leaf(self):
        return self.tls.get_peer_certificate().to_cryptography().public_bytes(Encoding.DER)

    def request(self, method, path, body=b"", headers=(), length=None):
        """(status, headers, body); length is what Content-Length says, when that is not the truth."""
        head = [f"{method} {path} HTTP/1.1", "Host: x.mse.localhost", f"Content-Length: {len(body) if length is None else length}", *headers]
        self.tls.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        if body:
            self.tls.sendall(body)
        return self.response()

    def response(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.tls.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        while len(rest) < size:
            rest += self.tls.recv(65536)
        return int(lines[0].split()[1]), headers, rest

    def evidence(self, nonce=None):
        nonce = nonce or os.urandom(32)
        status, _, body = self.request("POST", EVIDENCE, json.dumps({"nonce": base64.b64encode(nonce).decode()}).encode())
        assert status == 200, body
        return json.loads(body)


def measurement(manifest):
    return hashlib.sha256(manifest).digest()


def provision_message(instance, code_key, secrets=b'{"login": "x"}'):
    return json.dumps({
        "uuid": instance,
        "code_secret_key": base64.b64encode(code_key).decode(),
        "app_secrets": base64.b64encode(secrets).decode(),
        "ssl_private_key": None,
        "ssl_certificate": None,
    }).encode()


def provision_signature(owner_seed, body, exporter, manifest):
    return sign(owner_seed, "mse-provision-v1", hashlib.sha256(body).digest(), exporter, measurement(manifest))


def provision(connection, owner_seed, manifest, body, exporter=None, signature=None):
    """Sends one message as its owner would, but for what the caller gives."""
    exporter = exporter or connection.exporter("EXPORTER-mse-provision")
    signature = signature or provision_signature(owner_seed, body, exporter, manifest)
    return connection.request("POST", PROVISION, body, [f"Mse-Signature: {signature}", "Content-Type: application/json"])
