"""Guests under QEMU: the arguments all of them share, and their consoles line by line."""

import os
import re
import selectors
import subprocess
import time

from . import host

# Under TCG a CPU with SSE4.2 (for crc32c) but without what TCG lacks. Nested or partial KVM is
# common on CI machines and boots nothing, so it is used only where asked for.
ACCEL = {
    "tcg": ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off"],
    "kvm": ["-accel", "kvm", "-cpu", "host"],
}
_CONTROL = re.compile(rb"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()c][0-9A-Z]?|[^\t\x20-\x7e]")


def base_arguments(memory_mib=768, cpus=2):
    """QEMU without devices but a serial port to add to; it exits where a machine would reboot."""
    accel = os.environ.get("STIRRUP_LAB_ACCEL", "tcg")
    if accel not in ACCEL:
        raise host.LabError(f"STIRRUP_LAB_ACCEL={accel}: use one of {', '.join(ACCEL)}")
    return [
        "qemu-system-x86_64", "-machine", "q35,smm=off,graphics=off", *ACCEL[accel],
        "-m", str(memory_mib), "-smp", str(cpus), "-no-reboot", "-nodefaults", "-no-user-config",
        "-display", "none", "-monitor", "none", "-device", "virtio-rng-pci",
    ]  # fmt: skip


class Guest:
    """A running QEMU, whose standard output is one of the guest's serial ports."""

    def __init__(self, arguments, stderr):
        self.started = time.monotonic()
        self.process = host.spawn(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        host.end(self.process, grace_s=5)

    def age(self):
        """Seconds since power-on."""
        return time.monotonic() - self.started

    def lines(self, timeout_s):
        """Yields (seconds since power-on, text) for each line until QEMU ends.

        Raises TimeoutError if the guest is still there after `timeout_s`: a guest that hangs.
        """
        stream = self.process.stdout
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                left = timeout_s - self.age()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError(f"the guest did not end within {timeout_s} s")
                chunk = os.read(stream.fileno(), 65536)
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole if chunk else [pending]:
                    text = _CONTROL.sub(b"", line).decode("ascii").rstrip()
                    if text:
                        yield self.age(), text
                if not chunk:
                    self.process.wait()
                    return
