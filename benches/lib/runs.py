"""Runs, repeated and alternating, and what is made of them."""

import collections
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from . import process
from .clients import Fio, FIO_ISCSI, Loadgen, children_cpu
from .process import LAB, ROOT, run


def measure(target, client):
    """One run, a call of `client`, with the target's and the client's CPU time per operation."""
    before, client_before = process.cpu_ns(target.pid), children_cpu()
    found = client()
    client_cpu, used = children_cpu() - client_before, process.cpu_seconds(target.pid, before)
    operations = max(found["operations"], 1)
    found["target_cpu_us_per_io"] = used * 1e6 / operations
    found["client_cpu_us_per_io"] = client_cpu * 1e6 / operations
    return found


class Runs:
    """The runs of several subjects: of each a list, in the order of the rounds."""

    def __init__(self):
        self.by_subject = collections.defaultdict(list)

    def median(self, subject, key):
        return statistics.median(found[key] for found in self.by_subject[subject])

    def ratio(self, above, below, key):
        """The median over the rounds of one subject's number by another's in the same round."""
        pairs = zip(self.by_subject[above], self.by_subject[below])
        return statistics.median(a[key] / b[key] for a, b in pairs)

    def difference(self, minuend, subtrahend, key):
        pairs = zip(self.by_subject[minuend], self.by_subject[subtrahend])
        return statistics.median(a[key] - b[key] for a, b in pairs)

    def medians(self):
        """Every subject's numbers, for the results."""
        return {
            subject: {key: round(self.median(subject, key), 3) for key in found[0]}
            for subject, found in self.by_subject.items()
        }


class Bench:
    """What a row needs to measure: programs, durations, a directory for its files."""

    def __init__(self, options):
        self.seconds, self.repeats, self.size = options.seconds, options.repeats, options.size
        self._stirrupd = options.stirrupd and os.path.abspath(options.stirrupd)
        loadgen = options.loadgen or self._built("-pstirrup-loadgen", "stirrup-loadgen")
        self.loadgen = Loadgen(os.path.abspath(loadgen))
        self._fio = None
        os.makedirs(LAB, exist_ok=True)
        self.work = tempfile.mkdtemp(prefix="bench.", dir=LAB)

    @staticmethod
    def _built(what, name):
        subprocess.run(["cargo", "build", "--release", what], cwd=ROOT, check=True)
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
        return os.path.join(target, "release", name)

    @property
    def stirrupd(self):
        """The daemon, `stirrup` beside it, built when it is first asked for."""
        if self._stirrupd is None:
            self._stirrupd = self._built("--bins", "stirrupd")
        return self._stirrupd

    @property
    def fio(self):
        """fio with the libiscsi engine, built when it is first asked for."""
        if self._fio is None:
            self._fio = Fio(run(FIO_ISCSI, timeout=900).strip())
        return self._fio

    @property
    def fio_built(self):
        """Path of that fio, if it was asked for."""
        return self._fio and self._fio.binary

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def alternate(self, title, subjects):
        """Runs each subject, a function that returns numbers, in turn, `repeats` times; every
        other round begins with the last, so that none always has the better place."""
        runs = Runs()
        for repeat in range(self.repeats):
            order = list(subjects.items())
            for name, subject in order[:: -1 if repeat % 2 else 1]:
                found = subject()
                runs.by_subject[name].append(found)
                say("  %s, %s: %s" % (title, name, ", ".join(
                    "%s %.4g" % (key, value) for key, value in found.items()
                    if key not in ("operations", "seconds", "mb_per_second"))))
        return runs


def say(text):
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)
