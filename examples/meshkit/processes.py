"""Child processes that never outlive their parent, and waiting for what they say.

Nothing here sleeps for a fixed time in the hope that something has happened: every wait looks at a
condition, returns as soon as it holds, and fails with the evidence when its deadline passes.
"""
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Failure(Exception):
    """Something that was waited for has not happened."""


def wait_for(condition, what, seconds=15.0):
    """Polls until condition() is truthy and returns that; a callable `what` is asked only on failure."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure("not within %g s: %s" % (seconds, what() if callable(what) else what))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def tail(text, lines=25):
    return "\n".join("    | " + line for line in text.rstrip().splitlines()[-lines:])


class Process:
    """A child with its output in two files, NAME.out and NAME.err, in the folder it runs in.

    Start it from the main thread: it is killed when the thread that started it ends, so that even
    a killed parent leaves nothing behind.
    """

    def __init__(self, name, command, folder, env=None, own_session=False, pass_fds=()):
        self.name = name
        self.command = [str(part) for part in command]
        self.folder = str(folder)
        self.out_path = os.path.join(self.folder, name + ".out")
        self.err_path = os.path.join(self.folder, name + ".err")
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(self.command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=err, start_new_session=own_session, pass_fds=pass_fds,
                                          preexec_fn=_die_with_parent)
        self.pid = self.popen.pid

    @staticmethod
    def _read(path):
        with open(path, encoding="utf-8", errors="replace") as content:
            return content.read()

    @property
    def out(self):
        return self._read(self.out_path)

    @property
    def err(self):
        return self._read(self.err_path)

    def running(self):
        return self.popen.poll() is None

    def evidence(self):
        state = "running" if self.running() else "ended with status %s" % self.popen.returncode
        return "%s is %s\n  stdout:\n%s\n  stderr:\n%s" % (self.name, state, tail(self.out), tail(self.err))

    def wait_for(self, condition, what, seconds=15.0):
        """Like wait_for, but gives up as soon as the process has ended."""
        def check():
            alive = self.running()
            found = condition()
            if not found and not alive:
                raise Failure("%s ended before: %s\n%s" % (self.name, what() if callable(what) else what, self.evidence()))
            return found
        return wait_for(check, lambda: "%s\n%s" % (what() if callable(what) else what, self.evidence()), seconds)

    def wait_for_line(self, pattern, seconds=15.0, stream="err"):
        """The match of a regular expression in what the process has written."""
        compiled = re.compile(pattern, re.MULTILINE)
        return self.wait_for(lambda: compiled.search(getattr(self, stream)), "a line like " + pattern, seconds)

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, seconds=30.0):
        """The exit status; fails when the process does not end in time."""
        try:
            return self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure("%s did not end within %g s\n%s" % (self.name, seconds, self.evidence())) from None

    def stop(self, seconds=5.0):
        """SIGTERM, and SIGKILL when that does not help; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


ADDRESS = r"address=(?:\[[0-9a-f:.]+\]|[0-9.]+):(\d+)"


class SidecarProcess(Process):
    """tulle-sidecar. Listeners on port 0 choose a free port; port() says which."""

    def __init__(self, binary, name, config_path, folder, env=None, own_session=False, arguments=()):
        super().__init__(name, [binary, "--config", config_path, *arguments], folder, env, own_session)

    def port(self, listener, seconds=15.0):
        """The port of a listener, or of "admin", as the sidecar announces it when it starts."""
        what = r"\badmin " if listener == "admin" else r"\blistening name=%s " % re.escape(listener)
        return int(self.wait_for_line(what + ADDRESS, seconds).group(1))


def unused_port():
    """A port nobody listens on at the moment of the call, for programs that cannot choose one.

    Somebody else may take it before it is used: prefer port 0 wherever that is possible.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
