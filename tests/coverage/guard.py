#!/usr/bin/env python3
"""Branch coverage of the framing guard by its unit tests: exit status 1 below 100 %.

Compiles a handful of files without optimization and, as the guard throws nothing, without
exceptions: the branches that are left are those of the source.
"""
import concurrent.futures
import glob
import gzip
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "coverage")
GUARD = ["framing_guard", "framing_fields", "chunk_guard"]
ALSO = ["core/http/authority.cpp", "core/http/fields.cpp", "core/http/head.cpp", "core/http/websocket.cpp",
        "core/base/assert.cpp", "core/base/memory_budget.cpp"]
TESTS = ["core/http/%s_test.cpp" % name for name in GUARD]
# What the guard does not call (and would need OpenSSL) is left out by the linker.
FLAGS = ["-std=c++20", "-O0", "-g", "-ffunction-sections", "-I" + ROOT, "-c"]


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode != 0:
        sys.exit("%s\n%s\nexit status %d" % (" ".join(command), done.stdout, done.returncode))
    return done.stdout


def compile_one(source, counted):
    made = os.path.join(BUILD, os.path.basename(source) + ".o")
    more = ["--coverage", "-fno-exceptions"] if counted else []
    run([os.environ.get("CXX", "g++"), *FLAGS, *more, os.path.join(ROOT, source), "-o", made])
    return made


def build():
    shutil.rmtree(BUILD, ignore_errors=True)
    os.makedirs(BUILD)
    sources = [("core/http/%s.cpp" % name, True) for name in GUARD] + [(path, False) for path in ALSO + TESTS]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda one: compile_one(*one), sources))
    program = os.path.join(BUILD, "guard_test")
    run([os.environ.get("CXX", "g++"), "--coverage", *objects, "-Wl,--gc-sections", "-o", program,
         "-lgtest", "-lgtest_main", "-pthread"])
    return program


def branches():
    """{(file, line, index): (taken, text)} of the guard's own files; a template counts once."""
    run(["gcov", "--json-format", "--branch-probabilities", *glob.glob(os.path.join(BUILD, "*.gcda"))], cwd=BUILD)
    found = {}
    for path in glob.glob(os.path.join(BUILD, "*.gcov.json.gz")):
        with gzip.open(path) as content:
            report = json.load(content)
        for file in report["files"]:
            name = os.path.relpath(os.path.join(report["current_working_directory"], file["file"]), ROOT)
            if os.path.splitext(os.path.basename(name))[0] not in GUARD or not name.startswith("core/http/"):
                continue
            for line in file["lines"]:
                for index, branch in enumerate(line["branches"]):
                    key = (name, line["line_number"], index)
                    found[key] = found.get(key, 0) + branch["count"]
    return found


def main():
    program = build()
    run([program, "--gtest_brief=1"])
    found = branches()
    missed = sorted({key[:2] for key, count in found.items() if count == 0})
    for name, number in missed:
        with open(os.path.join(ROOT, name), encoding="utf-8") as source:
            print("%s:%d: a branch is never taken: %s" % (name, number, source.readlines()[number - 1].strip()))
    taken = sum(count > 0 for count in found.values())
    share = 100.0 * taken / len(found) if found else 0.0
    print("framing guard: %d of %d branches, %.1f %%" % (taken, len(found), share))
    return 0 if found and taken == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
