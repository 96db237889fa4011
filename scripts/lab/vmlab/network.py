"""A network that machines boot in: a namespace with a tap device, and dnsmasq, which tells them by
DHCP where their boot script is."""

import os
import pathlib
import shutil
import subprocess

from . import host

PACKAGES = ["dnsmasq-base", "iproute2", "ipxe", "util-linux"]
IPXE = pathlib.Path("/usr/lib/ipxe")
ADDRESS = "10.99.0.1"
TAP = "tap0"

# What docs/boot.md says, which is what is tried here, and what the lab needs besides. iPXE waits
# 16 s where nobody advertises a router.
DOCUMENT = host.REPO / "docs" / "boot.md"
MARK = "<!-- tried by tests/vm/boot -->\n```ini\n"
MORE = """\
bind-interfaces
dhcp-leasefile={leases}
dhcp-range=fd99::,ra-only
enable-ra
"""


def documented():
    """dnsmasq's configuration out of the document."""
    _, _, rest = DOCUMENT.read_text().partition(MARK)
    text, end, _ = rest.partition("```")
    if not end:
        raise host.LabError(f"{DOCUMENT} has no block after {MARK!r}")
    return text


class Network:
    """A namespace; what is to be in it is run with `prefix` before it. Nothing of it is outside."""

    def __init__(self, directory, boot_port):
        self.directory = pathlib.Path(directory)
        self.boot_port = boot_port
        self.log = self.directory / "dnsmasq.log"
        self._processes = []
        # Who is not root can have a namespace if users may have some.
        self._as_user = [] if os.geteuid() == 0 else ["--user"]
        self.prefix = []

    def __enter__(self):
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self):
        root = ["--map-root-user"] if self._as_user else []
        holder = host.spawn(
            ["unshare", *self._as_user, *root, "--net", "sh", "-c", "echo up; exec sleep infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self._processes.append(holder)
        if holder.stdout.readline() != b"up\n":
            raise host.LabError("no network namespace can be made: run this as root")
        credentials = ["--preserve-credentials"] if self._as_user else []
        self.prefix = ["nsenter", "-t", str(holder.pid), *self._as_user, *credentials, "--net"]
        for line in (
            "link set lo up",
            f"tuntap add dev {TAP} mode tap",
            f"address add {ADDRESS}/24 dev {TAP}",
            f"address add fd99::1/64 dev {TAP} nodad",
            f"link set {TAP} up",
        ):
            subprocess.run([*self.prefix, "ip", *line.split()], check=True, stdin=subprocess.DEVNULL)
        self._start_dnsmasq()

    def _start_dnsmasq(self):
        tftp = self.directory / "tftp"
        tftp.mkdir()
        for name in ("undionly.kpxe", "snponly.efi"):
            shutil.copy(IPXE / name, tftp)
        config = self.directory / "dnsmasq.conf"
        text = documented()
        for theirs, ours in (
            ("eth1", TAP), ("192.0.2.", ADDRESS.rpartition(".")[0] + "."), ("/srv/tftp", str(tftp)),
            (":8080/", f":{self.boot_port}/"),
        ):  # fmt: skip
            if theirs not in text:
                raise host.LabError(f"{DOCUMENT} does not have {theirs} in dnsmasq's configuration")
            text = text.replace(theirs, ours)
        config.write_text(text + MORE.format(leases=self.directory / "leases"))
        # It does not become another user, who could not read the lab's directory.
        with self.log.open("wb") as log:
            dnsmasq = ["dnsmasq", "--no-daemon", f"--conf-file={config}"]
            self._processes.append(
                host.spawn(
                    [*self.prefix, *dnsmasq], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )

    def __exit__(self, *_):
        for process in reversed(self._processes):
            host.end(process, grace_s=5)

    def log_end(self, lines=30):
        """The end of what dnsmasq has said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
