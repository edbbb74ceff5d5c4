"""What every example's run.py does around its story: options, signals, a folder, and whether logs are kept."""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from meshkit.processes import Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def play(name, run):
    """Calls run(options, folder), which returns the exit status; the folder is kept when that is not 0."""
    parser = argparse.ArgumentParser(prog="examples/%s/run.py" % name)
    parser.add_argument("--build-dir", required=True)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    options.build_dir = os.path.abspath(options.build_dir)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    parent = os.path.join(ROOT, "build", "examples")
    os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=name + "-", dir=parent)
    status, keep = 1, False
    try:
        status = run(options, folder)
        keep = status != 0
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
        status = 130 if options.once else 0
    except SystemExit:
        print("\nStopped by a signal.", flush=True)
    except (Failure, OSError, RuntimeError, subprocess.TimeoutExpired) as problem:
        print("\nexamples/run: %s" % problem, file=sys.stderr, flush=True)
        keep = True
    if keep:
        print("examples/run: logs are kept in " + os.path.relpath(folder, ROOT), file=sys.stderr, flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return status
