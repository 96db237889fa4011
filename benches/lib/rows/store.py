"""Clones: in the local store, and out of the golden-image cache."""

import contextlib
import os

from . import Row
from ..clients import Load
from ..runs import measure
from ..targets import Daemon, Tgt


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


ROWS = [
    Row("local", "local store clone, 4 KiB random read and write, QD32",
        "at least 1.5 x tgt on a raw file on the same file system", 60, local),
]
