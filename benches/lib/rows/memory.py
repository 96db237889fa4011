"""A memory LUN under fio's libiscsi engine, against tgt on a file in /dev/shm; target on core 0,
client on core 1."""

import contextlib
import os
import subprocess
import time

from . import Row
from .. import process
from ..clients import Load
from ..process import host
from ..runs import measure
from ..targets import Bare, Quick, Tgt

IDLE_S = 5


@contextlib.contextmanager
def pair(bench):
    """Stirrup and tgt on a memory LUN each, filled."""
    with contextlib.ExitStack() as stack:
        targets = []
        for start in (
            lambda: Quick(bench.stirrupd, ["--memory", "%dMiB" % bench.size]),
            lambda: Tgt(os.path.join(bench.work, "tgt"), ["memory", "%dM" % bench.size]),
        ):
            target = start()
            stack.callback(target.stop)
            bench.loadgen.fill(target.url, bench.size)
            targets.append(target)
        yield targets


def against_tgt(bench, outcome, case, targets, load):
    """fio's runs on both; what they came to."""
    runs = bench.alternate(case, {
        target.name: lambda target=target: measure(target, lambda: bench.fio.load(
            target.url, load, bench.seconds, bench.size))
        for target in targets})
    outcome.keep(case, runs)
    return runs


def cpu_against_tgt(outcome, case, runs):
    outcome.at_most(case, "of tgt's CPU per I/O",
                    100 * runs.ratio("stirrup", "tgt", "target_cpu_us_per_io"), 100 / 6, "%")


def one_deep(bench, outcome):
    with pair(bench) as targets:
        load = Load("randread", "4K", 1)
        runs = against_tgt(bench, outcome, "QD1", targets, load)
        outcome.at_least("QD1", "tgt's IOPS", runs.ratio("stirrup", "tgt", "iops"), 2.5)
        outcome.at_most("QD1", "of tgt's p50", 100 * runs.ratio("stirrup", "tgt", "p50_us"),
                        40, "%")
        idle(bench, outcome, targets[0])


def idle(bench, outcome, target):
    """CPU of a daemon with a session that is logged in and asks for nothing."""
    urls = os.path.join(bench.work, "one.urls")
    with open(urls, "w") as out:
        out.write(target.url + "\n")
    holder = host.spawn(
        [bench.loadgen.binary, "sessions", urls, "--read", "--hold"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdout.readline()
        before = process.cpu_ns(target.pid)
        time.sleep(IDLE_S)
        used = process.cpu_seconds(target.pid, before)
    finally:
        host.end(holder)
    outcome.at_most("idle, one session", "of a core", 100 * used / IDLE_S, 0.1, "%")


def deep(bench, outcome):
    with pair(bench) as targets:
        for sessions in (1, 4):
            for depth in (32, 128):
                case = "QD%d, %d session%s" % (depth, sessions, "s"[:sessions - 1])
                load = Load("randread", "4K", depth, sessions)
                runs = against_tgt(bench, outcome, case, targets, load)
                outcome.at_least(case, "tgt's IOPS", runs.ratio("stirrup", "tgt", "iops"), 3.6)
                cpu_against_tgt(outcome, case, runs)


def write(bench, outcome):
    with pair(bench) as targets:
        runs = against_tgt(bench, outcome, "QD32", targets, Load("randwrite", "4K", 32))
        outcome.at_least("QD32", "tgt's IOPS", runs.ratio("stirrup", "tgt", "iops"), 2.2)
        cpu_against_tgt(outcome, "QD32", runs)


def sequential(bench, outcome):
    with pair(bench) as targets:
        for rw, bar in (("read", 2.6), ("write", 3.7)):
            runs = against_tgt(bench, outcome, rw, targets, Load(rw, "128K", 16))
            outcome.at_least(rw, "tgt's MB/s", runs.ratio("stirrup", "tgt", "iops"), bar)
        against_bare(bench, outcome, targets[0], Load("read", "128K", 16))
    outcome.note("The bare sender answers 48 bytes with 48 and 128 KiB of the same memory; both "
                 "it and Stirrup are read by the project's own load generator.")


def against_bare(bench, outcome, stirrup, load):
    bare = Bare(bench.loadgen.binary, 128 << 10)
    try:
        runs = bench.alternate("read, bare", {
            "stirrup": lambda: measure(stirrup, lambda: bench.loadgen.load(
                stirrup.url, load, bench.seconds, bench.size)),
            "bare": lambda: measure(bare, lambda: bench.loadgen.bare(bare, load, bench.seconds)),
        })
    finally:
        bare.stop()
    outcome.keep("read, bare sender", runs)
    outcome.at_least("read", "of a bare sender's MB/s", 100 * runs.ratio("stirrup", "bare", "iops"),
                     80, "%")


ROWS = [
    Row("memory-qd1", "memory LUN, 4 KiB random read, fio libiscsi, QD1",
        "IOPS at least 2.5 x tgt, p50 at most 40% of tgt's, without busy polling (an idle daemon "
        "uses no CPU)", 30, one_deep),
    Row("memory-deep", "the same at QD32 and QD128, 1 and 4 sessions",
        "at least 3.6 x tgt; target CPU per I/O at most 1/6 of tgt's", 95, deep),
    Row("memory-write", "memory LUN, 4 KiB random write, fio libiscsi, QD32",
        "at least 2.2 x tgt; target CPU per I/O at most 1/6 of tgt's", 25, write),
    Row("memory-sequential", "memory LUN, 128 KiB sequential, QD16",
        "read at least 2.6 x tgt and 80% of a bare TCP sender with the same chunk size; write at "
        "least 3.7 x tgt", 70, sequential),
]
