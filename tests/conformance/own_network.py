"""Tests that change a network's settings, or listen on well-known ports, run in a network of their own.

A case begins with `if not inside(self, files): return`: outside, it has then been run again in a child
process with new network and mount namespaces, where `files` ({path: content}) stand in for those of
the system, and lo is up.
"""
import inspect
import os
import shutil
import subprocess
import sys
import tempfile

INSIDE = "TULLE_OWN_NETWORK"
UNSHARE = ["unshare", "--net", "--mount"]


def inside(case, files=None):
    if os.environ.get(INSIDE) == "1":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for path, content in (files or {}).items():
            with tempfile.NamedTemporaryFile("w", prefix="tulle-") as stand_in:
                stand_in.write(content)
                stand_in.flush()
                os.chmod(stand_in.name, 0o644)
                subprocess.run(["mount", "--bind", stand_in.name, path], check=True)
        return True
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        case.skipTest("a network of its own needs root, unshare (util-linux) and ip (iproute2)")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True)
    if tried.returncode != 0:
        case.skipTest("a network of its own is not allowed here: " + tried.stderr.decode().strip())
    done = subprocess.run([*UNSHARE, sys.executable, os.path.abspath(inspect.getfile(type(case))),
                           "%s.%s" % (type(case).__name__, case._testMethodName)],
                          env=dict(os.environ, **{INSIDE: "1"}), capture_output=True, timeout=240)
    case.assertEqual(0, done.returncode, done.stderr.decode()[-6000:])
    return False
