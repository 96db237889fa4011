"""A memory LUN under the project's own load generator: the cost of the protocol over a bare
server's, what a second shard brings, what digests cost."""

import contextlib
import os

from . import Row
from ..clients import Load, Loadgen
from ..runs import measure
from ..targets import Bare, Quick


def memory(bench, stack, shards=None, core=0):
    """A filled memory LUN, ended with `stack`."""
    options = ["--shards", str(shards)] if shards else []
    target = Quick(bench.stirrupd, ["--memory", "%dMiB" % bench.size, *options], core)
    stack.callback(target.stop)
    bench.loadgen.fill(target.url, bench.size)
    return target


def against_bare(bench, outcome):
    with contextlib.ExitStack() as stack:
        stirrup = memory(bench, stack, shards=1)
        servers = {}
        for name, mib in (("bare", 0), ("bare, spread", bench.size)):
            servers[name] = Bare(bench.loadgen.binary, spread_mib=mib)
            stack.callback(servers[name].stop)
        for sessions in (1, 4):
            case = "%d session%s" % (sessions, "s"[:sessions - 1])
            loads = {rw: Load("rand" + rw, "4K", 32, sessions) for rw in ("read", "write")}
            subjects = {
                rw: lambda load=load: measure(stirrup, lambda: bench.loadgen.load(
                    stirrup.url, load, bench.seconds, bench.size))
                for rw, load in loads.items()}
            for name, server in servers.items():
                subjects[name] = lambda server=server: measure(server, lambda: bench.loadgen.bare(
                    server, loads["read"], bench.seconds))
            runs = bench.alternate(case, subjects)
            outcome.keep(case, runs)
            for rw in loads:
                outcome.at_most(case, "the bare server's CPU per I/O, " + rw,
                                runs.ratio(rw, "bare", "target_cpu_us_per_io"), 3)
            outcome.told(case, "its CPU per I/O if its payloads are all over as much memory",
                         runs.ratio("bare, spread", "bare", "target_cpu_us_per_io"), "x")


def two_shards(bench, outcome):
    """One shard has a core to itself, two have both, less what the client takes of them."""
    load = Load("randread", "4K", 32, 4)
    with contextlib.ExitStack() as stack:
        anywhere = Loadgen(bench.loadgen.binary, core=None)
        subjects = {}
        for count, core, client in ((1, 0, bench.loadgen), (2, None, anywhere)):
            target = memory(bench, stack, count, core)
            subjects["stirrup %d" % count] = (
                lambda target=target, client=client: measure(target, lambda: client.skim(
                    target.url, load, bench.seconds, bench.size)))
            bare = Bare(bench.loadgen.binary, threads=count, core=core)
            stack.callback(bare.stop)
            subjects["bare %d" % count] = (
                lambda bare=bare, client=client: measure(bare, lambda: client.bare(
                    bare, load, bench.seconds, "--skim")))
        runs = bench.alternate("shards", subjects)
    case = "2 shards, 4 KiB read"
    outcome.keep(case, runs)
    outcome.at_least(case, "one shard's IOPS", runs.ratio("stirrup 2", "stirrup 1", "iops"), 1.7)
    outcome.told(case, "its target CPU per I/O",
                 runs.ratio("stirrup 2", "stirrup 1", "target_cpu_us_per_io"), "x")
    client, target = (runs.median("stirrup 2", key)
                      for key in ("client_cpu_us_per_io", "target_cpu_us_per_io"))
    outcome.told(case, "of all the CPU time the client's", 100 * client / (client + target), "%")
    outcome.told("the bare server, the same client", "one thread's IOPS with two",
                 runs.ratio("bare 2", "bare 1", "iops"), "x")
    if os.cpu_count() < 3:
        outcome.note("One shard has a core to itself, and the client the other; two shards share "
                     "both with the client, which even with the kernel throwing the data away "
                     "unread (`stirrup-loadgen skim`, 4 sessions at QD32) takes its part of them: "
                     "that is what two cores leave, to a bare server with two threads, too.")


def digests(bench, outcome):
    with contextlib.ExitStack() as stack:
        target = memory(bench, stack)
        for rw in ("read", "write"):
            load = Load(rw, "128K", 16)
            runs = bench.alternate("digests, " + rw, {
                name: lambda options=options: measure(target, lambda: bench.loadgen.load(
                    target.url, load, bench.seconds, bench.size, *options))
                for name, options in (
                    ("off", []), ("on", ["--header-digest", "--data-digest"]))})
            outcome.keep(rw, runs)
            outcome.at_most(rw, "below digests off", 100 - 100 * runs.ratio("on", "off", "iops"),
                            15, "%")
            for whose in ("target", "client"):
                outcome.told(rw, "of its CPU per I/O in the " + whose,
                             100 * runs.ratio("on", "off", whose + "_cpu_us_per_io"), "%")


ROWS = [
    Row("loadgen", "memory LUN, own load generator, 4 KiB read and write, QD32, 1 and 4 sessions",
        "target CPU per I/O at most 3 x that of a bare tokio server that answers a 48-byte "
        "request with 4 KiB", 65, against_bare),
    Row("shards", "the same on 2 shards", "IOPS at least 1.7 x one shard's", 45, two_shards),
    Row("digests", "CRC32C header and data digests on, 128 KiB, QD16",
        "at most 15% below digests off", 45, digests),
]
