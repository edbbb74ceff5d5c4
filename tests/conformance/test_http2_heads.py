"""Matrix H2, heads: malformed, endless, compressed beyond reason."""
import unittest

import frames as f
import hpack_codec as h
from frames import (CANCEL, COMPRESSION_ERROR, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, PROTOCOL_ERROR,
                    REFUSED_STREAM, RST_STREAM)
from http2_stage import Http2Stage, resident

GET = f.request()


class Heads(Http2Stage):
    def test_H2_04_fields_without_end(self):
        """A head of 101 fields; 61 KiB in few fields -> 431, or reset when far beyond; nothing upstream"""
        with self.nothing_forwarded():
            peer = self.h2()
            peer.send(f.headers(1, GET + [("x", "y")] * 101))
            self.assertEqual("431", peer.head(1).status)
            head = f.block(GET + [("x-%d" % i, "v" * 6100) for i in range(10)])
            parts = [head[i:i + 16000] for i in range(0, len(head), 16000)]
            peer.send(f.headers(3, parts[0], END_STREAM), *[f.continuation(3, part) for part in parts[1:-1]],
                      f.continuation(3, parts[-1], END_HEADERS))
            self.assertEqual("431", peer.head(3).status)
            self.assertEqual("header_too_large", peer.head(3).field("tulle-error"))

    def test_H2_05_malformed_heads(self):
        """10000 heads without :path -> each reset, then GOAWAY(ENHANCE_YOUR_CALM); nothing upstream"""
        bad = [(":method", "GET"), (":scheme", "http"), (":authority", "a")]
        with self.nothing_forwarded():
            peer = self.h2()
            peer.send(*[f.headers(n, bad) for n in range(1, 20000, 2)])
            self.assertEqual(ENHANCE_YOUR_CALM, peer.goaway())
            last = next(x for x in peer.heard if x.kind == GOAWAY).number(0)
            self.assertLess(last / 2, 1000)

    def test_H2_06_continuations(self):
        """A head that 10000 CONTINUATION frames continue: empty, 1 byte, 16 KiB -> GOAWAY after 8 of them; nothing upstream"""
        with self.nothing_forwarded():
            for piece in (b"", b"\x82", bytes(16000)):
                with self.subTest(size=len(piece)):
                    peer = self.h2()
                    peer.send(f.headers(1, f.block(GET), END_STREAM), *[f.continuation(1, piece)] * 9)
                    if len(piece) < 2:
                        self.assertIn(peer.goaway(), (ENHANCE_YOUR_CALM, PROTOCOL_ERROR))
                    else:
                        peer.send(*[f.continuation(1, piece)] * 200)
                        self.assertIn(peer.goaway(), (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR))

    def test_H2_08_compressed_bomb(self):
        """An entry of 4000 bytes referenced 4000 times -> 431 or reset at 60 KiB decoded; no memory held; nothing upstream"""
        peer = self.h2()
        peer.send(f.headers(1, f.block(GET) + h.inserted("x", "v" * 4000)))
        self.assertEqual("200", peer.answer(1)[0])
        with self.nothing_forwarded():
            before = resident(self.sidecars[0].pid)
            for number in range(3, 203, 2):
                peer.send(f.headers(number, f.block(GET) + h.indexed(h.FIRST_DYNAMIC) * 4000))
            peer.wait(lambda x: x.kind in (RST_STREAM, GOAWAY) or x.stream == 3, "an outcome")
            first = next(x for x in peer.heard if x.stream == 3 or x.kind == GOAWAY)
            self.assertTrue(first.status == "431" or first.error == ENHANCE_YOUR_CALM, first)
            self.assertLess(resident(self.sidecars[0].pid) - before, 4 << 20)

    def test_H2_09_many_large_heads(self):
        """100 heads of 59 KiB each that cost 20 bytes -> served up to the bound of their sum, then REFUSED_STREAM"""
        self.recorder.answer = lambda connection, request: connection.wait_end()
        peer = self.h2()
        peer.send(f.headers(1, f.block(GET) + h.inserted("x", "v" * 4000)))
        for number in range(3, 103, 2):
            peer.send(f.headers(number, f.block(GET) + h.indexed(h.FIRST_DYNAMIC) * 14))
        def refused_ones():
            return [x for x in peer.heard if x.kind == RST_STREAM]
        while len(refused_ones()) < 44:
            self.assertIsNotNone(peer.read(), "%d of 50 are refused" % len(refused_ones()))
        while peer.read(0.5) is not None:
            pass
        refused = refused_ones()
        self.assertEqual({REFUSED_STREAM}, {x.error for x in refused})
        self.recorder.wait_requests(51 - len(refused), complete=False)
        peer.send(*[f.rst(n, CANCEL) for n in range(1, 103, 2) if not peer.of(n, RST_STREAM)])
        self.recorder.begin()
        self.works(peer, 201)  # what was held has been given back

    def test_H2_10_cookie_crumbs(self):
        """10000 crumbs of a cookie; 101; 90 -> 431; 431; joined with "; " """
        peer = self.h2()
        with self.nothing_forwarded():
            crumbs = h.inserted("cookie", "a") + h.indexed(h.FIRST_DYNAMIC) * 9999
            peer.send(f.headers(1, f.block(GET) + crumbs))
            self.assertTrue(peer.wait(lambda x: x.stream == 1, "an outcome").status == "431" or peer.reset(1))
            peer = self.h2()
            peer.send(f.headers(1, GET + [("cookie", "a=%d" % i) for i in range(101)]))
            self.assertEqual("431", peer.head(1).status)
        peer.send(f.headers(3, GET + [("cookie", "a=%d" % i) for i in range(90)]))
        self.assertEqual("200", peer.answer(3)[0])
        self.assertEqual(["; ".join("a=%d" % i for i in range(90))],
                         self.recorder.wait_requests(1)[0].fields.values("cookie"))

    def test_H2_11_table_sizes(self):
        """A table size above ours; in the middle of a block -> GOAWAY(COMPRESSION_ERROR); several in front of it are obeyed"""
        with self.nothing_forwarded():
            for block in (h.table_size(8192) + f.block(GET), f.block(GET) + h.table_size(100),
                          f.block(GET[:2]) + h.table_size(100) + f.block(GET[2:])):
                with self.subTest(block=block[:8]):
                    self.assert_connection_error(COMPRESSION_ERROR, f.headers(1, block))
        # RFC 7541, 4.2 limits encoders to two; a decoder that follows more does no harm.
        peer = self.h2()
        peer.send(f.headers(1, f.block(GET) + h.inserted("x", "1")))
        peer.send(f.headers(3, h.table_size(0) + h.table_size(50) + h.table_size(4096) + f.block(GET)))
        self.assertEqual("200", peer.answer(3)[0])
        peer.send(f.headers(5, f.block(GET) + h.indexed(h.FIRST_DYNAMIC)))  # what was evicted is gone
        self.assertEqual(COMPRESSION_ERROR, peer.goaway())

    def test_H2_13_huffman(self):
        """Huffman coding with EOS inside, padding of 8 bits, of zeros; a field without a name -> GOAWAY or RST_STREAM; nothing upstream"""
        with self.nothing_forwarded():
            a = h.huffman_bits(b"aaa")
            eos = a + h.huffman_bits([h.EOS])
            coded = (h.bits_to_bytes(eos + "1" * (-len(eos) % 8)), h.huffman("aaa") + b"\xff",
                     h.bits_to_bytes(a + "0" * (-len(a) % 8)), b"\xff\xff\xff\xff")
            for value in coded:
                with self.subTest(value=value):
                    block = f.block(GET) + b"\0" + h.string("x") + h.coded_string(value)
                    self.assert_connection_error(COMPRESSION_ERROR, f.headers(1, block))
            self.assert_stream_error_only(f.headers(1, GET + [("", "x")]))

    def assert_stream_error_only(self, part):
        peer = self.h2()
        peer.send(part)
        self.assertEqual(PROTOCOL_ERROR, peer.reset(1))
        peer.settle()

    def test_H2_14_indexes(self):
        """Index 0, and beyond both tables -> GOAWAY(COMPRESSION_ERROR); nothing upstream"""
        with self.nothing_forwarded():
            for block in (b"\x80", h.indexed(h.FIRST_DYNAMIC), h.indexed(1 << 20), b"\xff\xff\xff\xff\xff\xff\xff\x7f",
                          h.integer(h.FIRST_DYNAMIC, 4) + h.string("x")):
                with self.subTest(block=block):
                    self.assert_connection_error(COMPRESSION_ERROR, f.headers(1, f.block(GET) + block))

    def test_H2_42_trailers_of_requests(self):
        """Trailers with a pseudo-header, without END_STREAM, in upper case, with content-length -> RST_STREAM(PROTOCOL_ERROR)"""
        opened = f.headers(1, f.post("/trailers"), END_HEADERS)
        trailers = (f.headers(1, [(":path", "/x")]), f.headers(1, [("x-sum", "1")], END_HEADERS),
                    f.headers(1, [("X-Sum", "1")]), f.headers(1, [("content-length", "1")]),
                    f.headers(1, [("transfer-encoding", "chunked")]), f.headers(1, [("x", "a\r\nb: c")]))
        for part in trailers:
            with self.subTest(part=part):
                self.assert_stream_error(PROTOCOL_ERROR, opened, part)
        self.assertFalse([r for r in self.recorder.requests if r.target == "/trailers" and r.complete])
        peer = self.h2()
        peer.send(opened, f.data(1, b"body"), f.headers(1, [("x-sum", "1")]))
        self.assertEqual("200", peer.answer(1)[0])
        self.assertEqual([("x-sum", "1")], [r for r in self.recorder.requests if r.complete][-1].trailers)

    def test_H2_03_malformed_fields(self):
        """Fields with CR, LF, NUL, upper case, spaces, or of a connection -> RST_STREAM(PROTOCOL_ERROR); nothing upstream"""
        fields = [("x", "a\r\nb: c"), ("x", "a\0b"), ("x", "a\nb"), ("X", "a"), ("x y", "a"), ("x", " a"),
                  ("x", "a "), ("connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "x"),
                  ("te", "gzip"), (":unknown", "a"), (":status", "200"), ("x:y", "a")]
        with self.nothing_forwarded():
            for field in fields:
                with self.subTest(field=field):
                    peer = self.h2()
                    peer.send(f.headers(1, GET + [field]))
                    self.assertEqual(PROTOCOL_ERROR, peer.reset(1))
                    peer.settle()


if __name__ == "__main__":
    unittest.main()
