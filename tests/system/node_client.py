"""A client of the node's API written apart from `mse`: deployments made by hand, with any member wrong that a test wants wrong."""
import base64
import hashlib
import http.client
import json
import os
import socket
import time

import nacl.public
import nacl.signing

import mse
from attest_client import fields


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=90):
        super().__init__("node", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]["message"]


def call(node, method, path, body=None, headers=None):
    connection = UnixConnection(node.socket)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def b64(data):
    return base64.b64encode(data).decode()


class Key:
    """An owner."""

    def __init__(self):
        self.key = nacl.signing.SigningKey.generate()
        self.log = nacl.public.PrivateKey.generate()
        self.public = bytes(self.key.verify_key)

    def sign(self, tag, *values):
        return self.key.sign(fields(tag, *values)).signature

    def address(self, project, name):
        return hashlib.sha256(fields("mse-address-v1", project, name, self.public)).hexdigest()[:12]


class Deployment:
    """One manifest, right in every member until a test changes `manifest` before send()."""

    def __init__(self, node, owner, name="demo", project="default", lifetime=3600, bundle=None):
        self.node, self.owner, self.name, self.project = node, owner, name, project
        self.bundle = bundle if bundle is not None else os.urandom(5000)
        self.id = os.urandom(32).hex()
        plan = node.get("/v1/plans/free")
        image = node.get("/v1/images/resolve?name=mse-flask")
        self.manifest = {
            "version": 1,
            "instance_id": self.id,
            "runtime": json.loads((mse.PREFIX / "share" / "mse" / "runtime.json").read_text()),
            "image": {"name": image["name"], "digest": image["digest"], "env": {}},
            "wheels": [],
            "app": {"name": name, "project": project, "healthcheck_endpoint": "/health", "requirements_sha256": None,
                    "bundle_sha256": hashlib.sha256(self.bundle).hexdigest(), "code_commitment": os.urandom(32).hex()},
            "owner": {"key": b64(owner.public), "log_key": b64(bytes(owner.log.public_key))},
            "tls": {"mode": "zero-trust",
                    "names": [f"{owner.address(project, name)}.mse.localhost", f"{self.id[:12]}-i.mse.localhost"]},
            "limits": {"memory": plan["memory"], "cpu_millis": plan["cpu_millis"], "storage": plan["storage"], "threads": plan["threads"],
                       "expires_at": int(time.time()) + lifetime},
            "egress": "any",
        }

    def put(self):
        return call(self.node, "PUT", f"/v1/bundles/{hashlib.sha256(self.bundle).hexdigest()}", self.bundle,
                    {"Content-Type": "application/octet-stream"})

    def post(self, replaces="", signer=None, approver=None, verb=None, plan="free"):
        raw = canonical(self.manifest)
        measurement = hashlib.sha256(raw).digest()
        body = json.dumps({"manifest": b64(raw), "manifest_signature": b64((approver or self.owner).sign("mse-manifest-v1", measurement)),
                           "replaces": replaces}).encode()
        signature = (signer or self.owner).sign("mse-node-v1", verb or ("replace" if replaces else "deploy"), self.project, self.name, replaces,
                                                self.id, hashlib.sha256(body).digest())
        return call(self.node, "POST", f"/v1/apps?plan={plan}", body, {"Mse-Signature": b64(signature)})

    def send(self, **options):
        assert self.put().status in (200, 201)
        return self.post(**options)


def act(node, owner, verb, app, body=b"{}", signed_id=None):
    signature = owner.sign("mse-node-v1", verb, app["project"], app["name"], signed_id or app["id"], "", hashlib.sha256(body).digest())
    return call(node, "POST", f"/v1/apps/{app['id']}/{verb}", body, {"Mse-Signature": b64(signature)})


def deploy(node, owner, **options):
    """A deployment that is expected to work: App."""
    answer = Deployment(node, owner, **options).send()
    assert answer.status == 201, answer.body
    return answer.json


def wait_for(node, app, *statuses, seconds=20):
    def look():
        found = node.get(f"/v1/apps/{app['id']}")
        return found if found["status"] in statuses else None
    return mse.wait_until(look, seconds, f"the status {statuses} of {app['id'][:12]}")
