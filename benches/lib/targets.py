"""What is put under load: Stirrup, Debian's tgt, and the bare server that is the limit.

A target has a `name`, a `url`, a `pid` whose CPU time is counted, and is ended by `stop`.
"""

import os
import tempfile

from . import process
from .process import ROOT, Fault, host, run

TGT = os.path.join(ROOT, "scripts/lab/tgt")
CEPH = os.path.join(ROOT, "scripts/lab/ceph")

from vmlab import stirrup  # noqa: E402


class Quick:
    """stirrupd quick on one store (`["--memory", "512MiB"]`)."""

    name = "stirrup"

    def __init__(self, binary, store, core=0):
        command = [binary, "quick", *store, "--listen", "127.0.0.1:0"]
        self.process, self.url = process.serve(command, core)
        self.pid = self.process.pid
        if not self.url.startswith("iscsi://"):
            self.stop()
            raise Fault("%s printed no URL but %r" % (" ".join(command), self.url))

    def stop(self):
        host.end(self.process)


class Bare:
    """The load generator's server with no protocol behind it."""

    name = "bare"

    def __init__(self, loadgen, payload=4096, threads=1, core=0, spread_mib=0):
        self.payload = payload
        command = [loadgen, "bare-server", "--payload", str(payload), "--threads", str(threads),
                   "--spread", str(spread_mib)]
        self.process, self.url = process.serve(command, core)
        self.pid = self.process.pid

    def stop(self):
        host.end(self.process)


class Tgt:
    """Debian's tgt on one store (`["memory", "512M"]`), through the lab's script."""

    name = "tgt"

    def __init__(self, directory, store, core=0):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        # In a file, not a pipe: the daemon inherits it and would keep a pipe open.
        with open(os.path.join(directory, "up.log"), "a") as log:
            try:
                self.url = run(*process.pinned(core, [TGT, "up", directory, *store]),
                               stderr=log).split()[-1]
            except Fault as fault:
                with open(log.name) as said:
                    raise Fault("%s\n%s" % (fault, said.read()[-500:]))
        self.pid = int(run(TGT, "pid", directory))

    def stop(self):
        run(TGT, "down", self.directory)


class Daemon:
    """stirrupd with a catalog: disks are clones of the images that it is told to import."""

    name = "stirrup"

    def __init__(self, binary, directory, core=0, ceph_conf=None, **how):
        os.makedirs(directory, exist_ok=True)
        command = os.path.join(os.path.dirname(os.path.abspath(binary)), "stirrup")
        how.setdefault("for_guests", False)
        self.daemon = stirrup.Stirrup(
            binary, command, directory, ceph_conf, prefix=process.pinned(core, []), **how)
        try:
            self.daemon.start()
        except BaseException:
            self.daemon.close()
            raise
        self.directory = directory
        self.pid = self.daemon.process.pid
        self.url = None

    def blank_image(self, name, size_mib):
        """A golden image of nothing."""
        path = os.path.join(self.directory, name + ".raw")
        with open(path, "wb") as blank:
            blank.truncate(size_mib << 20)
        self.image(name, path)
        os.unlink(path)

    def image(self, name, path):
        """A golden image from a raw file."""
        self.daemon.command("import", "default", name, path)

    def disk(self, name, image):
        """Makes a disk; its URL."""
        return self.daemon.host_url(self.daemon.disk(name, image=image))

    def stop(self):
        self.daemon.close()


class Ceph:
    """A throw-away cluster, its data in memory."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="stirrup-bench.", dir="/dev/shm")
        try:
            # librbd's cache off, as Stirrup has it: fio and tgt shall have the same librbd.
            self.conf = run(
                CEPH, "up", self.directory, "--size", "12G", "--owner", str(os.getpid()),
                "--set", "rbd cache = false").split()[-1]
        except BaseException:
            self.stop()
            raise

    def rbd(self, *arguments):
        """Runs the rbd tool."""
        return run("rbd", "-c", self.conf, *arguments)

    def stop(self):
        run(CEPH, "destroy", self.directory)
