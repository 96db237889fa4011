"""What puts targets under load. A run returns a dictionary of numbers: operations, iops,
mb_per_second, p50_us and p99_us, as far as the client knows them."""

import collections
import json
import os
import resource
import subprocess

from . import process
from .process import ROOT, Fault, run

Load = collections.namedtuple("Load", "rw block_size queue_depth sessions", defaults=(1,))

FIO_ISCSI = os.path.join(ROOT, "scripts/lab/fio-iscsi")


class Loadgen:
    """The project's own load generator."""

    name = "loadgen"

    def __init__(self, binary, core=1):
        self.binary, self.core = binary, core

    def _run(self, *arguments, core=None):
        return json.loads(run(*process.pinned(core, [self.binary, *map(str, arguments)])))

    def load(self, url, load, seconds, size_mib, *options):
        found = self._run(
            "run", url, "--json", "--seconds", seconds, "--rw", load.rw,
            "--block-size", load.block_size, "--queue-depth", load.queue_depth,
            "--sessions", load.sessions, "--size", "%dM" % size_mib, *options, core=self.core)
        keys = ("operations", "iops", "mb_per_second", "p50_us", "p99_us")
        return {key: found[key] for key in keys}

    def bare(self, target, load, seconds, *options):
        """The same from a bare server."""
        return self._run(
            "bare-client", target.url, "--payload", target.payload, "--seconds", seconds,
            "--queue-depth", load.queue_depth, "--sessions", load.sessions, *options,
            core=self.core)

    def skim(self, url, load, seconds, size_mib):
        """Reads whose data nobody looks at."""
        return self._run(
            "skim", url, "--seconds", seconds, "--block-size", load.block_size,
            "--queue-depth", load.queue_depth, "--sessions", load.sessions,
            "--size", "%dM" % size_mib, core=self.core)

    def fill(self, url, size_mib):
        """Writes the whole used range, so that no read is answered out of a hole."""
        run(self.binary, "run", url, "--fill", "--operations", "1", "--size", "%dM" % size_mib)

    def read_all(self, url, size_mib):
        """Reads the whole used range once, in order."""
        run(self.binary, "run", url, "--rw", "read", "--block-size", "64K",
            "--operations", str(size_mib * 16), "--seconds", "120", "--size", "%dM" % size_mib)


def fio_report(text):
    """The numbers of a fio run with one group."""
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"]:
        raise Fault("fio: error %d" % job["error"])
    # One of the two is all zeros.
    side = max(job["read"], job["write"], key=lambda side: side["total_ios"])
    percentiles = side["clat_ns"].get("percentile", {})
    return {
        "operations": side["total_ios"],
        "iops": side["iops"],
        "mb_per_second": side["bw_bytes"] / 1e6,
        "p50_us": percentiles.get("50.000000", 0) / 1e3,
        "p99_us": percentiles.get("99.000000", 0) / 1e3,
    }


def fio_arguments(load, seconds, size_mib):
    """What every engine is told; with no `seconds`, to do one I/O."""
    # numjobs are processes, each with its own session.
    return [
        "--name=load", "--rw=" + load.rw, "--bs=" + load.block_size,
        "--iodepth=%d" % load.queue_depth, "--numjobs=%d" % load.sessions,
        "--size=%dM" % size_mib,
        *(["--time_based", "--runtime=%g" % max(seconds, 1)] if seconds else ["--number_ios=1"]),
        "--group_reporting", "--output-format=json", "--norandommap", "--randrepeat=0",
        "--random_generator=tausworthe64"]


class Fio:
    """fio with the libiscsi engine: an initiator that other people's figures are made with."""

    name = "fio"

    def __init__(self, binary, core=1):
        self.binary, self.core = binary, core

    def load(self, url, load, seconds, size_mib):
        return fio_report(run(
            *process.pinned(self.core, [
                self.binary, "--ioengine=libiscsi", "--filename=" + url.replace(":", r"\:"),
                *fio_arguments(load, seconds, size_mib)]),
            stderr=subprocess.DEVNULL))


def children_cpu():
    """CPU time of all children that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class FioRbd:
    """Debian's fio with its rbd engine: librbd without a network protocol before it."""

    name = "fio-rbd"

    def __init__(self, conf, image):
        process.host.need_packages(["fio"])
        self.environment = {**os.environ, "CEPH_CONF": conf}
        self.image = image
        # What starting fio and connecting to the cluster costs is no part of an I/O.
        costs = []
        for _ in range(3):
            before = children_cpu()
            self._run(Load("randread", "4K", 1), None, 1)
            costs.append(children_cpu() - before)
        self.start_cpu_s = sorted(costs)[1]

    def _run(self, load, seconds, size_mib):
        return fio_report(run(
            "/usr/bin/fio", "--ioengine=rbd", "--clientname=admin", "--pool=rbd",
            "--rbdname=" + self.image, *fio_arguments(load, seconds, size_mib),
            env=self.environment, stderr=subprocess.DEVNULL))

    def load(self, load, seconds, size_mib):
        before = children_cpu()
        found = self._run(load, seconds, size_mib)
        used = children_cpu() - before - self.start_cpu_s
        found["target_cpu_us_per_io"] = used * 1e6 / max(found["operations"], 1)
        return found
