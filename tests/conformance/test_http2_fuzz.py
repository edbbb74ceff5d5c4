"""Matrix H2: what the session fuzzer has learnt. New fuzzing is `tests/run --only fuzz`."""
import glob
import os
import subprocess
import unittest

import stage  # noqa: F401, it knows where mesh is
from mesh import BUILD, ROOT

REPLAY = os.path.join(BUILD, "bin", "replay_http2_session")
CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus", "http2_session")


@unittest.skipUnless(os.path.exists(REPLAY), "replay_http2_session is not built")
class Sessions(unittest.TestCase):
    def test_H2_48_bytes_of_a_session(self):
        """Bytes, cut anywhere, to a session in either role with handlers that answer (here: the corpus) -> no crash, leak or hang"""
        seeds = glob.glob(os.path.join(CORPUS, "*"))
        self.assertGreaterEqual(len(seeds), 200)
        done = subprocess.run([REPLAY, CORPUS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(0, done.returncode, done.stdout[-3000:])
        self.assertIn("replayed %d files" % len(seeds), done.stdout)


if __name__ == "__main__":
    unittest.main()
