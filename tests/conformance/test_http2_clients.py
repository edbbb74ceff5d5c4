"""Matrix H2: what real clients make of answers that come before their request has ended."""
import unittest

from http2_stage import Http2Stage
from mesh import H2, curl
from recorder import says

EARLY = b"HTTP/1.1 %d Enough\r\ncontent-length: 6\r\nconnection: close\r\n\r\nenough"


class EarlyAnswers(Http2Stage):
    def test_H2_36_an_early_answer_reaches_curl(self):
        """curl uploads 8 MiB; the origin answers 413, or 200, at once and reads no more -> curl has the answer, every time"""
        upload = self.mesh.write("upload", "x" * (8 << 20))
        for status in (413, 200, 413, 403, 413, 401):
            with self.subTest(status=status):
                self.recorder.answer = says(EARLY % status, then="close", read_body=False)
                answer = curl("http://127.0.0.1:%d/early" % self.port, *H2, "-T", upload, "-H", "expect:", seconds=5)
                self.assertEqual((status, b"enough"), (answer.status, answer.body), answer)
                if status >= 400:  # at 200 curl 7.88 waits for itself, and for its time limit
                    self.assertEqual(0, answer.exit_status, answer)

    def test_H2_36_an_answer_of_the_mesh_itself_reaches_curl(self):
        """curl uploads 8 MiB where no request is taken (the destination refuses connections) -> curl has the 503, every time"""
        upload = self.mesh.write("upload", "x" * (8 << 20))
        for _ in range(5):
            answer = curl("http://127.0.0.1:%d/" % self.port, *H2, "-T", upload, "-H", "expect:", "-H", "host: nowhere")
            self.assertIn(answer.status, (502, 503), answer)
            self.assertIsNotNone(answer["tulle-error"], answer)
            self.assertEqual(0, answer.exit_status, answer)


if __name__ == "__main__":
    unittest.main()
