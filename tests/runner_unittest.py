"""Runs unittest files for the test runner, each in a process of its own.

    runner_unittest.py FILE DESCRIPTOR TEXT [CLASS ...]    the child: reports its cases on a descriptor
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

from runner_report import ROOT, Timeout, describe_exit, may_be_run_again, run_process, summarize


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


def unittest_child(path, descriptor, text, classes):
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
        wanted = [test for test in flatten(suite) if (not text or text in path + " " + test.id())
                  and (not classes or type(test).__qualname__ in classes)]
        unittest.TestSuite(wanted).run(result)
        result.emit(done=len(wanted))


class FileRun:
    """One run of one file. `cases` maps a case to (verdict, output, detail); `broken` says what is
    wrong with the process itself, in no case: it timed out, died or did not load."""

    def __init__(self, context, path, deadline, env, classes=()):
        self.label = os.path.relpath(path, ROOT)
        self.cases = {}
        self.broken = ""
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            events_path = os.path.join(folder, "events")
            timed_out, status = False, 0
            with open(log, "ab") as out, open(events_path, "wb") as events:
                descriptor = events.fileno()
                command = [sys.executable, os.path.abspath(__file__), path, str(descriptor),
                           context.filter or "", *classes]
                try:
                    status = run_process(command, out, deadline, env, pass_fds=(descriptor,))
                except Timeout:
                    timed_out = True
            with open(log, "rb") as content:
                self.output = content.read()
            with open(events_path) as content:
                events = [json.loads(line) for line in content if line.endswith("\n")]
        self.read(events, timed_out, status)

    def part(self, begin, end):
        return self.output[begin:end].decode(errors="replace")

    def read(self, events, timed_out, status):
        current, done = None, False
        for event in events:
            if "start" in event:
                current = event
            elif "end" in event:
                self.cases[case_of(event["end"])] = (
                    event["verdict"], self.part(current["at"], event["at"]), event["detail"])
                current = None
            else:
                done = True
        if current is not None:
            self.broken = "timed out" if timed_out else describe_exit(status)
            self.cases[case_of(current["start"])] = (
                "failed", self.part(current["at"], None), self.broken)
        elif timed_out:
            self.broken = "timed out\n" + self.part(max(0, len(self.output) - 4000), None)
        elif status != 0 or not (done or events):
            self.broken = self.part(max(0, len(self.output) - 8000), None) + "\n" + describe_exit(status)

    def failed(self):
        return {case: output + "\n" + detail for case, (verdict, output, detail) in self.cases.items()
                if verdict == "failed"}


def case_of(identity):
    """ "file.Class.test_x" without the file; "setUpClass (file.Class)" stays what it is."""
    return identity if "(" in identity else identity.split(".", 1)[-1]


def class_of(case):
    """The class of "Class.test_x", or of the "setUpClass (file.Class)" that failed in its stead."""
    return case.rstrip(")").split(".", 1)[-1] if "(" in case else case.rsplit(".", 1)[0]


def run_again(context, path, deadline, env, first):
    """The cases that failed and pass now, their classes being run once more."""
    failed = first.failed()
    if first.broken or not failed or not all(may_be_run_again(text) for text in failed.values()):
        return set()
    classes = {class_of(case) for case in failed}
    second = FileRun(context, path, deadline, env, sorted(classes))
    passed = {case for case, (verdict, _, _) in second.cases.items() if verdict == "passed"}
    if second.broken or second.failed() or not classes <= {class_of(case) for case in passed}:
        return set()
    for case, result in second.cases.items():
        first.cases.setdefault(case, result)
    return set(failed)


def run_unittest(context, path, deadline, env=None):
    started = time.monotonic()
    env = env or context.env
    run = FileRun(context, path, deadline, env)
    unsteady = run_again(context, path, deadline, env, run)
    passed = bad = 0
    for case, (verdict, output, detail) in run.cases.items():
        name = "%s %s" % (run.label, case)
        remember(context, name, "passed" if case in unsteady else verdict, detail)
        if verdict == "passed":
            passed += 1
            context.totals.passes()
        elif verdict == "skipped":
            context.totals.skips(name, detail)
        elif case in unsteady:
            passed += 1
            context.totals.wavers(name, output + detail)
        else:
            bad += 1
            context.totals.fails(name, output + detail)
    if run.broken and not any(detail == run.broken for _, _, detail in run.cases.values()):
        bad += 1
        context.totals.fails(run.label, run.broken)
    if passed or bad:
        summarize(run.label, passed, bad, started)


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
    unittest_child(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
