"""Runs gtest executables case by case for the test runner."""
import concurrent.futures
import os
import re
import subprocess
import tempfile
import time

from runner_report import ROOT, Timeout, describe_exit, may_be_run_again, run_process, summarize

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


def run_cases(path, cases, deadline, env):
    """Runs some cases in one process: what it printed, its exit status, and whether its time was over."""
    timed_out, status = False, 0
    with tempfile.TemporaryDirectory() as folder:
        flags = os.path.join(folder, "flags")
        with open(flags, "w") as out:
            out.write("--gtest_filter=%s\n--gtest_color=no\n" % ":".join(cases))
        log = os.path.join(folder, "log")
        with open(log, "wb") as out:
            try:
                status = run_process([path, "--gtest_flagfile=" + flags], out, deadline, env)
            except Timeout:
                timed_out = True
        with open(log, errors="replace") as content:
            return content.read(), status, timed_out


def passes_alone(path, case, deadline, env):
    """Runs one case that failed once more."""
    text, status, timed_out = run_cases(path, [case], deadline, env)
    return not timed_out and status == 0 and [event[:2] for event in gtest_events(text)] == [(case, "OK")]


def run_gtest(path, cases, label, totals, deadline, env):
    """Runs the given cases of one executable, again after each crash for what is left."""
    started = time.monotonic()
    pending, passed, bad = list(cases), 0, 0
    while pending:
        text, status, timed_out = run_cases(path, pending, deadline, env)
        ended, failed, wavered, crashed = set(), 0, 0, False
        for case, verdict, output in gtest_events(text):
            ended.add(case)
            name = "%s %s" % (label, case)
            if verdict == "OK":
                passed += 1
                totals.passes()
            elif verdict == "SKIPPED":
                totals.skips(name, skip_reason(output))
            elif verdict and may_be_run_again(output) and passes_alone(path, case, deadline, env):
                passed += 1
                wavered += 1
                totals.wavers(name, output)
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
        if status != 0 and failed == 0 and not (wavered and status == 1):
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
    summarize(label, passed, bad, started)


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
