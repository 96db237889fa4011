"""Processes: started, ended and measured."""

import os
import select
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LAB = os.path.abspath(os.environ.get("STIRRUP_LAB", os.path.join(ROOT, "target/lab")))

sys.path.insert(0, os.path.join(ROOT, "scripts/lab"))
from vmlab import host  # noqa: E402

# Of anything that is run to its end: it hangs, and with it the report.
RUN_TIMEOUT_S = 300
# Of a server, until it says where it serves.
START_TIMEOUT_S = 60


class Fault(Exception):
    """Something that ends what is under way, in a line or a few."""


def run(*command, timeout=RUN_TIMEOUT_S, **options):
    """Runs a command to its end and returns its stdout."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            timeout=timeout, **options)
    except subprocess.TimeoutExpired:
        raise Fault("%s: no end after %d s" % (shlex.join(map(str, command)), timeout))
    if done.returncode:
        said = (done.stderr or "").strip()[-500:]
        raise Fault("%s: exit code %d %s" % (
            shlex.join(map(str, command)), done.returncode, said))
    return done.stdout


def pinned(core, command):
    """The command, bound to a core (None: to none) where there are cores to choose from."""
    bind = core is not None and os.cpu_count() > 1
    return ["taskset", "-c", str(core), *command] if bind else list(command)


def serve(command, core, **options):
    """Starts a server that prints its address in one line; the process and that line."""
    process = host.spawn(
        pinned(core, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        **options)
    # The line comes in one write, and with it the end of the wait.
    told, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline().strip() if told else ""
    if not line:
        raise Fault("%s: did not say where it serves; exit code %d" % (
            shlex.join(map(str, command)), host.end(process)))
    return process, line


def cpu_ns(pid):
    """CPU time of each thread of a process so far, in nanoseconds."""
    times = {}
    for thread in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as stat:
                times[thread] = int(stat.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # the thread has just ended
    return times


def cpu_seconds(pid, before=None):
    """CPU time of a process, since `before` (of cpu_ns) was taken."""
    before = before or {}
    return sum(ns - before.get(thread, 0) for thread, ns in cpu_ns(pid).items()) / 1e9


def resident_bytes(pid):
    """Memory of a process in RAM, all threads, with what it shares."""
    with open("/proc/%d/smaps_rollup" % pid) as rollup:
        for line in rollup:
            if line.startswith("Rss:"):
                return int(line.split()[1]) << 10
    raise Fault("no Rss of process %d" % pid)
