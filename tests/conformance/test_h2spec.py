"""Matrix H2: h2spec in strict mode against a sidecar, with prior knowledge and over TLS.

deploy/setup builds it (tests/conformance/h2spec pins the version). h2spec tests RFC 7540; where RFC 9113 has
changed what is right, the case is in SUPERSEDED with the reason, and only those may fail.
"""
import os
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

from http2_stage import Http2Stage
from mesh import ROOT
from recorder import says

H2SPEC = os.path.join(ROOT, "build", "deps", "h2spec")

# Title of the case -> why another outcome is right today.
SUPERSEDED = {
    "closed: Sends a DATA frame":
        "RFC 9113, 5.1 allows what RFC 7540 demanded: DATA on a closed stream is ignored, and given back to the window",
    "Sends a HEADERS frame that depends on itself":
        "RFC 9113, 5.3.2 has removed dependencies: what PRIORITY says is ignored",
    "Sends a PRIORITY frame that depend on itself":
        "RFC 9113, 5.3.2 has removed dependencies: what PRIORITY says is ignored",
}

@unittest.skipUnless(os.path.exists(H2SPEC), "h2spec was not built: it needs Go and its module")
class H2Spec(Http2Stage):
    def play_all(self, *arguments, port, allowed=()):
        # With a shorter body h2spec leaves out a case about windows.
        self.recorder.answer = says(b"HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n" + b"x" * 600)
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report.xml")
            done = subprocess.run([H2SPEC, "--strict", "--timeout", "5", "-h", "127.0.0.1", "-p", str(port), "-j", report,
                                   *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
            cases = xml.etree.ElementTree.parse(report).iter("testcase")
            outcomes = {"passed": [], "failed": [], "skipped": []}
            for case in cases:
                title = "%s %s" % (case.get("package"), case.get("classname"))
                outcome = "failed" if case.find("failure") is not None or case.find("error") is not None else \
                    "skipped" if case.find("skipped") is not None else "passed"
                outcomes[outcome].append(title)
        known = [*SUPERSEDED, *allowed]
        failed = [title for title in outcomes["failed"] if not any(words in title for words in known)]
        self.assertEqual([], failed, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)[-3000:])
        self.assertEqual([], outcomes["skipped"])
        self.assertGreaterEqual(len(outcomes["passed"]), 140, done.stdout[-2000:])

    def test_H2_47_h2spec_with_prior_knowledge(self):
        """h2spec, all cases, strict, without TLS -> every case passes, but for those that RFC 9113 has superseded"""
        self.play_all(port=self.sidecars[0].port("http2"))

    def test_H2_47_h2spec_sniffed(self):
        """h2spec, all cases, strict, on a listener that sniffs the protocol -> as with prior knowledge"""
        # What is no preface is HTTP/1 there, and answered as such: 400, which h2spec cannot read.
        self.play_all(port=self.sidecars[0].port("outbound"), allowed=["Sends invalid connection preface"])

    def test_H2_47_h2spec_over_tls(self):
        """h2spec, all cases, strict, over TLS -> every case passes, but for those that RFC 9113 has superseded"""
        self.play_all("-t", "-k", port=self.sidecars[0].port("tls"))


if __name__ == "__main__":
    unittest.main()
