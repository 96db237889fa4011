"""A gateway with a thousand targets and a session on each."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

from . import Row
from .. import process
from ..clients import Load
from ..process import Fault, host
from ..runs import measure, say
from ..targets import Daemon

COUNT = 1000
DISK_MIB = 64
# Longer than nop_in_interval_seconds: every session is pinged in it.
IDLE_S = 32


@contextlib.contextmanager
def gateway(bench, disks, core=0):
    """A daemon with so many disks in its local store, in memory: its disk is not measured."""
    directory = tempfile.mkdtemp(prefix="stirrup-bench.", dir="/dev/shm")
    daemon = None
    try:
        daemon = Daemon(bench.stirrupd, os.path.join(directory, "d"), core)
        empty = process.resident_bytes(daemon.pid)
        daemon.blank_image("blank", DISK_MIB)
        yield daemon, [daemon.disk("node%d" % n, "blank") for n in range(disks)], empty
    finally:
        if daemon:
            daemon.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Holder:
    """A session on each URL, from an address of its own, logged in at once."""

    def __init__(self, bench, urls, hold):
        path = os.path.join(bench.work, "urls")
        with open(path, "w") as out:
            out.writelines(url + "\n" for url in urls)
        self.process = host.spawn(
            [bench.loadgen.binary, "sessions", path, "--own-addresses", "--read",
             *(["--hold"] if hold else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Fault("stirrup-loadgen sessions: ended with %d" % host.end(self.process))
        self.storm = json.loads(line)
        if self.storm["errors"]:
            self.stop()
            raise Fault("%(errors)d logins failed, the first: %(first_error)s" % self.storm)

    def stop(self):
        """Logs all of them out."""
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            host.end(self.process)
            raise Fault("the sessions do not log out")
        if self.process.returncode:
            raise Fault("the idle sessions ended with %d" % self.process.returncode)


def idle(bench, outcome):
    kib = 1 << 10
    with gateway(bench, 1) as (other, urls, _), gateway(bench, COUNT + 1) as (daemon, all_urls,
                                                                             empty):
        other.url, (daemon.url, *node_urls) = urls[0], all_urls
        for target in (other, daemon):
            bench.loadgen.fill(target.url, DISK_MIB)
        with_targets = process.resident_bytes(daemon.pid)
        holder = Holder(bench, node_urls, hold=True)
        try:
            with_sessions = process.resident_bytes(daemon.pid)
            say("  idle for %d s" % IDLE_S)
            before = process.cpu_ns(daemon.pid)
            time.sleep(IDLE_S)
            used = process.cpu_seconds(daemon.pid, before)
            load = Load("randread", "4K", 1)
            runs = bench.alternate("one active session", {
                name: lambda target=target: measure(target, lambda: bench.loadgen.load(
                    target.url, load, bench.seconds, DISK_MIB))
                for name, target in (("empty", other), ("full", daemon))})
        finally:
            holder.stop()
    outcome.keep("one active session", runs)
    case = "%d of each" % COUNT
    outcome.at_most(case, "a session", (with_sessions - with_targets) / COUNT / kib, 64, "KiB")
    outcome.at_most(case, "a target", (with_targets - empty) / COUNT / kib, 64, "KiB")
    outcome.at_most("idle", "of a core", 100 * used / IDLE_S, 1, "%")
    outcome.at_most("one active session, QD1 p50", "above an empty gateway's",
                    100 * runs.ratio("full", "empty", "p50_us") - 100, 10, "%")
    outcome.note("Resident memory of the daemon (Rss); every idle session has read from its disk "
                 "and is pinged once in the %d s." % IDLE_S)


def storm(bench, outcome):
    storms = []
    with gateway(bench, COUNT, core=None) as (_, urls, _):
        for _ in range(bench.repeats):
            holder = Holder(bench, urls, hold=False)
            holder.stop()
            storms.append(holder.storm)
            say("  storm: %(logins_per_second).0f logins/s, slowest %(max_ms).0f ms" % storms[-1])
    middle = sorted(storms, key=lambda storm: storm["logins_per_second"])[len(storms) // 2]
    outcome.numbers["storms"] = storms
    outcome.at_least("all at once", "logins a second", middle["logins_per_second"], 500, "")
    outcome.at_most("all at once", "the slowest",
                    max(storm["max_ms"] for storm in storms) / 1e3, 2, "s")
    outcome.note("%d targets, every session from an address of its own, all begun at the same "
                 "moment by a client on the same cores." % COUNT)


ROWS = [
    Row("idle-sessions", "1,000 targets, 1,000 idle sessions",
        "at most 64 KiB each; idle CPU under 1% of a core; 4 KiB read latency of one active "
        "session within 10% of an empty gateway's", 80, idle),
    Row("login-storm", "login storm, 1,000 sessions",
        "at least 500 logins a second; no login slower than 2 s", 30, storm),
]
