"""Where the stories are told: folders, installed programs, and how long to wait."""
import os
import shutil
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
if os.path.join(ROOT, "examples") not in sys.path:
    sys.path.insert(0, os.path.join(ROOT, "examples"))

BUILD = os.environ.get("TULLE_BUILD", os.path.join(ROOT, "build", "dev"))
# Bounds a wait for something that takes milliseconds when nothing is wrong; a sanitizer build on a
# busy machine is slow.
PATIENCE = 30.0


def program(name):
    """The path of a real peer, or a skip with the reason."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        raise unittest.SkipTest(name + " is not installed")
    return path
