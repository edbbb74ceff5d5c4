"""What the test runner says and counts, and how it runs a process."""
import os
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return "\033[%sm%s\033[0m" % (code, text) if COLOUR else text


def say(text=""):
    print(text, flush=True)


# A case that fails is run once more, alone. When it passes then, it counts as passed and is named
# as unsteady, with all that its first run said: a machine may stall for a second, but more than
# these few in one run are no accident, and count as failed.
UNSTEADY_LIMIT = 3
NEVER_AN_ACCIDENT = ("Sanitizer", "runtime error: ", "assertion failed: ", "terminate called")


def may_be_run_again(output):
    """Whether a failure may be the machine's; what a sanitizer or an assertion says never is."""
    return not any(text in output for text in NEVER_AN_ACCIDENT)


class Totals:
    """Counts, shared by the threads that run executables side by side."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.unsteady = []

    def passes(self, count=1):
        with self.lock:
            self.passed += count

    def fails(self, name, output):
        with self.lock:
            self.failed += 1
            self.failures.append(name)
            say(paint("31", "FAILED  ") + name)
            for line in output.rstrip().splitlines()[-400:]:
                say("    | " + line)

    def wavers(self, name, output):
        """A case that failed, and passed when it was run again alone."""
        with self.lock:
            say(paint("33", "UNSTEADY ") + name + " (passed when it was run again)")
            for line in output.rstrip().splitlines()[-400:]:
                say("    | " + line)
            self.unsteady.append(name)
            if len(self.unsteady) <= UNSTEADY_LIMIT:
                self.passed += 1
                return
            self.failed += 1
            self.failures.append("%s (the %dth unsteady case; %d are let pass)"
                                 % (name, len(self.unsteady), UNSTEADY_LIMIT))

    def skips(self, name, reason):
        with self.lock:
            self.skipped += 1
            say(paint("33", "skipped ") + "%s: %s" % (name, reason or "no reason given"))

    def line(self):
        return "%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped)


class Timeout(Exception):
    pass


def run_process(command, output, deadline, env=None, pass_fds=()):
    """Runs a command with its output in a file; its whole process group dies with it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                               stderr=subprocess.STDOUT, env=env, cwd=ROOT, pass_fds=pass_fds,
                               start_new_session=True)
    try:
        return process.wait(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Timeout() from None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def describe_exit(status):
    if status < 0:
        try:
            return "killed by " + signal.Signals(-status).name
        except ValueError:
            return "killed by signal %d" % -status
    return "exit status %d" % status


def summarize(label, passed, bad, started):
    """One line for one executable or file."""
    say("  %s %s: %d passed%s, %.1f s" % (paint("31", "--") if bad else paint("32", "ok"), label, passed,
                                         ", %d failed" % bad if bad else "", time.monotonic() - started))
