"""What run-libiscsi tests: Stirrup on each of its stores, and Debian's tgt.

Each has `start`, which returns the URLs it serves by what they are for: `plain`, and where it has
them `second` (another path to `plain`), `chap` (CHAP is required) and `read-only`. `dead` says why
it no longer runs, `stop` ends it; it may be started again. `close` is the last.
"""

import contextlib
import os
import pathlib
import select
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lab"))
from vmlab import checks, host, stirrup  # noqa: E402

SIZE_MIB = 1024
CHAP = {"user": "suite", "secret": "what-the-suite-proves"}


class Failed(Exception):
    """A target does not start; the text says why."""


def with_chap(url):
    """The URL with the suite's CHAP name and secret in it."""
    return url.replace("iscsi://", "iscsi://%s%%%s@" % (CHAP["user"], CHAP["secret"]), 1)


class Quick:
    """One LUN of `stirrupd quick`."""

    def __init__(self, stirrupd, arguments, log):
        self.command = [stirrupd, "quick", *arguments, "--listen", "127.0.0.1:0"]
        self.log = log
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = host.spawn(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline().decode().strip() if ready else ""
        if not line.startswith("iscsi://"):
            self.stop()
            words = " ".join(map(str, self.command))
            raise Failed("%s printed no iscsi:// URL but %r; its log is %s" % (words, line, self.log))
        return line

    def dead(self, suspect):
        return end_of(self.process, suspect)

    def stop(self):
        if self.process is None:
            return
        host.end(self.process)
        self.process.stdout.close()
        self.process = None


def end_of(process, suspect):
    """How a process ended, or None while it runs; a suspect gets a moment to finish dying."""
    try:
        return "exit code %d" % process.wait(0.5 if suspect else 0)
    except subprocess.TimeoutExpired:
        return None


class Memory:
    """A memory LUN of `stirrupd quick`, and the like of it with CHAP and read-only."""

    name = "memory"
    block_bytes = 512

    def __init__(self, options, _directory, log):
        memory = ["--memory", "%dMiB" % SIZE_MIB, "--block-size", str(self.block_bytes)]
        chap = ["--chap", "%s:%s" % (CHAP["user"], CHAP["secret"])]
        self.luns = {
            "plain": Quick(options.stirrupd, memory, log),
            "chap": Quick(options.stirrupd, memory + chap, log),
            "read-only": Quick(options.stirrupd, memory + ["--read-only"], log),
        }

    def start(self):
        urls = {what: lun.start() for what, lun in self.luns.items()}
        return {**urls, "second": urls["plain"], "chap": with_chap(urls["chap"])}

    def dead(self, suspect):
        ends = [lun.dead(suspect) for lun in self.luns.values()]
        return next(filter(None, ends), None)

    def stop(self):
        for lun in self.luns.values():
            lun.stop()

    def close(self):
        """Nothing is left after `stop`."""


class Memory4096(Memory):
    """The same with logical blocks of 4096 bytes."""

    name = "memory-4096"
    block_bytes = 4096


class Store:
    """A daemon with clones of an empty image in one of its stores, on two portals."""

    def __init__(self, options, directory, log):
        self.options = options
        self.directory = pathlib.Path(directory)
        self.log = log
        self.stack = contextlib.ExitStack()
        self.daemon = None
        self.read_only = None

    def start(self):
        if self.daemon is None:
            self._make()
        else:
            self.daemon.start()
        plain = self.daemon.disk("plain", image="blank")
        chap = self.daemon.disk("chap", image="blank", chap=CHAP)
        target = plain["boot"]["iqn"] + "/%d" % plain["boot"]["lun"]
        return {
            "plain": self.daemon.host_url(plain),
            "second": "iscsi://[::1]:%d/%s" % (self.daemon.port6, target),
            "chap": with_chap(self.daemon.host_url(chap)),
            "read-only": self.read_only.start(),
        }

    def _make(self):
        check = checks.Checks(self.name)
        # In memory: the suite writes block by block, and each waits to be durable.
        self.daemon = stirrup.fresh(
            self.stack, check, self.options, self.name, True, ipv6=True, for_guests=False
        )
        self.stack.callback(self._keep_log)
        blank = self.daemon.directory / "blank.raw"
        with blank.open("wb") as f:
            f.truncate(SIZE_MIB << 20)
        check.must("an empty image", self.daemon.command, "import", "default", "blank", blank)
        self.read_only = Quick(
            self.options.stirrupd, [*self.read_only_source(), "--read-only"], self.log
        )

    def _keep_log(self):
        with open(self.log, "ab") as log:
            log.write(self.daemon.log.read_bytes())

    def dead(self, suspect):
        return end_of(self.daemon.process, suspect) or self.read_only.dead(suspect)

    def stop(self):
        self.read_only.stop()
        if self.daemon.running():
            self.daemon.stop()

    def close(self):
        self.stack.close()


class Local(Store):
    """The local copy-on-write store. Nothing makes a disk of it read-only: memory stands in."""

    name = "local"

    def read_only_source(self):
        return ["--memory", "%dMiB" % SIZE_MIB]


class Rbd(Store):
    """Ceph, a cluster of its own."""

    name = "rbd"

    def read_only_source(self):
        conf = self.daemon.directory / "ceph" / "ceph.conf"
        size = "%dM" % SIZE_MIB
        checks.output_of("rbd", "--conf", conf, "create", "rbd/read-only", "--size", size)
        return ["--rbd", "rbd/read-only", "--ceph-conf", conf]


class Tgt:
    """Debian's tgt, through the lab's script."""

    name = "tgt"
    script = ROOT / "scripts" / "lab" / "tgt"

    def __init__(self, _options, directory, _log):
        self.directory = directory

    def _run(self, action, *arguments):
        command = [self.script, action, self.directory, *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def start(self):
        done = self._run("up", "memory", "%dM" % SIZE_MIB)
        if done.returncode:
            raise Failed("tgt does not start: try %s up DIR memory 1024M" % self.script)
        url = done.stdout.split()[-1]
        return {"plain": url, "second": url}

    def dead(self, suspect):
        return "tgtd died" if self._run("pid").returncode else None

    def stop(self):
        self._run("down")

    def close(self):
        """Nothing is left after `stop`."""
