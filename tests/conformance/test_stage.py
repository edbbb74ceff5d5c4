"""The stage itself: what passes is recorded as it was sent, and what must fail does."""
import unittest

import wire
from stage import OK, Stage, says

G = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class PlainStage(Stage):
    def test_a_request_is_recorded_byte_for_byte(self):
        answers, requests = self.forward(b"GET /x?y HTTP/1.1\r\nHOST: a\r\nX-Mixed:  b \r\n\r\n")
        self.assertEqual((200, b"ok"), (answers[0].status, answers[0].body))
        self.assertEqual(("GET", "/x?y", "b"), (requests[0].method, requests[0].target, requests[0].fields["x-mixed"]))
        self.assertTrue(self.recorder.bytes().startswith(b"GET /x?y HTTP/1.1\r\nhost: a\r\nx-mixed: b\r\n"))

    def test_bodies_and_trailers_are_recorded(self):
        _, requests = self.forward(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
                                   b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")
        self.assertEqual((b"hello", [("x-sum", "1")], True),
                         (requests[0].body, requests[0].trailers, requests[0].complete))

    def test_an_answer_can_be_written_down(self):
        self.recorder.answer = says(b"HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\nnew", then="close")
        self.assertEqual((201, b"new"), (lambda answer: (answer.status, answer.body))(self.ask(G)))
        self.assertEqual("closed", self.recorder.requests[0].connection.end)

    def test_a_refused_request_leaves_nothing(self):
        self.refuse_all([b"GET / HTTP/1.1\r\n\r\n", (b"G\0T / HTTP/1.1\r\nhost: a\r\n\r\n", 400)])

    def test_a_refusal_that_is_counted_twice_is_noticed(self):
        refused = self.assert_refused
        self.assert_refused = lambda *what: (refused(*what), refused(*what))
        with self.assertRaisesRegex(AssertionError, "counted once"):
            self.refuse_all([b"GET / HTTP/1.1\r\n\r\n"])

    def test_a_refusal_that_is_not_logged_is_noticed(self):
        self.sidecars[0].log = lambda condition: []
        self.addCleanup(self.sidecars[0].__dict__.pop, "log")
        with self.assertRaisesRegex(AssertionError, "logged once"):
            self.refuse_all([b"GET / HTTP/1.1\r\n\r\n"])

    def test_a_slow_canary_is_noticed(self):
        canary = self.canaries[0]
        took, canary.took = canary.took, [0.001] * 95 + [10.0] * 5
        self.addCleanup(setattr, canary, "took", took)
        with self.assertRaisesRegex(AssertionError, "99 of 100"):
            self.check_invariants()
        self.addCleanup(self.check_invariants)
        canary.took = [0.001] * 99 + [10.0]
        self.check_invariants()

    def test_what_is_forwarded_is_noticed(self):
        with self.assertRaisesRegex(AssertionError, "went upstream"):
            with self.nothing_forwarded():
                self.ask(G)

    def test_an_accepted_request_is_not_taken_for_a_refused_one(self):
        with self.assertRaises(AssertionError):
            self.assert_refused(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")


class PairStage(Stage):
    topology = "pair"

    def test_a_request_goes_through_both(self):
        answers, requests = self.forward(G)
        self.assertEqual((200, b"ok", "GET"), (answers[0].status, answers[0].body, requests[0].method))

    def test_a_refused_request_leaves_nothing(self):
        self.refuse_all([b"GET / HTTP/1.1\r\n\r\n"])


class Readers(unittest.TestCase):
    """What the recorder and the client would complain about."""

    def test_forms_that_are_not_canonical(self):
        for head in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nhost:a\r\n\r\n",
                     b"GET / HTTP/1.1\r\nhost:  a\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a \r\n\r\n",
                     b"GET / HTTP/1.1\r\nx y: a\r\n\r\n", b"GET / HTTP/1.1\r\nx: a\nb: c\r\n\r\n"):
            with self.subTest(head), self.assertRaises(wire.Malformed):
                wire.read_head(head)
        for fields in ([("content-length", "05")], [("content-length", "5"), ("content-length", "5")],
                       [("content-length", "5"), ("transfer-encoding", "chunked")], [("transfer-encoding", "Chunked")]):
            with self.subTest(fields), self.assertRaises(wire.Malformed):
                wire.framing_of(wire.Fields(fields))
        for chunk in (b"05\r\nhello\r\n", b"5;a\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloXX", b"A\r\n"):
            with self.subTest(chunk), self.assertRaises(wire.Malformed):
                wire.read_chunk(chunk, 0)

    def test_answers_that_are_not_complete(self):
        for data in (OK[:-1], OK + b"x", b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
                     b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n" + OK):
            with self.subTest(data), self.assertRaises(wire.Malformed):
                wire.read_answers(data)
        self.assertEqual(2, len(wire.read_answers(OK + OK)))


if __name__ == "__main__":
    unittest.main()
