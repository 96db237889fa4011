"""The throw-away Linux guest: a script goes in, its output and exit status come out."""

import pathlib
import shlex
import subprocess
import sys

from . import checks, host, qemu

EXIT = "STIRRUP-LAB EXIT "
HUNG = 124
DIED = 125
_KERNEL_PARAMETERS = (
    "console=ttyS0 panic=-1 quiet loglevel=5 mitigations=off tsc=reliable random.trust_cpu=on"
    " cryptomgr.notests audit=0 apparmor=0 net.ifnames=0 scsi_mod.scan=sync"
)


def prepare():
    """Installs and builds what `run` needs, ahead of time."""
    host.need_packages(*host.QEMU_PACKAGES[:1])
    image()


def image():
    """The directory with the guest's kernel, initramfs and root; built if it is not there."""
    path = subprocess.run(
        [host.LAB_SCRIPTS / "guest-image"], check=True, stdout=subprocess.PIPE, text=True
    )
    return pathlib.Path(path.stdout.strip())


def run(script, on_line, environment=None, memory_mib=768, timeout_s=900):
    """Runs `script` (bash) in a guest and returns its exit status, or HUNG, or DIED.

    `on_line(seconds, text)` is called for each line of output while the guest runs.
    """
    prepare()
    files = image()
    with host.temporary_directory("guest") as work:
        work = pathlib.Path(work)
        (work / "script").write_text(script)
        (work / "environment").write_text(
            "".join(f"{k}={shlex.quote(str(v))}\n" for k, v in (environment or {}).items())
        )
        console = work / "console"
        status = None
        with qemu.Guest(_arguments(files, work, console, memory_mib), stderr=None) as guest:
            try:
                for seconds, text in guest.lines(timeout_s):
                    if text.startswith(EXIT):
                        status = int(text[len(EXIT) :])
                    else:
                        on_line(seconds, text)
            except TimeoutError as hung:
                print(f"guest: {hung}", file=sys.stderr)
                status = HUNG
        if status in (None, HUNG):
            end = console.read_text(errors="replace").splitlines()[-40:]
            print("guest: the end of its console:", *end, sep="\n", file=sys.stderr)
        return DIED if status is None else status


def run_checks(check, title, scripts, environment, on_line=None):
    """Runs bash files in a guest, one after the other; their PASS and FAIL lines count in `check`.

    The first defines `check` and the like, and `finish`, which is called at the end. `on_line(text)`
    sees each line of output."""
    text = "".join(path.read_text() for path in scripts) + "finish\n"
    failed = check.failed

    def take(seconds, line):
        check.guest_line(seconds, line)
        if on_line:
            on_line(line)

    def whole():
        status = run(text, take, environment)
        told = check.failed > failed
        checks.expect(status == 0 or (status == 1 and told), f"the guest ended with {status}")

    check.run(f"{title}: the guest ran to its end", whole)


def _arguments(files, work, console, memory_mib):
    return qemu.base_arguments(memory_mib) + [
        "-kernel", str(files / "vmlinux"), "-initrd", str(files / "initrd"),
        "-append", _KERNEL_PARAMETERS,
        "-drive", f"file={files / 'rootfs.ext4'},format=raw,if=none,id=root,snapshot=on",
        "-device", "virtio-blk-pci,drive=root",
        "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile=",
        "-fw_cfg", f"name=opt/stirrup/script,file={work / 'script'}",
        "-fw_cfg", f"name=opt/stirrup/environment,file={work / 'environment'}",
        "-serial", f"file:{console}", "-serial", "stdio",
    ]  # fmt: skip
