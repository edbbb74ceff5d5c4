"""docs/conformance.md lists exactly the rows that tests/conformance has."""
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "conformance"))
import report  # noqa: E402


class Rows(unittest.TestCase):
    def test_the_document_lists_the_rows_of_the_code(self):
        with open(report.DOCUMENT, encoding="utf-8") as content:
            table = report.parse(content.read())
        wanted = {report.key_of(row) for row in report.rows()}
        self.assertEqual((set(), set()), (wanted - set(table), set(table) - wanted),
                         "missing, or not in the code any more; run tests/conformance/report.py")

    def test_names_and_texts_of_rows_are_unique(self):
        keys = [report.key_of(row) for row in report.rows()]
        self.assertEqual(sorted(set(keys)), sorted(keys))


class Rendering(unittest.TestCase):
    ROWS = [report.Row("H1-01", "a | b", "refused", "test_x.py", "test_H1_01_a"),
            report.Row("H1-02", "c", "passes", "test_x.py", "test_H1_02_c")]

    def test_what_is_written_is_read_again(self):
        text = report.render(self.ROWS, {("test_x.py", "test_H1_01_a"): ("skipped", "no peer")}, {})
        self.assertEqual({("H1-01", r"a \| b", "refused"): "skip: no peer", ("H1-02", "c", "passes"): "not run"},
                         report.parse(text))
        again = report.render(self.ROWS, {("test_x.py", "test_H1_02_c"): ("failed", "...")}, report.parse(text))
        self.assertEqual(["skip: no peer", "**fail**"], list(report.parse(again).values()))


if __name__ == "__main__":
    unittest.main()
