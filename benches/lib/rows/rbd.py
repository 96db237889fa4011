"""An RBD image: Stirrup and tgt-rbd, each loaded by the project's load generator, against fio's
own rbd engine, on the same image one after the other. A real cluster on this machine; nothing is
bound to a core."""

import os

from . import Row
from ..clients import FioRbd, Load, Loadgen
from ..runs import measure
from ..targets import Ceph, Quick, Tgt

IMAGE = "bench"


class Subjects:
    """The three ways to one image. Each opens it for its run and closes it after: the exclusive
    lock goes from one to the next, and the OSD sees the same objects from all."""

    def __init__(self, bench, conf):
        self.bench, self.conf = bench, conf
        self.loadgen = Loadgen(bench.loadgen.binary, core=None)
        self.fio = FioRbd(conf, IMAGE)

    def stirrup(self):
        return Quick(self.bench.stirrupd,
                     ["--rbd", "rbd/" + IMAGE, "--ceph-conf", self.conf], core=None)

    def tgt(self):
        directory = os.path.join(self.bench.work, "tgt-rbd")
        return Tgt(directory, ["rbd", "rbd/" + IMAGE, self.conf], core=None)

    def runs(self, title, load):
        bench = self.bench

        def through(start):
            target = start()
            try:
                # The first write takes the lock, which belongs to no I/O that is measured.
                self.loadgen.load(target.url, load, 0.2, bench.size)
                return measure(target, lambda: self.loadgen.load(
                    target.url, load, bench.seconds, bench.size))
            finally:
                target.stop()

        return bench.alternate(title, {
            "stirrup": lambda: through(self.stirrup),
            "fio-rbd": lambda: self.fio.load(load, bench.seconds, bench.size),
            "tgt-rbd": lambda: through(self.tgt),
        })


def cluster(bench, work):
    """Calls `work` with the subjects on a fresh cluster with one image, all of it written."""
    ceph = Ceph()
    try:
        ceph.rbd("create", IMAGE, "--size", "%dM" % bench.size, "--image-feature",
                 "layering,exclusive-lock")
        subjects = Subjects(bench, ceph.conf)
        target = subjects.stirrup()
        try:
            bench.loadgen.fill(target.url, bench.size)
        finally:
            target.stop()
        work(subjects)
    finally:
        ceph.stop()


def random(bench, outcome):
    def work(subjects):
        for rw in ("read", "write"):
            for depth in (1, 32, 128):
                case = "%s QD%d" % (rw, depth)
                runs = subjects.runs(case, Load("rand" + rw, "4K", depth))
                outcome.keep(case, runs)
                hold(outcome, case, runs)
                if depth == 1:
                    outcome.at_most(case, "added at p50",
                                    runs.difference("stirrup", "fio-rbd", "p50_us"), 60, "us")
                    outcome.told(case, "added by tgt-rbd",
                                 runs.difference("tgt-rbd", "fio-rbd", "p50_us"), "us")
                    outcome.told(case, "of tgt-rbd's CPU per I/O by fio's own rbd engine",
                                 100 * runs.ratio("fio-rbd", "tgt-rbd", "target_cpu_us_per_io"), "%")

    cluster(bench, work)
    outcome.note("CPU per I/O of fio's rbd engine is its process's, less what a run of one I/O "
                 "takes; of the targets, the daemon's with librbd. librbd's cache is off for all "
                 "three. Latencies are the load generator's, and fio's of completion, without "
                 "submission.")


def hold(outcome, case, runs):
    outcome.at_least(case, "of fio rbd's IOPS", 100 * runs.ratio("stirrup", "fio-rbd", "iops"),
                     90, "%")
    outcome.above(case, "tgt-rbd's IOPS", runs.ratio("stirrup", "tgt-rbd", "iops"), 1)
    outcome.at_most(case, "of CPU per I/O above fio rbd's",
                    runs.difference("stirrup", "fio-rbd", "target_cpu_us_per_io"), 5, "us")
    outcome.at_most(case, "of tgt-rbd's CPU per I/O",
                    100 * runs.ratio("stirrup", "tgt-rbd", "target_cpu_us_per_io"), 60, "%")


def sequential(bench, outcome):
    def work(subjects):
        for rw, bar in (("read", 1.35), ("write", 1.75)):
            runs = subjects.runs(rw, Load(rw, "128K", 32))
            outcome.keep(rw, runs)
            outcome.at_least(rw, "of fio rbd's MB/s",
                             100 * runs.ratio("stirrup", "fio-rbd", "iops"), 90, "%")
            outcome.at_least(rw, "tgt-rbd's MB/s", runs.ratio("stirrup", "tgt-rbd", "iops"), bar)
            outcome.told(rw, "tgt-rbd's MB/s by fio's own rbd engine",
                         runs.ratio("fio-rbd", "tgt-rbd", "iops"), "x")

    cluster(bench, work)


ROWS = [
    Row("rbd-random", "rbd image, 4 KiB random read and write, QD1, 32, 128",
        "IOPS at least 90% of fio's rbd engine on the same image and above tgt-rbd's everywhere; "
        "the daemon's CPU per I/O, librbd included, at most fio-rbd's own + 5 us and at most 60% "
        "of tgt-rbd's; added latency at QD1 at most 60 us at p50 (tgt-rbd adds 180)", 260, random),
    Row("rbd-sequential", "rbd image, 128 KiB sequential, QD32",
        "at least 90% of fio's rbd engine, 1.35 x tgt-rbd reading, 1.75 x writing", 100,
        sequential),
]
