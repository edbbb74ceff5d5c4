"""What the documentation names exists, and no file carries traces of one machine."""
import fnmatch
import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOP = ("core", "xds", "sidecar", "control-plane", "cli", "tests", "examples", "deploy", "docs", ".ci")
PARTED = ("cli/", "control-plane/", "core/", "examples/", "sidecar/", "tests/")  # one folder per part
SOURCE_NAME = re.compile(r"^[\w.-]+\.(hpp|cpp|cc|proto|py)$")

# Paths and hosts that belong to somebody's machine. Written so that this file does not match.
FORBIDDEN = [
    (re.compile(r"(?<![\w.~$}>*-])/(?:work|farm)/[a-z]"), "a path of one machine"),
    (re.compile(r"(?<![\w.])/(?:home|Users)/[a-z]\w*/"), "a path of one machine"),
    (re.compile(r"(?<![\w.-])/root/[.\w]"), "a path of one machine"),
    (re.compile(r"\b(?:deb|security|archive|snapshot|ports|packages|ftp)[.](?:debian|ubuntu)[.](?:org|com)\b"),
     "a package registry"),
    (re.compile(r"\b(?:pypi[.]org|files[.]pythonhosted[.]org|crates[.]io|registry[.]npmjs[.]org|"
                r"proxy[.]golang[.]org|repo1?[.]maven[.]\w+[.]org|registry[.]yarnpkg[.]com)\b"), "a package registry"),
]


def tracked():
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             stdout=subprocess.PIPE, check=True).stdout.decode()
    return sorted({name for name in listing.split("\0") if name and os.path.isfile(os.path.join(ROOT, name))})


def is_document(name):
    return name.endswith(".md") and (name.startswith("docs/") or os.path.basename(name) == "README.md" or
                                     name == "CONTRIBUTING.md")


def expand_braces(text):
    match = re.search(r"\{([^{}]*)\}", text)
    if not match:
        return [text]
    return [whole for part in match.group(1).split(",")
            for whole in expand_braces(text[:match.start()] + part.strip() + text[match.end():])]


def is_placeholder(path):
    return any(re.fullmatch(r"[A-Z][A-Z_]*(\.\w+)?", part) or "<" in part or "$" in part or part == "..."
               for part in path.split("/"))


def named_paths(text):
    """(line number, path, is a link) for everything in the text that names a place."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", "" if fenced else line):
            if not re.match(r"^([a-z]+:|#)", target):
                yield number, target.split("#")[0], True
        pieces = line.split() if fenced or line.startswith("    ") else \
            [word for code in re.findall(r"`([^`]+)`", line) for word in code.split()]
        for word in pieces:
            word = re.sub(r"^\./", "", word.strip(",;()[]\"'"))
            word = re.sub(r":\d+(-\d+)?$", "", word.rstrip("."))
            if word.startswith(tuple(top + "/" for top in TOP)) and re.fullmatch(r"[\w./*{},<>$ -]+", word):
                yield number, word, False
            elif not fenced and SOURCE_NAME.match(word):
                yield number, word, False


def missing(document, path, is_link, files):
    """Whether a named path does not exist."""
    folders = {name[:index] for name in files for index, char in enumerate(name) if char == "/"}
    known = files | folders
    for candidate in expand_braces(path):
        candidate = candidate.rstrip("/")
        if not candidate or is_placeholder(candidate):
            continue
        if is_link:
            candidate = os.path.normpath(os.path.join(os.path.dirname(document), candidate))
            if candidate != "." and candidate not in known:
                return True
        elif candidate in known:
            continue
        elif "/" not in candidate:  # a bare file name: it exists somewhere
            if not any(os.path.basename(name) == candidate for name in files):
                return True
        elif "*" in candidate:
            if not any(fnmatch.fnmatchcase(name, candidate) for name in known):
                return True
        else:
            return True
    return False


class Documentation(unittest.TestCase):
    longMessage = False  # the list of findings says it all

    def test_named_paths_exist(self):
        files = set(tracked())
        wrong = []
        for document in sorted(name for name in files if is_document(name)):
            with open(os.path.join(ROOT, document), errors="replace") as content:
                for number, path, is_link in named_paths(content.read()):
                    if missing(document, path, is_link, files):
                        wrong.append("%s:%d: %s does not exist" % (document, number, path))
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))

    def test_every_folder_says_what_it_is(self):
        """A README of its own; or, of a part of something larger, a mention in the README above it."""
        files = set(tracked())
        folders = {name.split("/")[0] for name in files if "/" in name and not name.startswith(".")}
        parts = {"/".join(name.split("/")[:2]) for name in files if name.count("/") > 1 and name.startswith(PARTED)}
        without = sorted(folder for folder in folders | parts if folder + "/README.md" not in files)
        for folder in [folder for folder in without if "/" in folder]:
            with open(os.path.join(ROOT, folder.split("/")[0], "README.md"), encoding="utf-8") as above:
                if "`%s`" % folder in above.read():
                    without.remove(folder)
        self.assertEqual([], without, "no README.md in: %s" % ", ".join(without))

    def test_no_traces_of_one_machine(self):
        wrong = []
        for name in tracked():
            with open(os.path.join(ROOT, name), "rb") as content:
                data = content.read()
            if b"\0" in data[:8000]:
                continue
            for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
                for pattern, what in FORBIDDEN:
                    match = pattern.search(line)
                    if match:
                        wrong.append("%s:%d: %s: %s" % (name, number, what, match.group(0)))
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))


class SelfTest(unittest.TestCase):
    """The checks themselves can fail."""

    FILES = {"core/net/loop.hpp", "core/net/tcp.cpp", "core/net/tcp.hpp", "tests/run", "docs/a.md"}

    def problems(self, text):
        return [path for _, path, is_link in named_paths(text) if missing("docs/a.md", path, is_link, self.FILES)]

    def test_missing_paths_are_seen(self):
        for text in ["`core/net/gone.hpp`", "see `core/gone/`", "[x](../core/net/gone.hpp)", "`gone.cpp`",
                     "    ./tests/gone --only x", "`core/net/tcp.{hpp,cc}`", "`core/net/*.py`",
                     "`core/net/gone.hpp:12`", "[x](gone.md#part)"]:
            with self.subTest(text):
                self.assertEqual(1, len(self.problems(text)))

    def test_existing_paths_and_other_words_are_not(self):
        for text in ["`core/net/loop.hpp`", "`core/net/`", "`core/net/tcp.{hpp,cpp}`", "`core/net/*.cpp`",
                     "[x](../core/net/loop.hpp)", "[x](https://example.org/a/b)", "`loop.hpp`", "`./tests/run --only unit`",
                     "`tests/fuzz/corpus/NAME`", "`tests/`", "`a/b`", "[x](#part)", "core/net/gone.hpp in plain text"]:
            with self.subTest(text):
                self.assertEqual([], self.problems(text))

    def test_traces_are_seen(self):
        for text in ["/" + "work/shared/x", "x=/" + "home/somebody/x", "http://deb" + ".debian.org/debian",
                     "https://pypi" + ".org/simple", "/" + "root/.cache"]:
            with self.subTest(text):
                self.assertTrue(any(pattern.search(text) for pattern, _ in FORBIDDEN))


if __name__ == "__main__":
    unittest.main()
