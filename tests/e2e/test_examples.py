"""examples/run keeps its promises: exit status, cleaning up, two at once."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import unittest

from mesh import BUILD, PATIENCE, ROOT, program, wait_for

RUN = os.path.join(ROOT, "examples", "run")
ARGUMENTS = ["--no-setup", "--no-build", "--build-dir", BUILD]


def heed_interrupts():
    """Programs started in a shell's background ignore SIGINT, and hand that on to their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*arguments):
    return subprocess.Popen([RUN, *ARGUMENTS, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, preexec_fn=heed_interrupts)


def children_of(text):
    """Processes whose command line names the folder of a run."""
    folder = re.search(r"build/examples/[\w-]+", text).group()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as command:
                    line = command.read().decode(errors="replace")
                if os.path.realpath("/proc/%s/cwd" % entry).endswith(folder):
                    found.append(line.replace("\0", " "))
            except OSError:
                pass
    return found


class Examples(unittest.TestCase):
    def setUp(self):
        program("node")

    def test_two_copies_at_once_hold_every_claim(self):
        runs = [start("hello", "--once") for _ in range(2)]
        for run in runs:
            text = run.communicate(timeout=240)[0]
            self.assertEqual(0, run.returncode, text)
            self.assertRegex(text, r"\d\d claims held, 0 did not")
            self.assertNotIn("FAILED", text)
            self.assertNotIn("\033[", text, "colour belongs on a terminal only")

    def test_ctrl_c_leaves_nothing_behind(self):
        self.ends_by(signal.SIGINT, 0)

    def test_termination_leaves_nothing_behind(self):
        self.ends_by(signal.SIGTERM, 1)

    def test_even_kill_leaves_no_process_behind(self):
        self.ends_by(signal.SIGKILL, -9)

    def ends_by(self, number, status):
        run = start("hello")
        text = ""
        try:
            for line in run.stdout:
                text += line
                if "Ctrl-C stops it" in line:
                    break
            self.assertIn("Ctrl-C stops it", text)
            folder = os.path.join(ROOT, re.search(r"build/examples/[\w-]+", text).group())
            self.assertGreaterEqual(len(children_of(text)), 5)
            run.send_signal(number)
            self.assertEqual(status, run.wait(60), text)
            wait_for(lambda: not children_of(text), lambda: "left behind: %r" % children_of(text), PATIENCE)
            if number == signal.SIGKILL:
                shutil.rmtree(folder)  # nobody else could
            self.assertFalse(os.path.exists(folder))
        finally:
            run.kill()
            run.communicate()

    def test_help_and_wrong_usage(self):
        done = subprocess.run([RUN, "--help"], stdout=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(0, done.returncode)
        self.assertIn("hello", done.stdout)
        for arguments in (["nothing-of-that-name"], ["--nonsense"], ["a", "b"], ["../hello"]):
            done = subprocess.run([RUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
            self.assertEqual((2, b""), (done.returncode, done.stdout))


class Ftgo(unittest.TestCase):
    def setUp(self):
        program("node")
        for name in ("tulle", "tulle-control-plane", "ftgo_accounting"):
            if not os.path.exists(os.path.join(BUILD, "bin", name)):
                raise unittest.SkipTest(name + " is not built")

    def test_the_tour_holds_every_claim_and_leaves_nothing(self):
        run = start("ftgo", "--once")
        text = run.communicate(timeout=300)[0]
        self.assertEqual(0, run.returncode, text)
        self.assertRegex(text, r"\d\d claims held, 0 did not")
        self.assertNotIn("\033[", text, "colour belongs on a terminal only")

    def test_killed_it_leaves_no_process_behind(self):
        run = start("ftgo")
        text = ""
        try:
            for line in run.stdout:
                text += line
                if "tickets for the new kitchen" in line:
                    break
            folder = glob.glob(os.path.join(ROOT, "build", "examples", "ftgo-*", "ftgo", "run.json"))
            with open(max(folder, key=os.path.getmtime)) as record:
                record = json.load(record)
            pids = [one[key] for one in record["instances"] for key in ("pid", "sidecarPid")]
            self.assertEqual(16, len(pids), text)
            run.kill()
            wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids), "everything has ended", PATIENCE)
            shutil.rmtree(os.path.dirname(os.path.dirname(max(folder, key=os.path.getmtime))))
        finally:
            run.kill()
            run.communicate()


class TheExampleCanFail(unittest.TestCase):
    def test_a_sidecar_that_does_not_start_is_reported(self):
        program("node")
        folder = os.path.join(ROOT, "build", "examples", "no-sidecar-%d" % os.getpid())
        os.makedirs(os.path.join(folder, "bin"))
        try:
            binary = os.path.join(folder, "bin", "tulle-sidecar")
            with open(binary, "w") as out:
                out.write("#!/bin/sh\necho 'tulle-sidecar: no luck today' >&2\nexit 1\n")
            os.chmod(binary, 0o755)
            done = subprocess.run([RUN, "--no-setup", "--no-build", "--build-dir", folder, "hello", "--once"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
            self.assertEqual(1, done.returncode, done.stdout)
            self.assertIn("no luck today", done.stdout)
            shutil.rmtree(os.path.join(ROOT, re.search(r"logs are kept in (\S+)", done.stdout).group(1)))
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    unittest.main()
