"""The layering rule, read from every #include.

    core/base <- core/net <- core/http <- { sidecar, control-plane, cli }
    core/base <- xds <- { sidecar, control-plane, cli }

The tables below are the rule. Changing the architecture means changing them, and
docs/architecture.md with them.
"""
import fnmatch
import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = (".cpp", ".hpp", ".cc", ".h", ".c", ".ipp", ".inc")

# Pure parts of a program (no I/O) that others may use: the very code that will run is what
# validates, explains and tests policies elsewhere.
SIDECAR_PURE = ["sidecar/config/compile*", "sidecar/config/snapshot*", "sidecar/config/problem*",
                "sidecar/config/materials*", "sidecar/config/strict_json*", "sidecar/routing/*", "sidecar/policies/*"]
CONTROL_PLANE_PURE = ["control-plane/model/*", "control-plane/validate/*", "control-plane/build/*",
                      "control-plane/inject/*"]

# Folder -> what it may include of the project. The longest matching folder counts.
PROJECT = {
    "core/base": ["core/base/*"],
    "core/net": ["core/base/*", "core/net/*"],
    "core/http": ["core/base/*", "core/net/*", "core/http/*"],
    "xds": ["core/base/*", "xds/*"],
    "sidecar": ["core/*", "xds/*", "sidecar/*"],
    "control-plane": ["core/*", "xds/*", "control-plane/*"] + SIDECAR_PURE,
    "cli": ["core/*", "xds/*", "cli/*"] + SIDECAR_PURE + CONTROL_PLANE_PURE,
    "tests": ["*"],
    "examples": [],
}

PROTOBUF = ["xds/*", "sidecar/config/*", "sidecar/policies/*", "sidecar/admin/*", "sidecar/telemetry/*",
            "control-plane/build/*", "control-plane/push/*", "control-plane/store/*"]
PROGRAMS = ["sidecar/*", "control-plane/*", "cli/*"]

# Third-party header -> the only files that may include it. Test code may include all of them.
THIRD_PARTY = [
    ("uv.h", ["core/net/*"]),
    ("openssl/*", ["core/net/*"]),
    ("ares*.h", ["core/net/*"]),
    ("llhttp.h", ["core/http/*"]),
    ("nghttp2/*", ["core/http/*"]),
    ("*.pb.h", [pattern + ".cpp" for pattern in PROTOBUF]),
    ("google/protobuf/*", PROTOBUF),
    ("nlohmann/*", ["*"]),
    ("xxhash.h", ["core/base/*", "xds/*"] + PROGRAMS),
    ("re2/*", PROGRAMS),
    ("spdlog/*", ["core/base/*"] + PROGRAMS),
    ("yaml-cpp/*", ["control-plane/*", "cli/*"]),
    ("sqlite3.h", ["control-plane/store/*"]),
    ("CLI/*", ["cli/*", "sidecar/main.cpp", "control-plane/main.cpp"]),
    ("httplib.h", ["examples/*"]),
    ("grpcpp/*", []),
    ("gtest/*", []),
    ("gmock/*", []),
    ("sanitizer/*", ["core/*"]),
]

# Headers of the operating system. Anything else that is not the C++ library is a new dependency.
SYSTEM = ["sys/*", "linux/*", "netinet/*", "net/*", "arpa/*", "bits/*", "asm/*"] + [
    name + ".h" for name in "assert byteswap ctype cxxabi dirent dlfcn endian errno execinfo fcntl float "
    "getopt grp ifaddrs inttypes limits link malloc math netdb poll pthread pwd sched semaphore signal spawn "
    "stdarg stdbool stddef stdint stdio stdlib string strings sysexits syslog termios time ucontext unistd "
    "wait immintrin emmintrin nmmintrin x86intrin arm_neon".split()]

# xds is pure: sessions and validation take bytes and return bytes.
IO_HEADERS = ["sys/socket.h", "sys/epoll.h", "sys/stat.h", "sys/mman.h", "netinet/*", "arpa/*", "poll.h",
              "netdb.h", "unistd.h", "fcntl.h", "fstream", "filesystem", "iostream", "thread"]

# Headers that the build generates.
GENERATED = ["tulle/version.hpp", "grpc/testing/test.grpc.pb.h"]

INCLUDE = re.compile(r'^\s*#\s*include\b\s*(?:<([^>]+)>|"([^"]+)"|(.*))')


def any_match(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def is_test(path):
    return path.startswith("tests/") or re.search(r"_test\.(cpp|hpp)$", path) is not None


def folder_of(path):
    matching = [folder for folder in PROJECT if path.startswith(folder + "/")]
    return max(matching, key=len) if matching else None


def project_rule(path, header):
    """Why a file may not include this header of the project, or None."""
    if header.startswith("tests/"):
        if not is_test(path):
            return "code outside the tests includes nothing of tests/"
        if not path.startswith("tests/") and not header.startswith("tests/support/"):
            return "unit tests use only tests/support of tests/"
        return None
    if is_test(header) and not is_test(path):
        return "a test's header is for tests"
    folder = folder_of(path)
    if any_match(header, PROJECT[folder]):
        return None
    target = folder_of(header)
    if target == "sidecar" and folder in ("control-plane", "cli"):
        return "%s may include only the pure parts of sidecar: %s" % (folder, ", ".join(SIDECAR_PURE))
    if target == "control-plane" and folder == "cli":
        return "cli may include only the pure parts of control-plane: %s" % ", ".join(CONTROL_PLANE_PURE)
    return "%s may include only %s" % (folder, ", ".join(PROJECT[folder]) or "nothing of the project")


def third_party_rule(path, header):
    """Why a file may not include this header from elsewhere, or None."""
    if path.startswith("xds/") and not is_test(path) and any_match(header, IO_HEADERS):
        return "xds does no I/O"
    for pattern, allowed in THIRD_PARTY:
        if fnmatch.fnmatchcase(header, pattern):
            if is_test(path) or any_match(path, allowed):
                return None
            return "%s is for %s" % (pattern, ", ".join(allowed) if allowed else "tests only")
    if "." not in header or any_match(header, SYSTEM):
        return None
    return "an unknown dependency: it needs a reason in docs/architecture.md and a line in this test"


def broken_rule(root, path, angle, quoted):
    if folder_of(path) is None:
        return None
    header = angle or quoted
    if header in GENERATED:
        return None
    if os.path.exists(os.path.join(root, header)):
        if angle:
            return "headers of the project are included with quotes"
        return project_rule(path, header)
    if header.endswith(".pb.h"):
        if not header.startswith("google/protobuf/") and not os.path.exists(
                os.path.join(root, "xds/proto", header[:-len(".pb.h")] + ".proto")):
            return "xds/proto has no such .proto"
        return third_party_rule(path, header)
    if quoted and (header.startswith(".") or os.path.exists(os.path.join(root, os.path.dirname(path), header))):
        return "name the path from the top of the repository"
    if quoted and folder_of(header):
        return "no such file"
    return third_party_rule(path, header)


def violations(root, files):
    """Every broken rule as 'file:line: #include ...: rule'."""
    found = []
    for path in files:
        if not path.endswith(SOURCES):
            continue
        with open(os.path.join(root, path), errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                angle, quoted, other = match.groups()
                rule = broken_rule(root, path, angle, quoted) if other is None else "includes are literal"
                if rule:
                    found.append("%s:%d: #include %s: %s" % (path, number, angle or quoted or other.strip(), rule))
    return found


def repository_files():
    """Tracked and new files, without what git ignores."""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             stdout=subprocess.PIPE, check=True).stdout.decode()
    return sorted({name for name in listing.split("\0") if name and os.path.isfile(os.path.join(ROOT, name))})


class Layering(unittest.TestCase):
    longMessage = False  # the list of findings says it all

    def test_every_include_follows_the_layers(self):
        files = repository_files()
        self.assertTrue(any(name.startswith("core/") for name in files), "no sources were found")
        found = violations(ROOT, files)
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_every_folder_with_sources_has_a_rule(self):
        homeless = [name for name in repository_files() if name.endswith(SOURCES) and folder_of(name) is None]
        self.assertEqual([], homeless, "no place in the layering: %s" % homeless)


class SelfTest(unittest.TestCase):
    """The check itself: planted edges are refused, permitted ones are not."""

    HEADERS = ["core/base/b.hpp", "core/net/n.hpp", "core/http/h.hpp", "xds/x.hpp", "xds/proto/p/m.proto",
               "sidecar/worker.hpp", "sidecar/config/compile.hpp", "sidecar/routing/route.hpp",
               "control-plane/store/store.hpp", "control-plane/build/build.hpp", "cli/c.hpp",
               "tests/support/s.hpp", "tests/sim/w.hpp", "core/net/fake_test.hpp"]

    def check(self, path, include):
        with tempfile.TemporaryDirectory() as root:
            for name in self.HEADERS:
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                open(os.path.join(root, name), "w").close()
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w") as out:
                out.write("// first line\n#include %s\n" % include)
            return violations(root, [path])

    def test_forbidden_edges_are_refused_with_file_line_and_rule(self):
        for path, include, rule in [
                ("core/base/a.cpp", '"core/net/n.hpp"', "core/base may include only"),
                ("core/base/a.cpp", '<uv.h>', "uv.h is for core/net"),
                ("core/net/a.cpp", '"core/http/h.hpp"', "core/net may include only"),
                ("core/net/a.cpp", '"xds/x.hpp"', "core/net may include only"),
                ("core/net/a.cpp", '<nghttp2/nghttp2.h>', "is for core/http"),
                ("core/net/a.hpp", '"p/m.pb.h"', "*.pb.h is for"),
                ("core/net/a.cpp", '"core/net/fake_test.hpp"', "for tests"),
                ("core/net/a.cpp", '<gtest/gtest.h>', "tests only"),
                ("core/net/a.cpp", '<core/net/n.hpp>', "with quotes"),
                ("core/net/a.cpp", '"n.hpp"', "from the top"),
                ("core/net/a.cpp", '"../base/b.hpp"', "from the top"),
                ("core/net/a.cpp", '"core/net/gone.hpp"', "no such file"),
                ("core/net/a.cpp", 'MACRO', "literal"),
                ("core/http/a.cpp", '"sidecar/worker.hpp"', "core/http may include only"),
                ("core/http/a.cpp", '<openssl/ssl.h>', "is for core/net"),
                ("core/http/a.cpp", '"tests/support/s.hpp"', "outside the tests"),
                ("core/http/a.cpp", '<boost/asio.hpp>', "unknown dependency"),
                ("xds/a.cpp", '"core/net/n.hpp"', "xds may include only"),
                ("xds/a.cpp", '<sys/socket.h>', "xds does no I/O"),
                ("xds/a.hpp", '"p/m.pb.h"', "*.pb.h is for"),
                ("xds/a.cpp", '"p/gone.pb.h"', "no such .proto"),
                ("sidecar/worker.cpp", '"p/m.pb.h"', "*.pb.h is for"),
                ("sidecar/worker.cpp", '"control-plane/build/build.hpp"', "sidecar may include only"),
                ("sidecar/worker.cpp", '<llhttp.h>', "is for core/http"),
                ("control-plane/a.cpp", '"sidecar/worker.hpp"', "pure parts of sidecar"),
                ("control-plane/a.cpp", '"cli/c.hpp"', "control-plane may include only"),
                ("control-plane/build/a.cpp", '<sqlite3.h>', "is for control-plane/store"),
                ("cli/a.cpp", '"control-plane/store/store.hpp"', "pure parts of control-plane"),
                ("core/net/a_test.cpp", '"core/http/h.hpp"', "core/net may include only"),
                ("core/net/a_test.cpp", '"tests/sim/w.hpp"', "only tests/support"),
        ]:
            with self.subTest(path=path, include=include):
                found = self.check(path, include)
                self.assertEqual(1, len(found), "not refused")
                self.assertTrue(found[0].startswith(path + ":2: "), found[0])
                self.assertIn(rule, found[0])

    def test_permitted_edges_are_not(self):
        for path, include in [
                ("core/base/a.cpp", '"core/base/b.hpp"'), ("core/base/a.cpp", '<vector>'),
                ("core/net/a.cpp", '"core/base/b.hpp"'), ("core/net/a.cpp", '<uv.h>'),
                ("core/net/a.cpp", '<sys/socket.h>'), ("core/http/a.cpp", '"core/net/n.hpp"'),
                ("core/http/a.cpp", '<nghttp2/nghttp2.h>'), ("xds/a.cpp", '"p/m.pb.h"'),
                ("xds/a.cpp", '"google/protobuf/any.pb.h"'), ("sidecar/config/a.cpp", '"p/m.pb.h"'),
                ("sidecar/a.cpp", '"tulle/version.hpp"'), ("sidecar/a.cpp", '"xds/x.hpp"'),
                ("control-plane/a.cpp", '"sidecar/config/compile.hpp"'),
                ("control-plane/a.cpp", '"sidecar/routing/route.hpp"'),
                ("cli/a.cpp", '"control-plane/build/build.hpp"'), ("cli/a.cpp", '<CLI/CLI.hpp>'),
                ("sidecar/main.cpp", '<CLI/CLI.hpp>'), ("core/net/a_test.cpp", '<gtest/gtest.h>'),
                ("core/net/a_test.cpp", '"tests/support/s.hpp"'), ("tests/sim/a.cpp", '"tests/sim/w.hpp"'),
                ("tests/sim/a.cpp", '"control-plane/store/store.hpp"'), ("tests/sim/a.cpp", '<openssl/ssl.h>'),
        ]:
            with self.subTest(path=path, include=include):
                self.assertEqual([], self.check(path, include))


if __name__ == "__main__":
    unittest.main()
