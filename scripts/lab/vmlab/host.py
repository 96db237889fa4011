"""The machine the lab runs on: its packages, its directories, child processes."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

LAB_SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
REPO = LAB_SCRIPTS.parent.parent
LAB = pathlib.Path(os.environ.get("STIRRUP_LAB", REPO / "target" / "lab")).absolute()

# qemu-utils apart: where it is a backport, qemu-system-x86 has it removed first.
QEMU_PACKAGES = [
    ["qemu-system-x86", "ipxe-qemu", "seabios", "ovmf"],
    ["qemu-utils", "qemu-block-extra"],
]


class LabError(Exception):
    """The lab itself cannot do its work; the text says what to do."""


def need_packages(*groups):
    """Installs the Debian packages that are missing; each group in an apt run of its own."""
    for group in groups:
        subprocess.run(
            ["bash", "-euc", '. "$0"; need_packages "$@"', LAB_SCRIPTS / "common.sh", *group],
            check=True,
        )


def temporary_directory(name, in_memory=False):
    """A directory under the lab's own, or `in_memory`, gone when the context ends."""
    if in_memory:
        return tempfile.TemporaryDirectory(prefix=name + ".", dir="/dev/shm")
    (LAB / "tmp").mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=name + ".", dir=LAB / "tmp")


def free_port(address="127.0.0.1"):
    """A TCP port that nobody listens on now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def spawn(argv, **kwargs):
    """Starts a child in a process group of its own, so that Ctrl-C reaches only the driver."""
    return subprocess.Popen([str(a) for a in argv], start_new_session=True, **kwargs)


def end(process, grace_s=20):
    """Ends a child: SIGTERM, and SIGKILL if it does not listen. Returns its exit status."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        return process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def end_on_sigterm():
    """SIGTERM unwinds like Ctrl-C, so that children are ended and directories removed."""

    def stop(number, _frame):
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
