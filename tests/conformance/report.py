#!/usr/bin/env python3
"""docs/conformance.md: every row of the matrices, what it is, and what came of it.

    tests/run --only conformance --report    runs the rows, then this
    tests/conformance/report.py              the rows as the code has them, results of the last runs

Rows are the methods test_<MATRIX>_<NUMBER>_... of tests/conformance/test_*.py; the first line of the
docstring is `INPUT -> OUTCOME`. Results come from conformance.json in the build folder, which
tests/run keeps; a row that did not run there keeps the result the document has.
"""
import ast
import glob
import json
import os
import re
import sys
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DOCUMENT = os.path.join(ROOT, "docs", "conformance.md")
METHOD = re.compile(r"test_([A-Z][A-Z0-9]*)_([0-9]+)_\w+\Z")
MATRICES = {"H1": "HTTP/1: framing and smuggling", "H2": "HTTP/2", "DG": "Translation between versions of HTTP",
            "RX": "Resource exhaustion", "GW": "gRPC, WebSocket, TCP"}
HEAD = """# Conformance

What is thrown at the data path, and what has to come of it, row by row. Each row is a named test of
`tests/conformance`, played on a build with ASan and UBSan against a recording upstream, with canary
clients that must never fail. "Refused" means: answered with that status and `connection: close`, and not one
byte upstream. This file is written by `tests/run --only conformance --report`.
"""
WORST = ("failed", "skipped", "passed")

Row = namedtuple("Row", "id input outcome file method")


def rows():
    """All rows in the code, in the order of the document."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        with open(path, encoding="utf-8") as content:
            tree = ast.parse(content.read(), path)
        for node in ast.walk(tree):
            match = isinstance(node, ast.FunctionDef) and METHOD.match(node.name)
            if not match:
                continue
            words = (ast.get_docstring(node) or "").strip().splitlines()
            where = "%s: %s" % (os.path.relpath(path, ROOT), node.name)
            if not words or " -> " not in words[0]:
                raise ValueError(where + ": the docstring's first line is not `INPUT -> OUTCOME`")
            text, outcome = (part.strip() for part in words[0].split(" -> ", 1))
            found.append(Row("%s-%s" % match.groups(), text, outcome, os.path.basename(path), node.name))
    order = list(MATRICES)

    def place(row):
        matrix, number = row.id.split("-")
        return (order.index(matrix) if matrix in order else len(order), matrix, int(number), row.method)
    return sorted(found, key=place)


def results_of(path):
    """{(file, method): (verdict, detail)}, the worst over the classes that play the method."""
    try:
        with open(path, encoding="utf-8") as content:
            recorded = json.load(content)
    except FileNotFoundError:
        return {}
    worst = {}
    for name, (verdict, detail) in recorded.items():
        file, case = name.split(" ", 1)
        key = (os.path.basename(file), case.split(".")[-1])
        if key not in worst or WORST.index(verdict) < WORST.index(worst[key][0]):
            worst[key] = (verdict, detail)
    return worst


def cell(text):
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def words_of(verdict, detail):
    if verdict == "passed":
        return "pass"
    if verdict == "skipped":
        return "skip: " + cell(detail)
    return "**fail**"


def parse(document):
    """{(id, input, outcome): result} of a document."""
    table = {}
    for line in document.splitlines():
        cells = [part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and re.fullmatch(r"[A-Z][A-Z0-9]*-[0-9]+", cells[0]):
            table[tuple(cells[:3])] = cells[3]
    return table


def key_of(row):
    return (row.id, cell(row.input), cell(row.outcome))


def render(found, recorded, earlier):
    counts = {"pass": 0, "fail": 0, "skip": 0, "not run": 0}
    sections = []
    for row in found:
        known = recorded.get((row.file, row.method))
        result = words_of(*known) if known else earlier.get(key_of(row), "not run")
        counts[result.strip("*").split(":")[0]] += 1
        matrix = row.id.split("-")[0]
        if not sections or sections[-1][0] != matrix:
            sections.append((matrix, []))
        sections[-1][1].append("| %s | %s | %s | %s |" % (*key_of(row), result))
    parts = [HEAD]
    parts.append("%d rows: %s.\n" % (len(found), ", ".join("%d %s" % (number, what) for what, number in
                                                          counts.items() if number or what != "not run")))
    for matrix, lines in sections:
        parts.append("## %s\n\n| row | input | outcome | result |\n|---|---|---|---|\n%s\n"
                     % (MATRICES.get(matrix, matrix), "\n".join(lines)))
    return "\n".join(parts)


def earlier_results():
    try:
        with open(DOCUMENT, encoding="utf-8") as content:
            return parse(content.read())
    except FileNotFoundError:
        return {}


def main(build):
    found = rows()
    text = render(found, results_of(os.path.join(build, "conformance.json")), earlier_results())
    with open(DOCUMENT, "w", encoding="utf-8") as out:
        out.write(text)
    print("%s: %d rows" % (os.path.relpath(DOCUMENT, ROOT), len(found)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else
         os.environ.get("TULLE_BUILD", os.path.join(ROOT, "build", "dev")))
