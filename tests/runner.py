"""Builds and runs the test groups. Started by tests/run; needs only the standard library.

Every case of every gtest executable and unittest file is counted. A crash fails the case it
happened in; a gtest executable is then started again for the cases that are left.
"""
import argparse
import concurrent.futures
import fcntl
import glob
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback

from runner_gtest import run_gtests
from runner_report import ROOT, Timeout, Totals, describe_exit, paint, run_process, say
from runner_unittest import run_unittests

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
    "memory": (1800, "tests/conformance/memory_figures.py on a release build: what attackers can make it hold"),
    "coverage": (900, "tests/coverage/*.py: every branch of the framing guard is taken by its unit tests"),
    "bench": (3600, "tests/bench/run --quick: CPU per request against the peers"),
    "kubernetes": (3600, "tests against a Kubernetes API server"),
}
DEFAULT = list(GROUPS)[:list(GROUPS).index("fuzz")]
NEEDS_NO_BUILD = {"layering", "docs", "scripts", "fuzz", "tsan", "memory", "coverage", "bench", "kubernetes"}


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
    context.cases = {}
    files = run_unittests(context, "tests/conformance/test_*.py", deadline)
    keep_results(os.path.join(context.build, "conformance.json"), context.cases)
    if context.options.report:
        run_program(context, "conformance report",
                    [os.path.join(ROOT, "tests/conformance/report.py"), context.build], deadline, show=True)
    return len(names) + files


def keep_results(path, cases):
    """What each case came to when it ran last, for tests/conformance/report.py."""
    known = {}
    if os.path.exists(path):
        with open(path) as content:
            known = json.load(content)
    known.update(cases)
    with open(path + ".new", "w") as out:
        json.dump(known, out, indent=0, sort_keys=True)
    os.replace(path + ".new", path)


def group_e2e(context, deadline):
    return run_unittests(context, "tests/e2e/test_*.py", deadline)


def fuzz_targets(context):
    names = [os.path.splitext(os.path.basename(path))[0]
             for path in sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/*.cpp")))]
    return [name for name in names if not context.filter or context.filter in name]


def corpus_of(name):
    folder = os.path.join(ROOT, "tests/fuzz/corpus", name)
    return folder if os.path.isdir(folder) and os.listdir(folder) else None


def dictionary_of(name):
    """tests/fuzz/dictionary/PROTOCOL serves every target whose name begins with it."""
    for path in glob.glob(os.path.join(ROOT, "tests/fuzz/dictionary/*")):
        if name.startswith(os.path.basename(path)):
            return ["-dict=" + path]
    return []


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
                    + dictionary_of(name) + ([corpus_of(name)] if corpus_of(name) else []),
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


def group_memory(context, deadline):
    folder = os.path.join(ROOT, "build/release")
    if not build("release", folder, context, "tulle-sidecar"):
        context.totals.fails("memory", "the release build failed, see above")
        return 1
    run_program(context, "memory figures", [os.path.join(ROOT, "tests/conformance/memory_figures.py")], deadline,
                env=dict(context.env, TULLE_BUILD=folder), show=True)
    return 1


def group_coverage(context, deadline):
    scripts = sorted(glob.glob(os.path.join(ROOT, "tests/coverage/*.py")))
    for path in scripts:
        run_program(context, os.path.relpath(path, ROOT), [path], deadline, show=True)
    return len(scripts)


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
    parser.add_argument("--report", action="store_true", help="after the conformance group, write docs/conformance.md")
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
        if totals.unsteady:
            say("unsteady (failed, and passed when run again):")
            for name in totals.unsteady:
                say("  " + name)
        if totals.failures:
            say("failed:")
            for name in totals.failures[:100]:
                say("  " + name)
        say("took %.0f s" % (time.monotonic() - started))
        sys.stderr.flush()
        say(totals.line())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
