"""HTTP/1 rows: chunks, their extensions, and trailers."""
import os
import unittest

import wire
from stage import Stage

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Chunks(Stage):
    def refuse_chunks(self, *bodies, status=400):
        self.refuse_all([HEAD + body for body in bodies], status)

    def test_H1_29_sizes_that_are_no_hexadecimal_number(self):
        """Chunk sizes `0x5 +5 -5 5_0 5h G`, with blanks around, and empty -> refused with 400"""
        self.refuse_chunks(*(size + b"\r\nhello\r\n" + LAST for size in
                             (b"0x5", b"+5", b"-5", b"5_0", b"5 ", b" 5", b"5\t", b"\t5", b"", b"G", b"5h", b"5.0", b"\x005")))

    def test_H1_30_sizes_beyond_all_bounds(self):
        """Chunk sizes of 2^63 and more, and of more than 16 digits with leading zeros -> refused with 400; nothing wraps"""
        self.refuse_chunks(*(size + b"\r\nhello\r\n" + LAST for size in
                             (b"10000000000000005", b"FFFFFFFFFFFFFFFF", b"8000000000000000", b"FFFFFFFFFFFFFFFB",
                              b"0" * 16 + b"5", b"0" * 40 + b"5")))

    def test_H1_30_leading_zeros_within_bounds(self):
        """A chunk size with leading zeros, 16 digits at most -> passes; upstream sees none"""
        _, (request,) = self.forward(HEAD + b"0000000000000005\r\nhello\r\n000\r\n\r\n")
        self.assertEqual(b"hello", request.body)

    def test_H1_31_lines_ended_by_lf(self):
        """A chunk line, or that of the last chunk, ended by LF -> refused with 400"""
        self.refuse_chunks(b"5\nhello\r\n" + LAST, b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\n" + LAST,
                           b"5\r\nhello\r\n0\r\n\n")

    def test_H1_32_cr_without_lf(self):
        """CR without LF behind a chunk size, an extension or chunk data -> refused with 400"""
        self.refuse_chunks(b"5\rXhello\r\n" + LAST, b"2\r\r;a\r\n" + LAST, b"5;a\rXhello\r\n" + LAST,
                           b"5\r\nhello\rX" + LAST, b"5\r\nhello\r\r\n" + LAST)

    def test_H1_33_lf_inside_an_extension(self):
        """LF before, within or instead of an extension -> refused with 400"""
        self.refuse_chunks(b"5;\nhello\r\n" + LAST, b"5;a=b\nXhello\r\n" + LAST, b"1\n;ext\r\nZ\r\n" + LAST,
                           b"5;a\n=b\r\nhello\r\n" + LAST)

    def test_H1_34_control_bytes_in_an_extension(self):
        """CR, CRLF or NUL within an extension or its quoted string -> refused with 400"""
        self.refuse_chunks(b'5;a="\r\nX"\r\nhello\r\n' + LAST, b"5;\x00ext\r\nhello\r\n" + LAST,
                           b'5;a="\x00"\r\nhello\r\n' + LAST, b'5;a="\rX"\r\nhello\r\n' + LAST,
                           b'5;a="\\\r\n"\r\nhello\r\n' + LAST, b'5;a="\n"\r\nhello\r\n' + LAST,
                           b"5;a=\x7f\r\nhello\r\n" + LAST)

    def test_H1_35_good_extensions(self):
        """Well-formed extensions with tokens and quoted strings -> pass; upstream never sees them"""
        _, (request,) = self.forward(HEAD + b'5;a=b;c="d"\r\nhello\r\n1;x\r\n!\r\n0;last="a\\"b; c"\r\n\r\n')
        self.assertEqual(b"hello!", request.body)
        self.assertNotIn(b";", self.recorder.bytes())

    def test_H1_36_bad_extensions(self):
        """Extensions without a name or a value -> refused with 400"""
        self.refuse_chunks(*(line + b"\r\nhello\r\n" + LAST for line in
                             (b"5;", b"5;=x", b"5;a=", b"5;;a", b"5;a=b;", b'5;a="b', b'5;a="b"c', b"5; a=b", b"5;a =b")))

    def test_H1_38_an_empty_line_before_the_last_chunk(self):
        """CRLF between the data and the next chunk line -> refused with 400"""
        self.refuse_chunks(b"5\r\nhello\r\n\r\n" + LAST, b"\r\n5\r\nhello\r\n" + LAST, b"6\r\nhello\r\n" + LAST + b"x",
                           b"4\r\nhello\r\n" + LAST)

    def test_H1_39_a_flood_of_extensions(self):
        """16 KiB of extension on every 1-byte chunk, without end -> refused with 400 at the first; nothing is parsed any more"""
        chunk = b"1;" + b"e" * 16384 + b"\r\nx\r\n"
        before = cpu_seconds(self.sidecars[0].pid)
        with self.nothing_forwarded():
            with self.client() as client:
                sent = 0
                while sent < 1 << 30 and client.send((HEAD if not sent else b"") + chunk * 16):
                    sent += 16 * len(chunk)
        # What still comes is thrown away unread, and not for long.
        self.assertLess(sent, 64 << 20, "the connection was left open")
        self.assertLess(cpu_seconds(self.sidecars[0].pid) - before, 5.0)

    def test_H1_39_extensions_within_each_line_but_not_in_all(self):
        """Short extensions that add up to more than 4 KiB in one message -> refused with 400"""
        self.refuse_chunks((b"1;" + b"e" * 200 + b"\r\nx\r\n") * 21 + LAST, b"1;" + b"e" * 300 + b"\r\nx\r\n" + LAST)
        _, (request,) = self.forward(HEAD + (b"1;" + b"e" * 200 + b"\r\nx\r\n") * 20 + LAST)
        self.assertEqual(b"x" * 20, request.body)

    def test_H1_40_a_body_of_tiny_chunks(self):
        """A body in 1-byte chunks, 256 KiB (10 MiB with TULLE_SOAK) -> passes; upstream gets few large chunks"""
        size = 10 << 20 if os.environ.get("TULLE_SOAK") else 256 << 10
        block = 1 << 14
        with self.client(seconds=120) as client:
            client.send(HEAD)
            for _ in range(size // block):
                client.send(b"1\r\nx\r\n" * block)
            client.send(LAST)
            self.assertEqual(200, client.answer().status)
        request = self.recorder.wait_requests(1)[0]
        self.assertEqual((size, b""), (len(request.body), request.body.strip(b"x")))
        head = wire.read_head(request.connection.received).size if request.connection.number == 0 else 0
        overhead = len(self.recorder.bytes()) - head - size
        self.assertLess(overhead, size // 4, "chunks are passed on as they came")

    def test_H1_41_framing_names_in_trailers(self):
        """Trailers that name Transfer-Encoding, Content-Length or Host, also with underscores -> refused with 400"""
        self.refuse_chunks(*(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" for trailer in
                             (b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Host: b", b"content_length: 5",
                              b"transfer_encoding: x", b"x_forwarded_client_cert: x")))

    def test_H1_41_other_names_in_trailers(self):
        """Trailers that authenticate, route or describe the body -> dropped, never merged; others pass as trailers"""
        names = ("Authorization", "Cookie", "X-Forwarded-Client-Cert", "Content-Type", "Content-Encoding", "Connection",
                 "TE", "Trailer", "Upgrade", "Keep-Alive", "X-Forwarded-For", "Forwarded", "Via", "Expect", "Tulle-Peer")
        trailers = "".join("%s: evil\r\n" % name for name in names).encode()
        _, (request,) = self.forward(HEAD + b"5\r\nhello\r\n0\r\n" + trailers + b"X-Sum: 1\r\n\r\n")
        self.assertEqual([("x-sum", "1")], request.trailers)
        self.assertNotIn("evil", str(request.fields))
        self.assertIsNone(request.fields["x-sum"])

    def test_H1_41_lines_of_trailers_are_judged_like_those_of_the_head(self):
        """Malformed trailer lines: blank before the colon, folded, bare LF, control bytes -> refused with 400"""
        self.refuse_chunks(*(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" for trailer in
                             (b"x : y", b"x: y\r\n z", b"x: y\nz: a", b"x: \x00", b": y", b"garbage", b"x: a\rb")))

    def test_H1_43_too_many_trailers(self):
        """1 MiB of trailers, 10 000 trailer fields, 21 fields -> refused with 431"""
        self.refuse_chunks(*(b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n" for trailers in
                             (b"x: " + b"y" * (1 << 20) + b"\r\n", b"x: y\r\n" * 10000, b"x: y\r\n" * 21,
                              b"x: " + b"y" * 9000 + b"\r\n", b"n" * 9000 + b": y\r\n")), status=431)
        _, (request,) = self.forward(HEAD + b"0\r\n" + b"x: y\r\n" * 20 + b"\r\n")
        self.assertEqual([("x", "y")] * 20, request.trailers)

    def test_a_bad_chunk_after_the_head_has_gone_never_completes_a_request(self):
        """What was forwarded before the violation stays incomplete, and its connection ends (I7)."""
        for body in (b"0x5\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloXX", b"0\r\nContent-Length: 5\r\n\r\n"):
            with self.subTest(body):
                self.recorder.begin()
                with self.client() as client:
                    client.send(HEAD + b"3\r\nabc\r\n")
                    request = self.recorder.wait_requests(1, complete=False)[0]
                    client.send(body + LAST)
                    self.assertEqual([400], [answer.status for answer in client.answers()])
                self.assertIn(request.connection.wait_end(), ("fin", "reset"))
                self.assertFalse(request.complete)


class ChunksThroughAPair(Stage):
    topology = "pair"

    def test_what_comes_in_chunks_leaves_in_chunks(self):
        _, (request,) = self.forward(HEAD + b"5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\nCookie: x\r\n\r\n")
        self.assertEqual((b"hello", [("x-sum", "1")]), (request.body, request.trailers))


if __name__ == "__main__":
    unittest.main()
