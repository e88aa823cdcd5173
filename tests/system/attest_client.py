"""An owner's client written apart from `mse`, for saying to an enclave what `mse` never would."""
import base64
import hashlib
import io
import json
import os
import socket
import struct
import tarfile
import time

import nacl.bindings
import nacl.public
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


# A deployment made by hand, from the written formats alone.

def tree_digest(files):
    """The tree digest of packed code: {path: bytes}; folders above the files are entries too."""
    entries = {path: ("f", 0o644, len(data), hashlib.sha256(data).digest()) for path, data in files.items()}
    for path in files:
        parts = path.split("/")[:-1]
        for depth in range(len(parts)):
            entries["/".join(parts[:depth + 1])] = ("d", 0o755, 0, b"")
    values = []
    for path in sorted(entries, key=str.encode):
        kind, mode, size, content = entries[path]
        values += [path, kind, struct.pack(">Q", mode), struct.pack(">Q", size), content]
    return hashlib.sha256(fields("mse-tree-v1", *values)).digest()


def app_json(application, salt):
    return json.dumps({"python_application": application, "salt": salt.hex(), "version": 1}, sort_keys=True, separators=(",", ":")).encode()


def padme(size):
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def seal(files, key):
    """The sealed bundle of {path: bytes}, `.mse/app.json` among them."""
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files, key=lambda path: (path != ".mse/app.json", path.encode())):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(files[path]), 0o644
            archive.addfile(entry, io.BytesIO(files[path]))
    inner = room.getvalue()
    inner += bytes(padme(len(inner)) - len(inner))
    prefix = os.urandom(19)
    header = b"mse-bundle\n" + bytes([1, 1]) + prefix
    sealed = header
    chunks = [inner[start:start + 65536] for start in range(0, len(inner), 65536)]
    for number, chunk in enumerate(chunks):
        nonce = prefix + struct.pack(">I", number) + bytes([number == len(chunks) - 1])
        sealed += nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(chunk, header, nonce, key)
    return sealed


class Deployment:
    """One instance on a node, made without `mse`; it waits for its owner."""

    def __init__(self, node, files, runtime, image_digest, name="byhand", committed=None, change=lambda manifest: manifest):
        self.node = node
        self.seed, self.log_secret = os.urandom(32), os.urandom(32)
        self.code_key, self.salt = os.urandom(32), os.urandom(32)
        self.instance = os.urandom(32).hex()
        self.name = name
        owner = nacl.signing.SigningKey(self.seed).verify_key.encode()
        log_key = nacl.public.PrivateKey(self.log_secret).public_key.encode()
        packed = {**files, ".mse/app.json": app_json("app:app", self.salt)}
        self.bundle = seal(packed, self.code_key)
        digest = tree_digest({**committed, ".mse/app.json": packed[".mse/app.json"]} if committed else packed)
        plan = node.get("/v1/plans/free")
        address = hashlib.sha256(fields("mse-address-v1", "default", name, owner)).hexdigest()[:12]
        domain = node.get("/v1/node")["domain"]
        manifest = {
            "version": 1, "instance_id": self.instance, "runtime": runtime, "wheels": [], "egress": "any",
            "image": {"name": "mse-flask", "digest": image_digest, "env": {}},
            "app": {"name": name, "project": "default", "healthcheck_endpoint": "/health", "requirements_sha256": None,
                    "bundle_sha256": hashlib.sha256(self.bundle).hexdigest(),
                    "code_commitment": hashlib.sha256(fields("mse-code-v1", self.salt, digest)).hexdigest()},
            "owner": {"key": base64.b64encode(owner).decode(), "log_key": base64.b64encode(log_key).decode()},
            "tls": {"mode": "zero-trust", "names": [f"{address}.{domain}", f"{self.instance[:12]}-i.{domain}"]},
            "limits": {"memory": plan["memory"], "cpu_millis": plan["cpu_millis"], "storage": plan["storage"], "threads": plan["threads"],
                       "expires_at": int(time.time()) + 3600}}
        self.manifest = json.dumps(change(manifest), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        self.port = None

    def post(self, seed=None, replaces=""):
        status, answer = self.node.request("PUT", f"/v1/bundles/{hashlib.sha256(self.bundle).hexdigest()}", self.bundle)
        assert status in (200, 201), answer
        approval = sign(self.seed, "mse-manifest-v1", measurement(self.manifest))
        body = json.dumps({"manifest": base64.b64encode(self.manifest).decode(), "manifest_signature": approval, "replaces": replaces}).encode()
        signature = sign(seed or self.seed, "mse-node-v1", "replace" if replaces else "deploy", "default", self.name, replaces, self.instance,
                         hashlib.sha256(body).digest())
        return self.node.request("POST", "/v1/apps?plan=free", body, [f"Mse-Signature: {signature}"])

    def start(self):
        status, answer = self.post()
        assert status == 201, answer
        self.port = json.loads(answer)["port"]
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return self
            except OSError:
                assert time.monotonic() < deadline, "the enclave does not answer"
                time.sleep(0.05)

    def connect(self, attested=True):
        connection = Connection(self.port)
        if attested:
            connection.evidence()
        return connection

    def stop(self):
        body = b"{}"
        signature = sign(self.seed, "mse-node-v1", "stop", "default", self.name, self.instance, "", hashlib.sha256(body).digest())
        return self.node.request("POST", f"/v1/apps/{self.instance}/stop", body, [f"Mse-Signature: {signature}"])
