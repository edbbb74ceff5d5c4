"""HTTP/1 rows: where a message ends, by Content-Length and Transfer-Encoding."""
import unittest

from stage import Stage

P = b"POST / HTTP/1.1\r\nHost: a\r\n"
HIDDEN = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def with_coding(value, body=b"5\r\nhello\r\n0\r\n\r\n"):
    return P + b"Transfer-Encoding: " + value + b"\r\n\r\n" + body


class Length(Stage):
    def test_H1_01_length_before_chunked(self):
        """`Content-Length: 6`, then `Transfer-Encoding: chunked`, with a body that hides a request -> refused with 400"""
        self.refuse_all([P + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\nG",
                         P + b"Content-Length: 0\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"])

    def test_H1_02_chunked_before_length(self):
        """`Transfer-Encoding: chunked`, then `Content-Length`, with a request inside the first chunk -> refused with 400"""
        inner = b"GPOST / HTTP/1.1\r\nContent-Length: 15\r\n\r\nx=1"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
        self.refuse_all([P + CHUNKED + b"Content-Length: 4\r\n\r\n" + body])

    def test_H1_03_two_lengths_that_differ(self):
        """Two Content-Length lines that differ, the second hiding a request -> refused with 400"""
        self.refuse_all([P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
                         P + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
                         P + b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n" % len(HIDDEN) + HIDDEN])

    def test_H1_04_a_length_said_more_than_once(self):
        """Content-Length repeated in two lines or as a list, also when equal -> refused with 400"""
        self.refuse_all([P + fields + b"\r\nhello" for fields in
                         (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"Content-Length: 5, 5\r\n",
                          b"Content-Length: 5, 6\r\n", b"Content-Length: 5,5,5\r\n", b"Content-Length: 5,\r\n")])

    def test_H1_06_an_empty_length(self):
        """An empty Content-Length, alone or before a real one that hides a request -> refused with 400"""
        self.refuse_all([P + b"Content-Length:\r\n\r\n", P + b"Content-Length: \r\n\r\nhello",
                         P + b"Content-Length:\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
                         P + b"Content-Length: %d\r\nContent-Length:\r\n\r\n" % len(HIDDEN) + HIDDEN])

    def test_H1_07_a_length_beyond_all_bounds(self):
        """Content-Length of 2^63, 2^64 and 30 digits -> refused with 400; it never wraps"""
        self.refuse_all([P + b"Content-Length: %d\r\n\r\nhello" % length for length in
                         (1 << 63, (1 << 64) - 1, 1 << 64, (1 << 64) + 5, 10 ** 29)])

    def test_H1_08_leading_zeros_in_a_length(self):
        """`Content-Length: 000000000000005` -> passes; upstream sees `content-length: 5`"""
        for digits in (b"000000000000005", b"05", b"0005"):
            _, (request,) = self.forward(P + b"Content-Length: " + digits + b"\r\n\r\nhello")
            self.assertEqual((["5"], b"hello"), (request.fields.values("content-length"), request.body))

    def test_H1_09_a_get_with_a_body(self):
        """GET with Content-Length 10 and its body, another request behind -> two requests, the body stays with its own"""
        answers, requests = self.forward(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890" + HIDDEN, 2)
        self.assertEqual([200, 200], [answer.status for answer in answers])
        self.assertEqual([("/", b"1234567890"), ("/evil", b"")], [(one.target, one.body) for one in requests])

    def test_H1_10_codings_that_are_not_chunked(self):
        """Values of Transfer-Encoding that look like chunked, are unknown, or empty beside a Content-Length -> refused with 400"""
        values = (b"xchunked", b"chunked\x0b", b"\x0bchunked", b"\x0cchunked", b'"chunked"', b"'chunked'",
                  b"chunked;a=b", b"chunk", b"chun ked", b"\xa0chunked\xa0", b"\xffchunked", b"identity", b"",
                  b"chunked,", b",chunked", b",", b"chunked, chunked", b"chunked, identity", b"cow, chunked", b"\x00")
        self.refuse_all([with_coding(value) for value in values] +
                        [P + b"Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello",
                         P + b"Content-Length: 5\r\nTransfer-Encoding:\r\n\r\nhello",
                         P + b"Content-Length: 5\r\nTransfer-Encoding: \t\r\n\r\nhello"])

    def test_H1_12_two_codings(self):
        """Transfer-Encoding in two lines: chunked twice, or chunked with something else -> refused with 400"""
        self.refuse_all([P + b"Transfer-Encoding: %s\r\nTransfer-Encoding: %s\r\n\r\n5\r\nhello\r\n0\r\n\r\n" % pair
                         for pair in ((b"chunked", b"chunked"), (b"identity", b"chunked"), (b"chunked", b"cow"),
                                      (b"cow", b"chunked"), (b"", b"chunked"), (b"chunked", b""))])

    def test_H1_13_codings_that_are_not_implemented(self):
        """`Transfer-Encoding: gzip, chunked`, `identity, chunked` and `gzip` -> refused with 501"""
        self.refuse_all([with_coding(value) for value in (b"gzip, chunked", b"identity, chunked", b"gzip")], status=501)

    def test_H1_14_chunked_in_http_1_0(self):
        """An HTTP/1.0 request with `Transfer-Encoding: chunked` -> refused with 400"""
        self.refuse_all([b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
                         b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + CHUNKED +
                         b"\r\n0\r\n\r\n" + HIDDEN])

    def test_H1_63_a_length_that_only_some_see(self):
        """A Content-Length hidden behind a blank or before 0xa0, the body being another request -> refused with 400"""
        self.refuse_all([P + b" Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
                         P + b"Content-Length\xa0: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
                         b"POST / HTTP/1.1\r\n Content-Length: %d\r\nHost: a\r\n\r\n" % len(HIDDEN) + HIDDEN,
                         P + b"X: y\r\n Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN])


class LengthTorn(Stage):
    """The same refusals when the bytes come one by one."""

    def test_byte_by_byte(self):
        for payload in (P + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n", P + b"Content-Length: 5, 5\r\n\r\n",
                        P + b"Transfer-Encoding: xchunked\r\n\r\n", P + b"Content-Length : 5\r\n\r\n"):
            with self.subTest(payload=payload), self.nothing_forwarded():
                with self.client() as client:
                    for index in range(len(payload)):
                        if not client.send(payload[index:index + 1]):
                            break
                    answers = client.answers()
                self.assertEqual([400], [answer.status for answer in answers])


if __name__ == "__main__":
    unittest.main()
