"""Builds and runs the test groups. Started by tests/run; needs only the standard library.

Every case of every gtest executable and unittest file is counted. A crash fails the case it
happened in; a gtest executable is then started again for the cases that are left.
"""
import argparse
import concurrent.futures
import fcntl
import glob
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Name, seconds it may take, what it is. Those before "fuzz" are the default.
GROUPS = {
    "layering": (60, "which folder includes which header (tests/layering)"),
    "docs": (60, "paths named in the documentation exist (tests/docs)"),
    "scripts": (120, "the scripts themselves (tests/scripts)"),
    "unit": (900, "the *_test executables: unit tests beside the code"),
    "sim": (900, "tulle_sim: the real code on a virtual clock with seeded faults"),
    "conformance": (1500, "tulle_conformance and tests/conformance/test_*.py"),
    "e2e": (2400, "tests/e2e/test_*.py: real processes"),
    "corpus": (600, "every fuzz target over its corpus (tests/fuzz/corpus/NAME)"),
    "fuzz": (None, "new fuzzing with clang libFuzzer, --seconds in all"),
    "tsan": (3600, "unit, sim and conformance executables with ThreadSanitizer"),
    "soak": (7200, "tests/e2e/soak_*.py, and tulle_sim with TULLE_SOAK=1"),
    "bench": (3600, "tests/bench/run --quick: CPU per request against the peers"),
    "kubernetes": (3600, "tests against a Kubernetes API server"),
}
DEFAULT = list(GROUPS)[:list(GROUPS).index("fuzz")]
NEEDS_NO_BUILD = {"layering", "docs", "scripts", "fuzz", "tsan", "bench", "kubernetes"}

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return "\033[%sm%s\033[0m" % (code, text) if COLOUR else text


def say(text=""):
    print(text, flush=True)


class Totals:
    """Counts, shared by the threads that run executables side by side."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.failures = []

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


# ---- gtest ----------------------------------------------------------------------------------

GTEST_LINE = re.compile(r"\[( RUN      |       OK |  FAILED  |  SKIPPED )\] ([\w/]+\.[\w/]+)")


def gtest_cases(path, env):
    """All cases of a gtest executable, in order, without the disabled ones."""
    listing = subprocess.run([path, "--gtest_list_tests"], stdin=subprocess.DEVNULL, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=ROOT,
                             timeout=120)
    if listing.returncode != 0:
        raise RuntimeError("--gtest_list_tests: %s\n%s" % (describe_exit(listing.returncode), listing.stdout))
    suite, cases = "", []
    for line in listing.stdout.splitlines():
        name = line.split("#")[0].rstrip()
        if re.match(r"^[\w/]+\.$", name):
            suite = name
        elif re.match(r"^  [\w/]+$", name) and suite:
            cases.append(suite + name.strip())
    return [case for case in cases if not re.search(r"(^|[./])DISABLED_", case)]


def gtest_events(text):
    """Yields (case, verdict, output); verdict is None for a case that never ended."""
    current, start = None, 0
    for match in GTEST_LINE.finditer(text):
        kind, case = match.group(1).strip(), match.group(2)
        if kind == "RUN":
            if current is not None:
                yield current, None, text[start:match.start()]
            current, start = case, match.end()
        elif case == current:  # the summary at the end repeats names of cases already closed
            yield current, kind, text[start:match.start()]
            current = None
    if current is not None:
        yield current, None, text[start:]


def skip_reason(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if line.endswith(": Skipped"):
            return " ".join(lines[index + 1:])
    return lines[-1] if lines else ""


def run_gtest(path, cases, label, totals, deadline, env):
    """Runs the given cases of one executable, again after each crash for what is left."""
    started = time.monotonic()
    pending, passed, bad = list(cases), 0, 0
    while pending:
        with tempfile.TemporaryDirectory() as folder:
            flags = os.path.join(folder, "flags")
            with open(flags, "w") as out:
                out.write("--gtest_filter=%s\n--gtest_color=no\n" % ":".join(pending))
            log = os.path.join(folder, "log")
            timed_out, status = False, 0
            with open(log, "wb") as out:
                try:
                    status = run_process([path, "--gtest_flagfile=" + flags], out, deadline, env)
                except Timeout:
                    timed_out = True
            with open(log, errors="replace") as content:
                text = content.read()
        ended, failed, crashed = set(), 0, False
        for case, verdict, output in gtest_events(text):
            ended.add(case)
            name = "%s %s" % (label, case)
            if verdict == "OK":
                passed += 1
                totals.passes()
            elif verdict == "SKIPPED":
                totals.skips(name, skip_reason(output))
            else:
                crashed = crashed or verdict is None
                why = "" if verdict else ("\ntimed out" if timed_out else "\n" + describe_exit(status))
                failed += 1
                totals.fails(name, output + why)
        bad += failed
        pending = [case for case in pending if case not in ended]
        if timed_out:
            if not crashed:
                bad += 1
                totals.fails(label, "timed out between two cases\n" + text[-4000:])
            for case in pending:
                bad += 1
                totals.fails("%s %s" % (label, case), "not run: the group's time was over")
            break
        if crashed:
            continue
        if status != 0 and failed == 0:
            # All cases fine, the process not: a leak report, a crash in a destructor.
            bad += 1
            totals.fails(label, "%s after the last case\n%s" % (describe_exit(status), text[-8000:]))
        if pending and (status != 0 or not ended):
            if not ended:
                bad += 1
                totals.fails(label, "%s, no case ran\n%s" % (describe_exit(status), text[-8000:]))
                break
            continue
        if pending:
            bad += 1
            totals.fails(label, "ended early, not run: " + " ".join(pending[:20]))
        break
    say("  %s %s: %d passed%s, %.1f s" % (paint("32", "ok") if not bad else paint("31", "--"), label, passed,
                                         ", %d failed" % bad if bad else "", time.monotonic() - started))


def run_gtests(context, names, deadline, build=None, prefix="", shards=1, env=None):
    """Executables side by side; one that is alone is split into shards."""
    build = build or context.build
    env = env or context.env
    work = []
    for name in names:
        path = os.path.join(build, "bin", name)
        if not os.path.exists(path):
            context.totals.fails(prefix + name, "was not built")
            continue
        try:
            cases = gtest_cases(path, env)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            context.totals.fails(prefix + name, str(error))
            continue
        if context.filter:
            cases = [case for case in cases if context.filter in name + " " + case]
        parts = min(shards, len(cases))
        for part in range(parts):
            label = prefix + name + ("" if parts == 1 else " %d/%d" % (part + 1, parts))
            work.append((path, cases[part::parts], label))
    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        futures = [pool.submit(run_gtest, path, cases, label, context.totals, deadline, env)
                   for path, cases, label in work]
        for future in futures:
            future.result()


# ---- unittest -------------------------------------------------------------------------------

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
            command = [sys.executable, os.path.abspath(__file__), "--unittest-child", path, str(descriptor),
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
        context.totals.fails("%s %s" % (label, current["start"].split(".", 1)[-1]), part(current["at"], None) + "\n" + why)
    elif timed_out:
        bad += 1
        context.totals.fails(label, "timed out\n" + part(max(0, len(output) - 4000), None))
    elif status != 0 or not (done or events):
        bad += 1
        context.totals.fails(label, part(max(0, len(output) - 8000), None) + "\n" + describe_exit(status))
    if passed or bad:
        say("  %s %s: %d passed%s, %.1f s" % (paint("32", "ok") if not bad else paint("31", "--"), label, passed,
                                             ", %d failed" % bad if bad else "", time.monotonic() - started))


def run_unittests(context, pattern, deadline, env=None):
    files = sorted(glob.glob(os.path.join(ROOT, pattern)))
    for path in files:
        run_unittest(context, path, deadline, env)
    return len(files)


# ---- one program, one case ------------------------------------------------------------------

def run_program(context, name, command, deadline, env=None, show=False):
    """A program whose exit status is the verdict."""
    with tempfile.TemporaryFile() as out:
        try:
            status = run_process(command, None if show else out, deadline, env or context.env)
            verdict = "" if status == 0 else describe_exit(status)
        except Timeout:
            verdict = "timed out"
        out.seek(0)
        output = out.read().decode(errors="replace")
    if verdict:
        context.totals.fails(name, output[-20000:] + "\n" + verdict)
    else:
        context.totals.passes()
        say("  %s %s" % (paint("32", "ok"), name))
    return not verdict


# ---- groups ---------------------------------------------------------------------------------

class Context:
    def __init__(self, options):
        self.totals = Totals()
        self.filter = options.filter
        self.jobs = options.jobs
        self.build = os.path.join(ROOT, options.build_dir)
        self.options = options
        self.env = dict(os.environ)
        self.env["TULLE_BUILD"] = self.build
        self.env["TULLE_ROOT"] = ROOT
        self.env.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1")
        self.env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.env["PYTHONDONTWRITEBYTECODE"] = "1"

    def executables(self, build, kind):
        """Names of the gtest executables of this configuration: unit, sim or conformance."""
        try:
            with open(os.path.join(build, "tests.txt")) as lines:
                names = lines.read().split()
        except FileNotFoundError:
            return []
        if kind == "unit":
            return sorted(name for name in names if name.endswith("_test"))
        return [name for name in names if name == "tulle_" + kind]


def group_layering(context, deadline):
    return run_unittests(context, "tests/layering/test_*.py", deadline)


def group_docs(context, deadline):
    return run_unittests(context, "tests/docs/test_*.py", deadline)


def group_scripts(context, deadline):
    return run_unittests(context, "tests/scripts/test_*.py", deadline)


def group_unit(context, deadline):
    names = context.executables(context.build, "unit")
    run_gtests(context, names, deadline)
    return len(names)


def group_sim(context, deadline):
    names = context.executables(context.build, "sim")
    run_gtests(context, names, deadline, shards=context.jobs)
    return len(names)


def group_conformance(context, deadline):
    names = context.executables(context.build, "conformance")
    run_gtests(context, names, deadline, shards=context.jobs)
    return len(names) + run_unittests(context, "tests/conformance/test_*.py", deadline)


def group_e2e(context, deadline):
    return run_unittests(context, "tests/e2e/test_*.py", deadline)


def fuzz_targets(context):
    names = [os.path.splitext(os.path.basename(path))[0]
             for path in sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/*.cpp")))]
    return [name for name in names if not context.filter or context.filter in name]


def corpus_of(name):
    folder = os.path.join(ROOT, "tests/fuzz/corpus", name)
    return folder if os.path.isdir(folder) and os.listdir(folder) else None


def group_corpus(context, deadline):
    names = fuzz_targets(context)

    def replay(name):
        if corpus_of(name) is None:
            context.totals.fails("corpus " + name, "tests/fuzz/corpus/%s has no file" % name)
        else:
            run_program(context, "corpus " + name,
                        [os.path.join(context.build, "bin", "replay_" + name), corpus_of(name)], deadline)

    names = [name for name in names if built(context, "replay_" + name, "corpus " + name)]
    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        list(pool.map(replay, names))
    return len(fuzz_targets(context))


def built(context, program, name):
    if os.path.exists(os.path.join(context.build, "bin", program)):
        return True
    context.totals.fails(name, program + " was not built")
    return False


def group_fuzz(context, deadline):
    names = fuzz_targets(context)
    if not names:
        return 0
    if not (setup("fuzz") and build("fuzz", "build/fuzz", context)):
        context.totals.fails("fuzz", "setup or build failed, see above")
        return 1
    each = max(1, context.options.seconds * context.jobs // len(names))
    crashes = os.path.join(ROOT, "build/fuzz/crashes")
    os.makedirs(crashes, exist_ok=True)
    say("  %d targets, %d s each, %d side by side; findings go to build/fuzz/crashes"
        % (len(names), each, context.jobs))

    def fuzz(name):
        found = os.path.join(ROOT, "build/fuzz/corpus", name)
        os.makedirs(found, exist_ok=True)
        run_program(context, "fuzz " + name,
                    [os.path.join(ROOT, "build/fuzz/bin/fuzz_" + name), "-max_total_time=%d" % each,
                     "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
                     "-artifact_prefix=%s/%s-" % (crashes, name), found]
                    + ([corpus_of(name)] if corpus_of(name) else []),
                    time.monotonic() + each + 120)

    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        list(pool.map(fuzz, names))
    return len(names)


def group_tsan(context, deadline):
    if not (setup("tests") and build("tsan", "build/tsan", context, "tests")):
        context.totals.fails("tsan", "setup or build failed, see above")
        return 1
    folder = os.path.join(ROOT, "build/tsan")
    env = dict(context.env, TULLE_BUILD=folder)
    env.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1")
    names = [name for kind in ("unit", "sim", "conformance") for name in context.executables(folder, kind)]
    run_gtests(context, names, deadline, folder, "tsan ", env=env)
    return len(names)


def group_soak(context, deadline):
    env = dict(context.env, TULLE_SOAK="1")
    names = context.executables(context.build, "sim")
    run_gtests(context, names, deadline, prefix="soak ", shards=context.jobs, env=env)
    return len(names) + run_unittests(context, "tests/e2e/soak_*.py", deadline, env)


def group_bench(context, deadline):
    run_program(context, "bench --quick", [os.path.join(ROOT, "tests/bench/run"), "--quick"], deadline, show=True)
    return 1


def group_kubernetes(context, deadline):
    if run_unittests(context, "tests/kubernetes/test_*.py", deadline) == 0:
        context.totals.skips("kubernetes", "the injector and the Kubernetes store do not exist yet")
    return 1


# ---- setting up and building ----------------------------------------------------------------

def setup(*groups):
    return subprocess.run([os.path.join(ROOT, "deploy/setup"), *groups], cwd=ROOT).returncode == 0


def build(preset, folder, context, target="all"):
    """Configures and builds; two runs in one build folder wait for each other."""
    path = os.path.join(ROOT, folder)
    os.makedirs(path, exist_ok=True)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        say("building preset %s in %s" % (preset, folder))
        sys.stdout.flush()
        configure = subprocess.run(["cmake", "--preset", preset, "-B", path], cwd=ROOT, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if configure.returncode != 0:
            say(configure.stdout)
            return False
        command = ["cmake", "--build", path, "--target", target, "--parallel", str(context.jobs)]
        if context.options.keep_going:
            command += ["--", "-k", "0"]
        return subprocess.run(command, cwd=ROOT).returncode == 0


# ---- main -----------------------------------------------------------------------------------

def parse(arguments):
    listing = "\n".join("  %-12s %s%s" % (name, text, "" if name in DEFAULT else " (only when asked for)")
                        for name, (_, text) in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="tests/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Installs what is missing, builds preset dev (ASan and UBSan) and runs the tests.\n"
                    "The last line is `N passed, N failed, N skipped`; the exit status is 0 only when\n"
                    "nothing failed and something passed.",
        epilog="groups:\n" + listing + "\n\nexamples:\n"
               "  tests/run                               everything that CI runs\n"
               "  tests/run --only unit --filter Http1    unit tests whose name contains Http1\n"
               "  tests/run --only fuzz --seconds 60      a minute of fuzzing\n")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP",
                        help="run this group; may be repeated or a comma-separated list")
    parser.add_argument("--filter", metavar="TEXT", help="run only cases whose program, file or name contains TEXT")
    parser.add_argument("--keep-going", action="store_true", help="build and run what can be built when something does not compile")
    parser.add_argument("--fail-fast", action="store_true", help="stop after the first group with a failure")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="side by side (default: CPUs)")
    parser.add_argument("--seconds", type=int, default=300, metavar="N", help="length of the fuzz group in all (default 300)")
    parser.add_argument("--build-dir", default="build/dev", metavar="DIR", help="build folder of preset dev (default build/dev)")
    parser.add_argument("--no-setup", action="store_true", help="do not look for missing packages")
    parser.add_argument("--no-build", action="store_true", help="run what was built last")
    options = parser.parse_args(arguments)
    options.groups = [name for text in options.only for name in text.split(",") if name] or DEFAULT
    unknown = [name for name in options.groups if name not in GROUPS]
    if unknown:
        parser.error("unknown group %s; there are: %s" % (", ".join(unknown), ", ".join(GROUPS)))
    return options


def main(arguments):
    if arguments[:1] == ["--unittest-child"]:
        unittest_child(arguments[1], int(arguments[2]), arguments[3])
        return 0
    options = parse(arguments)
    context = Context(options)
    totals = context.totals
    started = time.monotonic()
    try:
        if not options.no_setup and not setup("tests"):
            totals.fails("setup", "deploy/setup tests failed, see above")
            return 1
        if not options.no_build and not set(options.groups) <= NEEDS_NO_BUILD:
            target = "tests" if set(options.groups) <= NEEDS_NO_BUILD | {"unit", "sim"} else "all"
            begin = time.monotonic()
            if not build("dev", options.build_dir, context, target):
                totals.fails("build", "preset dev does not build, see above")
                if not options.keep_going:
                    return 1
            say("built in %.0f s" % (time.monotonic() - begin))
        for name in options.groups:
            say("\n" + paint("1", "== " + name))
            before, begin = totals.failed, time.monotonic()
            limit = GROUPS[name][0]
            deadline = time.monotonic() + limit if limit else float("inf")
            if globals()["group_" + name](context, deadline) == 0:
                say("  nothing here yet")
            say("  %s took %.1f s" % (name, time.monotonic() - begin))
            if options.fail_fast and totals.failed > before:
                break
        return 0 if totals.failed == 0 and totals.passed > 0 else 1
    except KeyboardInterrupt:
        totals.fails("tests/run", "interrupted")
        return 130
    except Exception:  # the last line has to come whatever happens
        totals.fails("tests/runner.py", traceback.format_exc())
        return 1
    finally:
        say()
        if totals.failures:
            say("failed:")
            for name in totals.failures[:100]:
                say("  " + name)
        say("took %.0f s" % (time.monotonic() - started))
        sys.stderr.flush()
        say(totals.line())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
