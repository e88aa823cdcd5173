"""A node that lies, and a network that meddles: what stands between an owner's `mse` and a real `mse-shim`."""
import base64
import datetime
import hashlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading

import nacl.signing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import attest_client
import mse


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class HostileNode:
    """Speaks msed's API. What it does not lie about it asks the honest node; enclaves it starts itself, by mse-shim, as it likes."""

    uid = 199_000

    def __init__(self, folder, honest, tamper_manifest=None, program=None, lib_dir=None, sim_dir=None, image=None, answer=None, tamper_bundle=None,
                 relay=None, usurp=False):
        self.folder = folder / "hostile"
        self.folder.mkdir()
        self.honest = honest
        self.tamper_manifest = tamper_manifest or (lambda manifest: manifest)
        self.tamper_bundle = tamper_bundle or (lambda bundle: bundle)
        self.program = program or mse.BIN / "mse-enclave"
        self.lib_dir = lib_dir or mse.PREFIX / "lib"
        self.sim_dir = sim_dir or honest.data / "sim"
        self.image = image or mse.STORE / "images" / "mse-flask" / "rootfs"
        self.answer = answer or {}
        self.relay = relay
        self.usurp = usurp
        self.received = []  # every byte that the owner sent to the node
        self.shims = []
        self.relays = []
        self.apps = {}
        self.socket = self.folder / "node.sock"
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_all(self):
                if self.headers.get("Expect", "").lower() == "100-continue":
                    pass  # http.server has answered it
                body = self.read_body()
                node.received.append(self.path.encode() + b"\n" + str(self.headers).encode() + body)
                status, content = node.serve(self.command, self.path, body, self.headers)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Mse-Simulated", "true")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def read_body(self):
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_PUT = do_POST = handle_all

            def address_string(self):
                return "unix"

            def log_message(self, *arguments):
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.server = Server(str(self.socket), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"unix:{self.socket}"

    def serve(self, method, path, body, headers):
        for part, content in self.answer.items():
            if part in path:
                return 200, json.dumps(content).encode()
        if method == "PUT" and path.startswith("/v1/bundles/"):
            (self.folder / path.rpartition("/")[2]).write_bytes(body)
            return 201, b"{}"
        if method == "POST" and path.partition("?")[0] == "/v1/apps":
            return 201, json.dumps(self.deploy(json.loads(body))).encode()
        if path.startswith("/v1/apps/"):
            return self.about(path[len("/v1/apps/"):].partition("?")[0])
        if path.startswith("/v1/apps"):
            return 200, b'{"apps": []}'
        return self.honest.request(method, path)

    def about(self, rest):
        app = self.apps.get(rest.partition("/")[0])
        if app is None:
            return 404, b'{"error": {"code": "not-found", "message": "no such app"}}'
        if rest.endswith("/stop"):
            self.stop()
        if rest.endswith("/logs"):
            return 200, b""
        status = self.folder / app["id"] / "status.json"
        if status.exists():
            told = json.loads(status.read_text())
            app["status"], app["reason"] = told["status"], told["reason"]
        return 200, json.dumps(app).encode()

    def deploy(self, request):
        manifest = base64.b64decode(request["manifest"])
        original = json.loads(manifest)
        approval = base64.b64decode(request["manifest_signature"])
        tampered = self.tamper_manifest(manifest)
        if self.usurp and tampered != manifest:
            # What the owner did not sign, the node signs as an owner of its own.
            key = nacl.signing.SigningKey(bytes(32))
            changed = json.loads(tampered)
            changed["owner"]["key"] = base64.b64encode(key.verify_key.encode()).decode()
            tampered = json.dumps(changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            approval = base64.b64decode(attest_client.sign(bytes(32), "mse-manifest-v1", attest_client.measurement(tampered)))
        manifest = tampered
        decoded = json.loads(manifest)
        instance = original["instance_id"]
        app_folder = self.folder / instance
        app_folder.mkdir()
        (app_folder / "manifest.json").write_bytes(manifest)
        (app_folder / "manifest.sig").write_bytes(approval)
        bundle = (self.folder / original["app"]["bundle_sha256"]).read_bytes()
        (app_folder / "bundle").write_bytes(self.tamper_bundle(bundle))
        port = free_port()
        HostileNode.uid += 1
        (app_folder / "shim.json").write_text(json.dumps({
            "version": 1, "instance_id": instance, "image": str(self.image), "image_cache": str(self.folder / "image.cache"),
            "program": str(self.program), "lib_dir": str(self.lib_dir), "sim_dir": str(self.sim_dir), "uid": self.uid, "gid": self.uid,
            "port": port, "expires_at": decoded["limits"]["expires_at"], "log_size": 1 << 20, "restart_failures": 2, "restart_seconds": 60,
            "processes": 256, "open_files": 8192, "insecure_unlimited": False, "network_deny": []}))
        with (app_folder / "shim.err").open("wb") as errors:
            self.shims.append(subprocess.Popen([mse.BIN / "mse-shim", "--dir", app_folder], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors))
        shown_port = port
        if self.relay is not None:
            relay = self.relay(port)
            self.relays.append(relay)
            shown_port = relay.port
        host = original["tls"]["names"][0]
        instance_host = original["tls"]["names"][1]
        self.apps[instance] = {
            "id": instance, "name": original["app"]["name"], "project": original["app"]["project"], "owner": original["owner"]["key"],
            "address": host.partition(".")[0], "url": f"https://{host}:{shown_port}/", "instance_url": f"https://{instance_host}:{shown_port}/",
            "host": "127.0.0.1", "port": shown_port, "status": "spawning", "reason": None, "tee": "sim", "simulated": True,
            "measurement": hashlib.sha256(manifest).hexdigest(), "image": original["image"], "created_at": 0,
            "expires_at": original["limits"]["expires_at"], "stopped_at": None, "restarts": 0, "provisioned": False,
            "healthcheck_endpoint": original["app"]["healthcheck_endpoint"], "limits": original["limits"]}
        return self.apps[instance]

    def stop(self):
        for shim in self.shims:
            if shim.poll() is None:
                shim.terminate()
                try:
                    shim.wait(timeout=20 * mse.PATIENCE)
                except subprocess.TimeoutExpired:
                    shim.kill()
                    shim.wait()

    def close(self):
        self.stop()
        for relay in self.relays:
            relay.close()
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def everything(self):
        """All bytes that this node has got hold of: what was sent to it, and its files."""
        parts = list(self.received)
        for path in self.folder.rglob("*"):
            if path.is_file():
                parts.append(path.read_bytes())
        for relay in self.relays:
            parts.append(bytes(relay.seen))
        return b"\n".join(parts)


class TlsRelay:
    """A man in the middle: ends the TLS of the one side with a key of its own, and speaks TLS to the enclave on the other.
    `certificate` "plain" is self-signed; "quoted" also carries the quote of the enclave's own certificate. With `replay`
    it answers with session evidence that it was given itself, on an earlier connection."""

    def __init__(self, enclave_port, certificate="plain", replay=False):
        self.enclave_port = enclave_port
        self.replay = replay
        self.seen = bytearray()
        self.certificate = certificate
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.key = ec.generate_private_key(ec.SECP256R1())
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _context(self):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=5))
                   .not_valid_after(now + datetime.timedelta(hours=1))
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True))
        theirs = x509.load_der_x509_certificate(attest_client.Connection(self.enclave_port).leaf())
        for extension in theirs.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=False)
            elif isinstance(extension.value, x509.UnrecognizedExtension) and self.certificate == "quoted":
                builder = builder.add_extension(extension.value, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        path = f"/tmp/mse-relay-{self.port}.pem"
        with open(path, "wb") as file:
            file.write(signed.public_bytes(serialization.Encoding.PEM))
            file.write(self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        os.unlink(path)
        return context

    def _accept(self):
        context = None
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if context is None:
                    mse.wait_until(self._enclave_listens, what="the enclave behind the relay")
                    context = self._context()
                threading.Thread(target=self._serve, args=(context.wrap_socket(client, server_side=True),), daemon=True).start()
            except (OSError, AssertionError):
                client.close()

    def _enclave_listens(self):
        try:
            attest_client.Connection(self.enclave_port).close()
            return True
        except Exception:
            return False

    def _serve(self, client):
        """Request by request, so that an answer can be exchanged."""
        inner = ssl.create_default_context()
        inner.check_hostname = False
        inner.verify_mode = ssl.CERT_NONE
        server = inner.wrap_socket(socket.create_connection(("127.0.0.1", self.enclave_port)))
        try:
            while request := self._message(client):
                self.seen += request
                if self.replay and attest_client.EVIDENCE.encode() in request.partition(b"\r\n")[0]:
                    body = json.dumps(attest_client.Connection(self.enclave_port).evidence()).encode()
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    continue
                server.sendall(request)
                client.sendall(self._message(server))
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    @staticmethod
    def _message(peer):
        data = b""
        while b"\r\n\r\n" not in data:
            part = peer.recv(65536)
            if not part:
                return b""
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        length = next((int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(rest) < length:
            part = peer.recv(65536)
            if not part:
                return b""
            rest += part
        return head + b"\r\n\r\n" + rest
