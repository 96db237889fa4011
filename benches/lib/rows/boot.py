"""A diskless machine boots the test image by iPXE, from Stirrup and from tgt, which run the same
emulated guest (scripts/lab/boot-vm). A fresh disk for every boot."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile

from . import Row
from .. import process
from ..process import ROOT, Fault, run
from ..targets import Ceph, Daemon, Tgt

IMAGE = os.path.join(ROOT, "scripts/lab/golden-image")
BOOT = os.path.join(ROOT, "scripts/lab/boot-vm")
# Each takes half a minute.
MAX_REPEATS = 2
BOOT_TIMEOUT_S = 240
# The host's loopback, as a guest on QEMU's user network sees it.
HOST_IN_GUEST = "10.0.2.2"


def ipxe_script(url):
    """An iPXE script for a LUN on this machine's loopback."""
    portal, target, lun = url.removeprefix("iscsi://").split("/")
    port = portal.rsplit(":", 1)[1]
    return ("#!ipxe\nisset ${ip} || dhcp\nset keep-san 1\n"
            "sanboot --keep iscsi:%s:tcp:%s:%x:%s\n" % (HOST_IN_GUEST, port, int(lun), target))


def boot(bench, target):
    """Boots from `target`; seconds from iPXE's first line to the marker that the guest is up."""
    directory = tempfile.mkdtemp(prefix="boot.", dir=bench.work)
    script, told, log = (os.path.join(directory, name) for name in ("ipxe", "json", "log"))
    with open(script, "w") as out:
        out.write(ipxe_script(target.url))
    before = process.cpu_ns(target.pid)
    with open(log, "w") as console:
        done = subprocess.run(
            [BOOT, script, "--json", told, "--timeout", str(BOOT_TIMEOUT_S)], stdin=subprocess.DEVNULL, stdout=console,
            stderr=subprocess.STDOUT)
    if done.returncode:
        with open(log, errors="replace") as console:
            raise Fault("no boot from %s:\n%s" % (target.name, console.read()[-1500:]))
    with open(told) as report:
        phases = json.load(report)["phases_s"]
    return {
        "boot_s": phases["booted"] - phases["ipxe"],
        "target_cpu_s": process.cpu_seconds(target.pid, before),
    }


def compare(bench, outcome, case, stirrup, tgt):
    """Boots from both; `stirrup` and `tgt` start a target with a fresh disk."""

    def once(start):
        target = start()
        try:
            return boot(bench, target)
        finally:
            target.stop()

    repeats, bench.repeats = bench.repeats, min(bench.repeats, MAX_REPEATS)
    try:
        runs = bench.alternate("boot, " + case, {
            "stirrup": lambda: once(stirrup), "tgt": lambda: once(tgt)})
    finally:
        bench.repeats = repeats
    outcome.keep(case, runs)
    outcome.told(case, "with Stirrup", runs.median("stirrup", "boot_s"), "s")
    outcome.told(case, "with tgt", runs.median("tgt", "boot_s"), "s")
    outcome.at_most(case, "of tgt's time", 100 * runs.ratio("stirrup", "tgt", "boot_s"), 100, "%")


class Provisioned:
    """A daemon whose image is in the store, for boot after boot."""

    def __init__(self, bench, directory, image, ceph_conf=None):
        self.daemon = Daemon(bench.stirrupd, directory, None, ceph_conf, for_guests=True)
        self.name, self.pid, self.disks = "stirrup", self.daemon.pid, 0
        self.daemon.image("golden", image)

    def fresh(self):
        """Itself, with a fresh disk."""
        self.disks += 1
        self.url = self.daemon.disk("node%d" % self.disks, "golden")
        return self

    def stop(self):
        """The daemon goes on: it is ended by `end`."""

    def end(self):
        self.daemon.stop()


def measure(bench, outcome):
    image = run(IMAGE, timeout=900).split()[-1]
    local(bench, outcome, image)
    rbd(bench, outcome, image)
    outcome.note("From iPXE's first line to the guest's marker; the guest is emulated without "
                 "KVM, and most of the time is its own.")


def local(bench, outcome, image):
    directory = os.path.join(bench.work, "boot-local")
    copy = os.path.join(bench.work, "boot-tgt.raw")

    def tgt():
        run("cp", "--sparse=always", image, copy)
        return Tgt(os.path.join(bench.work, "boot-tgt"), ["file", copy], core=None)

    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        provisioned = Provisioned(bench, directory, image)
        stack.callback(provisioned.end)
        compare(bench, outcome, "local", provisioned.fresh, tgt)


def rbd(bench, outcome, image):
    clones = []
    with contextlib.ExitStack() as stack:
        ceph = Ceph()
        stack.callback(ceph.stop)
        provisioned = Provisioned(
            bench, os.path.join(bench.work, "boot-rbd"), image, ceph.conf)
        stack.callback(provisioned.end)
        ceph.rbd("import", "--no-progress", image, "rbd/tgt-golden")
        ceph.rbd("snap", "create", "--no-progress", "rbd/tgt-golden@base")

        def tgt():
            clones.append("rbd/tgt%d" % len(clones))
            ceph.rbd("clone", "--rbd-default-clone-format", "2", "rbd/tgt-golden@base",
                     clones[-1])
            return Tgt(os.path.join(bench.work, "boot-tgt-rbd"), ["rbd", clones[-1], ceph.conf],
                       core=None)

        compare(bench, outcome, "rbd", provisioned.fresh, tgt)


ROWS = [
    Row("boot", "boot of the test image (iPXE to marker), local and rbd",
        "time no longer than with tgt / tgt-rbd", 320, measure),
]
