"""What was measured with: machine and versions."""

import os
import platform
import re
import subprocess
import time

from .process import ROOT


def describe(machine):
    """A machine in a line."""
    return "%(cpu)s, %(cores)d cores, %(memory_gib)d GiB, Linux %(kernel)s, %(system)s" % machine


def machine():
    """The machine without its name."""
    with open("/proc/cpuinfo") as info:
        cpu = re.search(r"^model name\s*: (.*)", info.read(), re.M)
    with open("/proc/meminfo") as info:
        memory = re.search(r"^MemTotal:\s*(\d+) kB", info.read(), re.M)
    with open("/etc/os-release") as release:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', release.read(), re.M)
    return {
        "cpu": cpu[1] if cpu else "unknown",
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20),
        # The version alone: what a vendor appends may name a site.
        "kernel": re.match(r"[\d.]*\d", platform.release())[0],
        "system": system[1] if system else "unknown",
    }


def busy_percent(seconds=1):
    """How much of the cores others take while nothing of ours runs: what there is to distrust."""
    def times():
        with open("/proc/stat") as stat:
            ticks = [int(word) for word in stat.readline().split()[1:9]]
        # Idle and waiting for a disk; user and nice hold what guests take.
        return sum(ticks), ticks[3] + ticks[4]

    all_before, idle_before = times()
    time.sleep(seconds)
    all_after, idle_after = times()
    passed = max(all_after - all_before, 1)
    return round(100 - 100 * (idle_after - idle_before) / passed, 1)


def revision():
    """The tree's commit, marked if it was changed since."""
    git = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    done = subprocess.run(git, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "unknown"


def versions(fio=None):
    """What was compared: versions of the peers by their package, of those that are there."""
    found = {}
    for package in ("tgt", "tgt-rbd", "ceph-osd", "librbd1", "qemu-system-x86"):
        query = ["dpkg-query", "-W", "-f", "${Version}", package]
        done = subprocess.run(
            query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if done.returncode == 0 and done.stdout:
            found[package] = done.stdout
    if fio:
        found["fio"] = os.path.basename(os.path.realpath(fio)).removeprefix("fio-")
    return found
