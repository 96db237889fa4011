"""PASS and FAIL lines, one per check, and an exit status that tells."""

import subprocess
import sys
import time
import traceback


class CheckFailed(Exception):
    """What a check found wrong, in a line or a few."""


class Abandoned(Exception):
    """A check failed that those after it build on."""


class Checks:
    """Counts checks and prints a line for each one as it ends."""

    def __init__(self, name):
        self.name = name
        self.started = time.monotonic()
        self.passed = 0
        self.failed = 0

    def run(self, title, function, *args, **kwargs):
        """Runs a check: a function that returns, or raises to say what is wrong.

        Returns what the function returned, or None after a failure.
        """
        started = time.monotonic()
        try:
            result = function(*args, **kwargs)
        except CheckFailed as wrong:
            self._line(False, title, started, str(wrong))
        except subprocess.CalledProcessError as wrong:
            output = (wrong.stdout or b"") + (wrong.stderr or b"")
            text = output if isinstance(output, str) else output.decode(errors="replace")
            command = " ".join(str(word) for word in wrong.cmd)
            self._line(False, title, started, f"{command}: exit {wrong.returncode}\n{text}")
        except Exception:
            self._line(False, title, started, traceback.format_exc())
        else:
            self._line(True, title, started)
            return result
        return None

    def must(self, title, function, *args, **kwargs):
        """As `run`; after a failure raises Abandoned: what comes next makes no sense."""
        failed = self.failed
        result = self.run(title, function, *args, **kwargs)
        if self.failed > failed:
            raise Abandoned(title)
        return result

    def guest_line(self, seconds, text):
        """Takes a line of a guest's output (`seconds` after power-on); its checks count here."""
        if text.startswith("PASS "):
            self.passed += 1
        elif text.startswith("FAIL "):
            self.failed += 1
        print(f"{text:72} at {seconds:.1f} s", flush=True)

    def finish(self):
        """Prints the sum; returns the exit status."""
        seconds = time.monotonic() - self.started
        verdict = "PASS" if self.failed == 0 and self.passed > 0 else "FAIL"
        print(
            f"{verdict} {self.name}: {self.passed} passed, {self.failed} failed,"
            f" {seconds:.0f} s",
            flush=True,
        )
        return 0 if verdict == "PASS" else 1

    def _line(self, passed, title, started, detail=""):
        seconds = time.monotonic() - started
        self.passed += passed
        self.failed += not passed
        print(f"{'PASS' if passed else 'FAIL'} {title} ({seconds:.1f} s)", flush=True)
        for line in detail.strip().splitlines()[-25:]:
            print(f"     {line}", flush=True)


def expect(condition, what):
    """Raises CheckFailed with `what` unless the condition holds."""
    if not condition:
        raise CheckFailed(what)


def output_of(*argv, **kwargs):
    """Standard output of a program; CalledProcessError (with its output) if it fails."""
    done = subprocess.run(
        [str(a) for a in argv], check=True, capture_output=True, stdin=subprocess.DEVNULL, **kwargs
    )
    return done.stdout.decode(errors="replace")


def fails(*argv):
    """Checks that a program fails, and returns all it said."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, stdin=subprocess.DEVNULL)
    said = (done.stdout + done.stderr).decode(errors="replace")
    expect(done.returncode != 0, f"{' '.join(str(a) for a in argv)} succeeded:\n{said}")
    return said


def stop_with(problem):
    """Ends the program because the lab, not the product, is at fault."""
    print(f"{sys.argv[0].rsplit('/', 1)[-1]}: {problem}", file=sys.stderr)
    sys.exit(2)
