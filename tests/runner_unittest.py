"""Runs unittest files for the test runner, each in a process of its own.

    runner_unittest.py FILE DESCRIPTOR TEXT    the child: reports its cases on a descriptor
"""
import glob
import importlib.util
import json
import os
import sys
import tempfile
import time
import traceback
import unittest

from runner_report import ROOT, Timeout, describe_exit, run_process, summarize


class EventResult(unittest.TestResult):
    """In the child process: one JSON line per case, with the place of its output in the log."""

    def __init__(self, out):
        super().__init__()
        self.out = out
        self.verdict = None

    def emit(self, **event):
        self.out.write(json.dumps(event) + "\n")
        self.out.flush()

    def position(self):
        sys.stdout.flush()
        sys.stderr.flush()
        return os.fstat(1).st_size

    def startTest(self, test):
        super().startTest(test)
        self.verdict = ("passed", "")
        self.emit(start=test.id(), at=self.position())

    def stopTest(self, test):
        self.emit(end=test.id(), verdict=self.verdict[0], detail=self.verdict[1], at=self.position())
        super().stopTest(test)

    def _failed(self, test, error):
        detail = "".join(traceback.format_exception(*error))
        if not hasattr(test, "_testMethodName"):  # setUpClass, setUpModule: no startTest came
            self.emit(start=str(test), at=self.position())
            self.emit(end=str(test), verdict="failed", detail=detail, at=self.position())
        elif self.verdict and self.verdict[0] == "failed":
            self.verdict = ("failed", self.verdict[1] + "\n" + detail)
        else:
            self.verdict = ("failed", detail)

    def addError(self, test, err):
        self._failed(test, err)

    def addFailure(self, test, err):
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._failed(test, err[:1] + (err[1], err[2]))
            self.verdict = ("failed", "%s\n%s" % (subtest, self.verdict[1]))

    def addSkip(self, test, reason):
        if not hasattr(test, "_testMethodName"):
            self.emit(start=str(test), at=self.position())
            self.emit(end=str(test), verdict="skipped", detail=reason, at=self.position())
        else:
            self.verdict = ("skipped", reason)

    def addExpectedFailure(self, test, err):
        self.verdict = ("passed", "")

    def addUnexpectedSuccess(self, test):
        self.verdict = ("failed", "unexpected success")


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def unittest_child(path, descriptor, text):
    """Runs one file's cases in this process and reports them on a descriptor."""
    for folder in (ROOT, os.path.join(ROOT, "tests", "support"), os.path.dirname(path)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    name = os.path.splitext(os.path.basename(path))[0]
    with os.fdopen(descriptor, "w") as out:
        result = EventResult(out)
        try:
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        except unittest.SkipTest as skip:
            result.emit(start=name, at=0)
            result.emit(end=name, verdict="skipped", detail=str(skip), at=0)
            return
        wanted = [test for test in flatten(suite) if not text or text in path + " " + test.id()]
        unittest.TestSuite(wanted).run(result)
        result.emit(done=len(wanted))


def run_unittest(context, path, deadline, env=None):
    label = os.path.relpath(path, ROOT)
    started = time.monotonic()
    passed = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        events_path = os.path.join(folder, "events")
        timed_out, status = False, 0
        with open(log, "ab") as out, open(events_path, "wb") as events:
            descriptor = events.fileno()
            command = [sys.executable, os.path.abspath(__file__), path, str(descriptor),
                       context.filter or ""]
            try:
                status = run_process(command, out, deadline, env or context.env, pass_fds=(descriptor,))
            except Timeout:
                timed_out = True
        with open(log, "rb") as content:
            output = content.read()
        with open(events_path) as content:
            events = [json.loads(line) for line in content if line.endswith("\n")]

    def part(begin, end):
        return output[begin:end].decode(errors="replace")

    current, done = None, False
    for event in events:
        if "start" in event:
            current = event
        elif "end" in event:
            name = "%s %s" % (label, event["end"].split(".", 1)[-1])
            remember(context, name, event["verdict"], event["detail"])
            if event["verdict"] == "passed":
                passed += 1
                context.totals.passes()
            elif event["verdict"] == "skipped":
                context.totals.skips(name, event["detail"])
            else:
                bad += 1
                context.totals.fails(name, part(current["at"], event["at"]) + event["detail"])
            current = None
        else:
            done = True
    if current is not None:
        bad += 1
        why = "timed out" if timed_out else describe_exit(status)
        name = "%s %s" % (label, current["start"].split(".", 1)[-1])
        remember(context, name, "failed", why)
        context.totals.fails(name, part(current["at"], None) + "\n" + why)
    elif timed_out:
        bad += 1
        context.totals.fails(label, "timed out\n" + part(max(0, len(output) - 4000), None))
    elif status != 0 or not (done or events):
        bad += 1
        context.totals.fails(label, part(max(0, len(output) - 8000), None) + "\n" + describe_exit(status))
    if passed or bad:
        summarize(label, passed, bad, started)


def remember(context, name, verdict, detail):
    """For groups that keep what each case came to."""
    if hasattr(context, "cases"):
        context.cases[name] = (verdict, detail[-2000:])


def run_unittests(context, pattern, deadline, env=None):
    files = sorted(glob.glob(os.path.join(ROOT, pattern)))
    for path in files:
        run_unittest(context, path, deadline, env)
    return len(files)


if __name__ == "__main__":
    unittest_child(sys.argv[1], int(sys.argv[2]), sys.argv[3])
