"""A stirrupd with the doors of M2 and of a smart proxy, for tests of these."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HANG = 60
FOREMAN = "foreman.example.org"
failed = 0


def check(what, got, wanted):
    global failed
    good = got == wanted
    failed += not good
    print(f"{'ok    ' if good else 'FAILED'} {what}" + ("" if good else f": {got!r}, not {wanted!r}"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("stirrup", timeout=HANG)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(HANG)
        self.sock.connect(self.path)


class Daemon:
    """Below a directory of its own, on loopback; a context manager."""

    def __init__(self, stirrupd):
        self.scratch = scratch = tempfile.mkdtemp(prefix="doors.", dir=os.environ.get("STIRRUP_LAB"))
        self.picasso, self.proxy, portal = free_port(), free_port(), free_port()
        self.certificates()
        with open(f"{scratch}/toml", "w", encoding="ascii") as file:
            file.write(
                f'state_dir = "{scratch}/state"\n'
                f'[control]\nsocket = "{scratch}/control"\n'
                f'[target]\nportals = ["127.0.0.1:{portal}"]\nadvertise = ["192.0.2.7"]\n'
                f'[store.local]\ndirectory = "{scratch}/local"\n'
                f'[compat.picasso]\nlisten = "127.0.0.1:{self.picasso}"\n'
                f'[compat.smart_proxy]\nlisten = "127.0.0.1:{self.proxy}"\n'
                f'certificate = "{scratch}/proxy.pem"\nkey = "{scratch}/proxy.key"\n'
                f'client_ca = "{scratch}/ca.pem"\n')
        log = open(f"{scratch}/log", "ab")
        self.process = subprocess.Popen([stirrupd, "run", "--config", f"{scratch}/toml"],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + HANG
        while True:
            try:
                self.call("GET", "/v1/health")
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"stirrupd does not start: {open(f'{scratch}/log').read()}")
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(HANG)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=self.scratch,
                       capture_output=True, timeout=HANG)

    def certificates(self):
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab CA",
                     "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
        self.certificate("proxy", "localhost", "DNS:localhost,IP:127.0.0.1")
        self.certificate("foreman", FOREMAN, f"DNS:{FOREMAN}")

    def certificate(self, name, cn, alternative):
        """NAME.pem and NAME.key, of the authority that clients are let in by."""
        with open(f"{self.scratch}/{name}.ext", "w", encoding="ascii") as file:
            file.write(f"subjectAltName={alternative}\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={cn}",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-out", f"{name}.pem", "-days", "2",
                     "-extfile", f"{name}.ext")

    def call(self, method, path, body=None):
        connection = UnixHttp(f"{self.scratch}/control")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def golden(self, project, name):
        path = f"{self.scratch}/{name}"
        with open(path, "wb") as file:
            file.write(b"\7" * 8192)
        job = self.call("POST", f"/v1/projects/{project}/images", {"name": name, "file": path})
        while job["state"] in ("queued", "running"):
            time.sleep(0.05)
            job = self.call("GET", f"/v1/jobs/{job['id']}")
        assert job["state"] == "succeeded", job
