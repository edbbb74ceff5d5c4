"""The runner on planted test programs: what it counts, and that nothing is lost."""
import contextlib
import io
import os
import stat
import sys
import tempfile
import textwrap
import time
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from runner_gtest import run_gtests  # noqa: E402
from runner_report import Totals  # noqa: E402
from runner_unittest import run_unittest  # noqa: E402

# Speaks the part of GoogleTest's language that the runner reads; what a case does is its name.
FAKE_GTEST = """\
    #!%s
    import os, re, sys
    CASES = %r
    flags = [word[len("--gtest_flagfile="):] for word in sys.argv if word.startswith("--gtest_flagfile=")]
    if "--gtest_list_tests" in sys.argv:
        print("Running main() from gtest_main.cc")
        print("Fake.")
        for case in CASES:
            print("  " + case + ("  # GetParam() = 1" if "/" in case else ""))
        sys.exit(0)
    wanted = re.search("--gtest_filter=(.*)", open(flags[0]).read()).group(1).split(":")
    status = 0
    for case in CASES:
        name = "Fake." + case
        if name not in wanted:
            continue
        print("[ RUN      ] " + name, flush=True)
        if case.startswith("crash"):
            print("about to crash", flush=True)
            os.kill(os.getpid(), 11)
        if case.startswith("leave"):
            os._exit(0)
        if case.startswith("hang"):
            while True:
                os.read(os.pipe()[0], 1)
        if case.startswith("skip"):
            print("x_test.cpp:1: Skipped\\nno such peer\\n")
        if case.startswith("fail"):
            print("x_test.cpp:2: Failure\\nwhy it failed")
            status = 1
        if case.startswith("waver"):
            marker = sys.argv[0] + "." + case
            if not os.path.exists(marker):
                open(marker, "w").close()
                print("x_test.cpp:3: Failure\\nthe first time\\n" + ("runtime error: " if "report" in case else ""))
                status, case = 1, "fail"
        verdict = {"fail": " FAILED  ", "skip": " SKIPPED "}.get(case[:4], "      OK ")
        print("[" + (" " + verdict.strip().rjust(8) + " " if verdict.strip() == "OK" else " " + verdict) + "] " + name)
    print("[  PASSED  ] some tests.\\n[  FAILED  ] Fake.fail")
    sys.exit(%d or status)
"""


class Planted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(textwrap.dedent(text))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def context(self, text=None):
        return types.SimpleNamespace(totals=Totals(), filter=text, jobs=2, build=self.folder, env=dict(os.environ))

    def gtest(self, cases, status=0, seconds=60, shards=1, text=None):
        self.write("bin/fake_test", FAKE_GTEST % (sys.executable, cases, status))
        context = self.context(text)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            run_gtests(context, ["fake_test"], time.monotonic() + seconds, shards=shards)
        return context.totals, said.getvalue()

    def python(self, body):
        path = self.write("test_planted.py", "import os, unittest\n" + textwrap.dedent(body))
        context = self.context()
        context.cases = self.cases = {}
        with contextlib.redirect_stdout(io.StringIO()) as said:
            run_unittest(context, path, time.monotonic() + 60)
        return context.totals, said.getvalue()

    def test_gtest_cases_are_counted(self):
        totals, said = self.gtest(["good", "with_parameter/0", "fail", "skip", "DISABLED_off", "better"])
        self.assertEqual("3 passed, 1 failed, 1 skipped", totals.line())
        self.assertIn("why it failed", said)
        self.assertIn("no such peer", said)

    def test_a_crash_fails_its_case_and_the_rest_still_runs(self):
        totals, said = self.gtest(["good", "crash", "better", "crash_again", "best"])
        self.assertEqual("3 passed, 2 failed, 0 skipped", totals.line())
        self.assertIn("about to crash", said)
        self.assertIn("SIGSEGV", said)

    def test_a_program_that_leaves_early_with_status_0_has_failed(self):
        totals, _ = self.gtest(["good", "leave", "better"])
        self.assertEqual("2 passed, 1 failed, 0 skipped", totals.line())

    def test_a_bad_exit_after_good_cases_is_a_failure(self):
        totals, said = self.gtest(["good", "better"], status=23)
        self.assertEqual("2 passed, 1 failed, 0 skipped", totals.line())
        self.assertIn("exit status 23", said)

    def test_a_hanging_case_is_ended_and_what_was_not_run_is_failed(self):
        totals, said = self.gtest(["good", "hang", "better"], seconds=2)
        self.assertEqual("1 passed, 2 failed, 0 skipped", totals.line())
        self.assertIn("timed out", said)

    def test_shards_and_filter_run_every_wanted_case_once(self):
        totals, _ = self.gtest(["a", "b", "c", "d", "e"], shards=2)
        self.assertEqual("5 passed, 0 failed, 0 skipped", totals.line())
        totals, _ = self.gtest(["good", "better", "fail"], text="better")
        self.assertEqual("1 passed, 0 failed, 0 skipped", totals.line())

    def test_a_program_that_was_not_built_is_a_failure(self):
        context = self.context()
        with contextlib.redirect_stdout(io.StringIO()):
            run_gtests(context, ["gone_test"], time.monotonic() + 60)
        self.assertEqual("0 passed, 1 failed, 0 skipped", context.totals.line())

    def test_a_gtest_case_that_passes_when_it_is_run_again_is_named_as_unsteady(self):
        totals, said = self.gtest(["good", "waver", "better", "fail"])
        self.assertEqual("3 passed, 1 failed, 0 skipped", totals.line())
        self.assertEqual(["fake_test Fake.waver"], totals.unsteady)
        self.assertIn("the first time", said)

    def test_more_than_a_few_unsteady_cases_are_failures(self):
        totals, _ = self.gtest(["waver%d" % number for number in range(5)])
        self.assertEqual("3 passed, 2 failed, 0 skipped", totals.line())
        self.assertEqual(5, len(totals.unsteady))

    def test_what_a_sanitizer_reports_is_not_run_again(self):
        totals, _ = self.gtest(["waver_report"])
        self.assertEqual("0 passed, 1 failed, 0 skipped", totals.line())
        totals, _ = self.python(self.WAVERS % "AddressSanitizer: heap-use-after-free")
        self.assertEqual("1 passed, 1 failed, 0 skipped", totals.line())

    WAVERS = """
        class A(unittest.TestCase):
            def test_good(self): pass
            def test_waver(self):
                marker = __file__ + ".marker"
                if not os.path.exists(marker):
                    open(marker, "w").close()
                    self.fail("%s")
        """

    def test_a_python_case_that_passes_when_it_is_run_again_is_named_as_unsteady(self):
        totals, said = self.python(self.WAVERS % "the first time")
        self.assertEqual("2 passed, 0 failed, 0 skipped", totals.line())
        self.assertEqual(["A.test_waver"], [name.split(" ")[1] for name in totals.unsteady])
        self.assertIn("the first time", said)
        self.assertEqual({"passed"}, {verdict for verdict, _ in self.cases.values()})

    def test_a_python_class_that_could_not_be_set_up_is_run_again(self):
        body = """
            class A(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    if not os.path.exists(__file__ + ".marker"):
                        open(__file__ + ".marker", "w").close()
                        raise RuntimeError("no ground to stand on")
                def test_one(self): pass
                %s
            class B(unittest.TestCase):
                def test_good(self): pass
            """
        totals, _ = self.python(body % "def test_other(self): self.fail('always')")
        self.assertEqual("1 passed, 1 failed, 0 skipped", totals.line())
        os.unlink(os.path.join(self.folder, "test_planted.py.marker"))
        totals, _ = self.python(body % "")
        self.assertEqual("3 passed, 0 failed, 0 skipped", totals.line())
        self.assertEqual(1, len(totals.unsteady))

    def test_unittest_cases_are_counted_with_their_output(self):
        totals, said = self.python("""
            class A(unittest.TestCase):
                def test_good(self): pass
                def test_bad(self):
                    os.system("echo from a child process")
                    self.assertEqual(1, 2)
                @unittest.skip("no such peer")
                def test_skipped(self): pass
                def test_parts(self):
                    for part in range(3):
                        with self.subTest(part=part):
                            self.assertNotEqual(1, part)
            class B(unittest.TestCase):
                @classmethod
                def setUpClass(cls): raise RuntimeError("no ground to stand on")
                def test_never_run(self): pass
            """)
        self.assertEqual("1 passed, 3 failed, 1 skipped", totals.line())
        for text in ("from a child process", "no such peer", "part=1", "no ground to stand on"):
            self.assertIn(text, said)
        self.assertEqual({"A.test_good": "passed", "A.test_bad": "failed", "A.test_parts": "failed",
                          "A.test_skipped": "skipped"},
                         {name.split(" ")[1]: verdict for name, (verdict, _) in self.cases.items() if " A." in name})

    def test_a_python_file_that_dies_or_does_not_load_has_failed(self):
        totals, _ = self.python("""
            class A(unittest.TestCase):
                def test_a(self): pass
                def test_b(self): os._exit(0)
            """)
        self.assertEqual("1 passed, 1 failed, 0 skipped", totals.line())
        totals, said = self.python("import no_such_module_anywhere")
        self.assertEqual("0 passed, 1 failed, 0 skipped", totals.line())
        self.assertIn("no_such_module_anywhere", said)


if __name__ == "__main__":
    unittest.main()
