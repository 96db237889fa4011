"""A stirrupd of the test's own, with its catalog, store and sockets in temporary directories."""

import http.client
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import tempfile
import urllib.parse

from . import host
from .checks import CheckFailed, output_of
from .network import ADDRESS

READY_TIMEOUT_S = 120
IQN_PREFIX = "iqn.2026-01.org.example"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=300)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Stirrup:
    """The daemon and its command. `start` and `kill` may alternate: the state stays.

    Initiators on this machine reach it at 127.0.0.1 and ::1. What it advertises are the addresses
    that these have in a guest on QEMU's user network, unless it is not `for_guests`. The local
    store has a `write_cache` or not; `prefix` is a command that runs the daemon (taskset). With a
    `network` (network.Network) it is in there, on two ports, and serves boot scripts as well.
    """

    def __init__(
        self, stirrupd, stirrup, directory, ceph_conf=None, *, ipv6=False, for_guests=True,
        write_cache=False, prefix=(), network=None,
    ):  # fmt: skip
        self.stirrupd = pathlib.Path(stirrupd).resolve()
        self.stirrup = pathlib.Path(stirrup).resolve()
        self.directory = pathlib.Path(directory)
        # Sockets have short paths (sun_path), the lab's directory may not.
        self._sockets = pathlib.Path(tempfile.mkdtemp(prefix="stirrup."))
        self.socket = self._sockets / "control"
        self.log = self.directory / "stirrupd.log"
        self.process = None
        self.prefix = list(prefix) + (network.prefix if network else [])
        self.network = network
        self.address = ADDRESS if network else "127.0.0.1"
        self.port = 3260 if network else host.free_port()
        self.port6 = host.free_port("::1") if ipv6 else None
        self.config = self.directory / "stirrup.toml"
        self.config.write_text(self._configuration(ceph_conf, for_guests, write_cache))

    def _configuration(self, ceph_conf, for_guests, write_cache):
        portals = [f"{self.address}:{self.port}"]
        advertise = [f"10.0.2.2:{self.port}"]
        if self.network:
            portals.append(f"{self.address}:{self.port + 1}")
            for_guests = False
        if self.port6:
            portals.append(f"[::1]:{self.port6}")
            advertise.append(f"[fec0::2]:{self.port6}")
        if not for_guests:
            advertise = portals
        text = f"""\
state_dir = "{self.directory}/state"
default_store = "{"rbd" if ceph_conf else "local"}"
[control]
socket = "{self.socket}"
[target]
portals = {json.dumps(portals)}
advertise = {json.dumps(advertise)}
iqn_prefix = "{IQN_PREFIX}"
[store.local]
directory = "{self.directory}/store"
write_cache = {json.dumps(write_cache)}
"""
        if self.network:
            text += f'[boot]\nlisten = ["{self.address}:{self.network.boot_port}"]\n'
        if ceph_conf:
            text += f'[store.rbd]\npool = "rbd"\nceph_conf = "{ceph_conf}"\n'
        return text

    def close(self):
        """Ends the daemon, if it runs, and removes its sockets."""
        if self.running():
            self.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def running(self):
        """It was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts the daemon; returns when it says that it serves (sd_notify)."""
        notify_path = self._sockets / "notify"
        notify_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(notify_path))
            with self.log.open("ab") as log:
                self.process = host.spawn(
                    [*self.prefix, self.stirrupd, "--config", self.config],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "NOTIFY_SOCKET": str(notify_path)},
                )
            self._wait_ready(notify)

    def _wait_ready(self, notify):
        poll = select.poll()
        poll.register(notify, select.POLLIN)
        pidfd = os.pidfd_open(self.process.pid)
        try:
            poll.register(pidfd, select.POLLIN)
            while True:
                events = dict(poll.poll(READY_TIMEOUT_S * 1000))
                if notify.fileno() in events:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return
                elif pidfd in events:
                    raise CheckFailed(
                        f"stirrupd ended with {self.process.wait()}; its log:\n{self.log_end()}"
                    )
                else:
                    raise CheckFailed(
                        f"stirrupd did not say READY within {READY_TIMEOUT_S} s; its log:\n"
                        + self.log_end()
                    )
        finally:
            os.close(pidfd)

    def kill(self):
        """kill -9: what a power cut or a bug does to it."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; its exit status."""
        return host.end(self.process, grace_s=60)

    def log_end(self, lines=25):
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def command(self, *arguments):
        """Runs `stirrup` with the arguments; its standard output."""
        done = subprocess.run(
            [self.stirrup, "--socket", self.socket, *map(str, arguments)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        if done.returncode != 0:
            raise CheckFailed(
                f"stirrup {' '.join(map(str, arguments))}: exit {done.returncode}\n"
                + done.stdout + done.stderr
            )  # fmt: skip
        return done.stdout

    def call(self, method, path, body=None):
        """One call of the control API; the decoded answer. CheckFailed carries a problem's text."""
        connection = _UnixConnection(self.socket)
        try:
            headers = {"content-type": "application/json"} if body is not None else {}
            data = json.dumps(body) if body is not None else None
            connection.request(method, "/v1" + path, data, headers)
            response = connection.getresponse()
            text = response.read().decode()
        except OSError as wrong:
            raise CheckFailed(f"{method} {path}: {wrong}; stirrupd's log:\n{self.log_end()}")
        finally:
            connection.close()
        if response.status >= 400:
            raise CheckFailed(f"{method} {path}: {response.status} {text}")
        if not text:
            return None
        kind = response.headers.get_content_type()
        return json.loads(text) if kind == "application/json" else text

    def disk(self, name, image="debian", project="default", **fields):
        """Makes a disk (a clone and its target), or finds it made; what the API says of it."""
        path = f"/projects/{project}/disks/{urllib.parse.quote(name)}"
        return self.call("PUT", path, {"image": image, **fields})

    def host_url(self, disk):
        """The disk's URL for libiscsi on this machine."""
        return f"iscsi://{self.address}:{self.port}/{disk['boot']['iqn']}/{disk['boot']['lun']}"


def fresh(stack, check, options, store="local", in_memory=False, **how):
    """A daemon with an empty catalog and store, that ends with `stack` (an ExitStack); for rbd
    together with a Ceph cluster of its own. `in_memory`: nothing of it is on a disk. `how`: what
    `Stirrup` takes by name. Raises Abandoned if it does not come up."""
    temporary = host.temporary_directory("stirrup", in_memory)
    directory = pathlib.Path(stack.enter_context(temporary))
    conf = None
    if store == "rbd":
        conf = check.must("rbd: a Ceph cluster", _ceph_cluster, stack, directory / "ceph")
    daemon = Stirrup(options.stirrupd, options.stirrup, directory, conf, **how)
    stack.callback(daemon.close)
    check.must(f"{store}: start stirrupd", daemon.start)
    return daemon


def _ceph_cluster(stack, directory):
    ceph = host.LAB_SCRIPTS / "ceph"
    conf = output_of(ceph, "up", directory, "--owner", os.getpid()).strip()
    stack.callback(output_of, ceph, "destroy", directory)
    return conf


def add_arguments(parser):
    """The arguments of every test that starts a daemon."""
    for name in ("stirrupd", "stirrup"):
        parser.add_argument(
            f"--{name}",
            type=pathlib.Path,
            default=host.REPO / "target" / "release" / name,
            metavar="PATH",
            help="default: %(default)s",
        )


def check_binaries(options):
    """Raises LabError unless both programs are there."""
    for path in (options.stirrupd, options.stirrup):
        if not os.access(path, os.X_OK):
            raise host.LabError(f"there is no {path}: run `cargo build --release`, or name another")
