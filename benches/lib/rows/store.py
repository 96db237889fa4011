"""Clones: in the local store, out of the golden-image cache, and many of them at boot."""

import contextlib
import os
import re
import subprocess

from . import Row
from ..clients import Load
from ..process import ROOT, Fault, host
from ..runs import measure
from ..targets import Ceph, Daemon, Quick, Tgt

STORM = os.path.join(ROOT, "benches/boot-storm")
STORM_TIMEOUT_S = 600
STORM_RATIOS = re.compile(
    r"^ +(storm.*?) +([\d.]+) times one boot's bytes, ([\d.]+) times faster", re.M)
# Of the golden image that is read, all of it, from the cache.
GOLDEN_MIB = 128


def local(bench, outcome):
    """Stirrup's clone and tgt's raw file, both on the lab's file system, page cache and all."""
    with contextlib.ExitStack() as stack:
        path = os.path.join(bench.work, "tgt.img")
        with open(path, "wb") as image:
            image.truncate(bench.size << 20)
        stack.callback(os.unlink, path)
        # A write cache, as tgt's file has one.
        daemon = Daemon(bench.stirrupd, os.path.join(bench.work, "local"), write_cache=True)
        stack.callback(daemon.stop)
        daemon.blank_image("blank", bench.size)
        daemon.url = daemon.disk("bench", "blank")
        tgt = Tgt(os.path.join(bench.work, "tgt"), ["file", path])
        stack.callback(tgt.stop)
        for target in (daemon, tgt):
            bench.loadgen.fill(target.url, bench.size)
        for rw in ("read", "write"):
            load = Load("rand" + rw, "4K", 32)
            runs = bench.alternate(rw, {
                target.name: lambda target=target: measure(target, lambda: bench.fio.load(
                    target.url, load, bench.seconds, bench.size))
                for target in (daemon, tgt)})
            outcome.keep(rw, runs)
            outcome.at_least(rw, "tgt's IOPS", runs.ratio("stirrup", "tgt", "iops"), 1.5)
    outcome.note("Both acknowledge writes out of the page cache; fio libiscsi is the client.")


def golden(bench, outcome):
    """A clone that never wrote, its golden image in the cache, against a memory LUN."""
    with contextlib.ExitStack() as stack:
        def quick(*store):
            target = Quick(bench.stirrupd, list(store))
            stack.callback(target.stop)
            return target

        ceph = Ceph()
        stack.callback(ceph.stop)
        ceph.rbd("create", "golden", "--size", "%dM" % GOLDEN_MIB, "--image-feature",
                 "layering,exclusive-lock")
        source = Quick(bench.stirrupd, ["--rbd", "rbd/golden", "--ceph-conf", ceph.conf])
        try:
            bench.loadgen.fill(source.url, GOLDEN_MIB)
        finally:
            source.stop()
        ceph.rbd("snap", "create", "--no-progress", "rbd/golden@base")
        ceph.rbd("snap", "protect", "rbd/golden@base")
        ceph.rbd("clone", "rbd/golden@base", "rbd/clone", "--image-feature",
                 "layering,exclusive-lock,object-map,fast-diff")
        cached = quick("--rbd", "rbd/clone", "--ceph-conf", ceph.conf,
                       "--golden-memory", "%dMiB" % (2 * GOLDEN_MIB))
        memory = quick("--memory", "%dMiB" % GOLDEN_MIB)
        bench.loadgen.fill(memory.url, GOLDEN_MIB)
        # Twice: what is read once only need not be kept.
        for _ in range(2):
            bench.loadgen.read_all(cached.url, GOLDEN_MIB)
        load = Load("randread", "4K", 32)
        runs = bench.alternate("golden", {
            name: lambda target=target: measure(target, lambda: bench.loadgen.load(
                target.url, load, bench.seconds, GOLDEN_MIB))
            for name, target in (("cache", cached), ("memory", memory))})
    outcome.keep("QD32", runs)
    outcome.at_least("QD32", "of the memory LUN's IOPS",
                     100 * runs.ratio("cache", "memory", "iops"), 90, "%")
    outcome.told("QD32", "its CPU per I/O", runs.ratio("cache", "memory", "target_cpu_us_per_io"),
                 "x")
    outcome.note("A clone on RBD whose golden image of %d MiB is in the cache; the client is the "
                 "project's own load generator." % GOLDEN_MIB)


def storm(bench, outcome):
    """benches/boot-storm, which says itself what it measures."""
    process = host.spawn(
        [STORM, "--stirrupd", bench.stirrupd, "--stirrup",
         os.path.join(os.path.dirname(bench.stirrupd), "stirrup"),
         "--loadgen", bench.loadgen.binary],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = process.communicate(timeout=STORM_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Fault("boot-storm: no end after %d s" % STORM_TIMEOUT_S)
    finally:
        # It ends what it started, its cluster among it.
        host.end(process, grace_s=60)
    ratios = STORM_RATIOS.findall(said)
    if process.returncode or not ratios:
        raise Fault("boot-storm: exit code %d: %s" % (process.returncode, said[-1500:]))
    for case, times_bytes, times_faster in ratios:
        outcome.at_most(case, "one boot's bytes from Ceph", float(times_bytes), 1.1)
        outcome.at_least(case, "as fast as without the cache", float(times_faster), 5)
    outcome.numbers["said"] = [line.strip() for line in said.splitlines() if " s, " in line]


ROWS = [
    Row("local", "local store clone, 4 KiB random read and write, QD32",
        "at least 1.5 x tgt on a raw file on the same file system", 60, local),
    Row("golden", "golden-image cache hit, 4 KiB, QD32", "at least 90% of the memory LUN", 40,
        golden),
    Row("storm", "boot storm: 32 clones of one image replay the recorded boot trace at once",
        "bytes read from Ceph at most 1.1 x one boot's; wall time at least 5 x better than with "
        "the cache off", 120, storm),
]
