"""Matrix H2, the other side: origins that are hostile, broken, slow, or about to leave."""
import threading
import time
import unittest

import frames as f
import hpack_codec as h
from frames import (ACK, COMPRESSION_ERROR, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, NO_ERROR,
                    PING, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, WINDOW_UPDATE, next_request)
from http2_stage import Http2Stage, indefinitely
from mesh import pattern
from stage import wait_for

RAW = f.request(authority="raw")
UPLOAD = f.request("/upload", "POST", "http", "raw")
OK_HEAD = [(":status", "200")]


class Upstream(Http2Stage):
    def ask_raw(self, script, fields=RAW, seconds=30):
        """(client, status or None): what a client gets when the origin plays this script."""
        type(self).play = staticmethod(script)
        peer = self.h2()
        peer.send(f.headers(1, fields))
        found = peer.wait(lambda x: x.stream == 1 and (x.kind == RST_STREAM or (x.status or "1")[0] != "1"),
                          "an outcome", seconds)
        return peer, found.status

    def assert_bad_gateway(self, script, statuses=("502", "503")):
        peer, status = self.ask_raw(script)
        self.assertIn(status, statuses, peer.heard[-3:])
        self.assertIsNotNone(peer.head(1).field("tulle-error"))
        return peer

    def assert_raw_ended(self, codes, count=1):
        """The connections to the origin were ended with a GOAWAY of one of these codes."""
        self.assertGreaterEqual(len(self.raw.peers), count)
        wait_for(lambda: all(peer.over for peer in self.raw.peers), "the origin's connection is ended")
        for peer in self.raw.peers[:1]:
            self.assertIn(next((x.error for x in peer.heard if x.kind == GOAWAY), None), codes, peer.heard[-4:])

    # -- hostile

    def test_H2_40_floods_of_an_origin(self):
        """An origin that floods SETTINGS, PING, 1xx, unknown frames instead of answering -> 502; its connection is ended"""
        floods = (f.settings((f.INITIAL_WINDOW_SIZE, 65535)), f.ping(), f.frame(99, 0, 0, b"x"), f.priority(1, 3),
                  f.window_update(0, 1), f.headers(1, [(":status", "103")], END_HEADERS))
        for part in floods:
            def script(peer, _, part=part):
                next_request(peer)
                while peer.send_raw(part * 100):
                    pass
                while True:
                    peer.read()
            with self.subTest(part=part):
                self.raw.drop_connections()
                self.assert_bad_gateway(script)
                wait_for(lambda: all(peer.over for peer in self.raw.peers), "the origin's connection is ended")

    def test_H2_40_large_and_wrong_heads_of_an_origin(self):
        """Response heads of 100 KiB, of a compressed bomb, of HPACK garbage -> 502; garbage ends the connection"""
        large = f.block(OK_HEAD + [("x-%d" % i, "v" * 8000) for i in range(13)])
        pieces = [large[i:i + 16000] for i in range(0, len(large), 16000)]

        def large_head(peer, _):
            stream = next_request(peer).stream
            peer.send(f.headers(stream, pieces[0], 0), *[f.continuation(stream, part) for part in pieces[1:-1]],
                      f.continuation(stream, pieces[-1], END_HEADERS))
            peer.listen()

        def bomb(peer, _):
            stream = next_request(peer).stream
            peer.send(f.headers(stream, f.block(OK_HEAD) + h.inserted("x", "v" * 4000) +
                                h.indexed(h.FIRST_DYNAMIC) * 4000))
            peer.listen()

        def garbage(peer, _):
            peer.send(f.headers(next_request(peer).stream, b"\xff" * 40))
            peer.listen()
        for script in (large_head, bomb, garbage):
            self.raw.drop_connections()
            self.assert_bad_gateway(script)
        self.assert_raw_ended((COMPRESSION_ERROR,))

    def test_H2_40_resets_of_an_origin(self):
        """An origin that resets every stream -> 502 or 503 each, then a new connection; never a crash or a hang"""
        type(self).play = staticmethod(f.serve(lambda peer, head: peer.send(f.rst(head.stream, f.INTERNAL_ERROR))))
        peer = self.h2()
        for first in range(1, 400, 40):
            numbers = range(first, first + 40, 2)
            peer.send(*[f.headers(n, f.request("/", "POST", "http", "raw")) for n in numbers])
            for n in numbers:
                self.assertIn(peer.answer(n)[0], ("502", "503"))

    # -- broken

    def test_H2_41_unusable_answers(self):
        """Answers without or with two :status, with 101, upper case, wrong length, DATA first -> 502, or a reset; never complete"""
        bad = (f.headers(1, [("x", "1")]), f.headers(1, [(":status", "200"), (":status", "200")]),
               f.headers(1, [(":status", "101")]), f.headers(1, [(":status", "20")]), f.headers(1, [(":status", "999")]),
               f.headers(1, [("x", "1"), (":status", "200")]), f.headers(1, OK_HEAD + [("X", "1")]),
               f.headers(1, OK_HEAD + [("connection", "close")]), f.headers(1, OK_HEAD + [("x", "a\r\nb: c")]),
               f.data(1, b"x"), f.headers(1, [(":status", "103")]), f.headers(1, OK_HEAD + [("content-length", "5")]),
               f.headers(1, OK_HEAD + [("content-length", "x")]), f.headers(1, OK_HEAD + [(":path", "/")]),
               f.headers(1, [(":status", "200"), ("content-length", "5"), ("content-length", "6")]))
        for part in bad:
            def script(peer, _, part=part):
                next_request(peer)
                peer.send(part)
                peer.listen()
            with self.subTest(part=part):
                self.raw.drop_connections()
                self.assert_bad_gateway(script)

    def test_H2_41_truncated_answers(self):
        """A body longer or shorter than declared; the end missing, then the connection closed -> reset, never a clean end"""
        head = f.headers(1, OK_HEAD + [("content-length", "5")], END_HEADERS)
        scripts = (head + f.data(1, b"1234567", END_STREAM), head + f.data(1, b"123", END_STREAM),
                   head + f.data(1, b"123"), f.headers(1, OK_HEAD, END_HEADERS) + f.data(1, b"123"))
        for part in scripts:
            def script(peer, _, part=part):
                next_request(peer)
                peer.send(part)  # and the connection ends
            with self.subTest(part=part):
                self.raw.drop_connections()
                type(self).play = staticmethod(script)
                peer = self.h2()
                peer.send(f.headers(1, RAW))
                found = peer.wait(lambda x: x.kind == RST_STREAM or x.ends, "an end")
                self.assertTrue(found.kind == RST_STREAM or peer.head(1).status in ("502", "503"), peer.heard[-3:])

    def test_H2_42_trailers_of_answers(self):
        """Trailers with a pseudo-header, without END_STREAM, in upper case, with content-length -> reset, never a clean end"""
        bad = (f.headers(1, [(":status", "200")]), f.headers(1, [("x-sum", "1")], END_HEADERS),
               f.headers(1, [("X-Sum", "1")]), f.headers(1, [("content-length", "2")]))
        for part in bad:
            def script(peer, _, part=part):
                next_request(peer)
                peer.send(f.headers(1, OK_HEAD, END_HEADERS), f.data(1, b"ok"), part)
                peer.listen()
            with self.subTest(part=part):
                self.raw.drop_connections()
                type(self).play = staticmethod(script)
                peer = self.h2()
                peer.send(f.headers(1, RAW))
                found = peer.wait(lambda x: x.stream == 1 and (x.kind == RST_STREAM or x.ends), "an end")
                self.assertTrue(found.kind == RST_STREAM or peer.head(1).status == "502", peer.heard[-3:])

    def test_H2_32_push_from_an_origin(self):
        """PUSH_PROMISE from an origin, which was told not to -> GOAWAY(PROTOCOL_ERROR); 502"""
        def script(peer, _):
            stream = next_request(peer).stream
            peer.send(f.frame(PUSH_PROMISE, END_HEADERS, stream, bytes([0, 0, 0, 2]) + f.block(RAW)))
            peer.listen()
        self.assert_bad_gateway(script)
        self.assert_raw_ended((PROTOCOL_ERROR,))

    # -- about to leave

    def test_H2_39_goaway_of_an_origin(self):
        """GOAWAY whose number lies between two requests -> the one below is answered, the one above goes to a new connection"""
        both = threading.Event()

        def script(peer, number):
            if number > 1:
                return f.serve(lambda p, head: p.send(f.ok(head.stream, b"second")))(peer, number)
            one, two = next_request(peer), next_request(peer)
            both.set()
            peer.send(f.goaway(one.stream))
            peer.settle()
            peer.send(f.ok(one.stream, b"first"))
            self.assertLess(one.stream, two.stream)
            peer.listen()
        type(self).play = staticmethod(script)
        for path in ("POST", "GET"):
            with self.subTest(method=path):
                self.raw.drop_connections()
                peer = self.h2()
                fields = f.request("/", path, "http", "raw")
                peer.send(f.headers(1, fields), f.headers(3, fields))
                bodies = {peer.answer(1)[1], peer.answer(3)[1]}
                self.assertEqual({b"first", b"second"}, bodies)
                self.assertEqual({"200"}, set(self.statuses(peer)) - {None})

    def test_H2_39_a_refused_stream(self):
        """REFUSED_STREAM for a POST -> asked again, as nothing was processed; RST after the answer began is passed on"""
        asked = []

        def answer(peer, head):
            asked.append(head.stream)
            peer.send(f.rst(head.stream, REFUSED_STREAM) if len(asked) == 1 else f.ok(head.stream))
        type(self).play = staticmethod(f.serve(answer))
        peer = self.h2()
        peer.send(f.headers(1, f.request("/", "POST", "http", "raw")))
        self.assertEqual(("200", b"ok"), peer.answer(1))
        self.assertEqual(2, len(asked))

    # -- settings that change

    def test_H2_27_settings_of_an_origin_change(self):
        """MAX_CONCURRENT_STREAMS lowered, HEADER_TABLE_SIZE 0 and back, while serving -> honoured; everything is answered"""
        most = [0]
        changed = threading.Event()

        def script(peer, number):
            if number > 1:
                return indefinitely(peer, number)
            first = next_request(peer).stream
            peer.send(f.settings((f.MAX_CONCURRENT_STREAMS, 2), (f.HEADER_TABLE_SIZE, 0)), f.ok(first))
            while len([x for x in peer.heard if x.kind == f.SETTINGS and x.flags & ACK]) < 2:
                peer.read()
            changed.set()
            waiting = []
            while True:
                found = peer.read(0.3)
                if found is not None and found.kind == HEADERS:
                    waiting.append(found.stream)
                    most[0] = max(most[0], len(waiting))
                elif found is None and waiting:
                    peer.send(f.ok(waiting.pop(0)))
        type(self).play = staticmethod(script)
        peer = self.h2()
        peer.send(f.headers(1, RAW))
        self.assertEqual("200", peer.answer(1)[0])
        self.assertTrue(changed.wait(20))
        numbers = list(range(3, 23, 2))
        peer.send(*[f.headers(n, f.request("/%d" % n, authority="raw")) for n in numbers])
        self.assertEqual(["200"] * len(numbers), [peer.answer(n)[0] for n in numbers])
        self.assertIn(most[0], (1, 2))
        self.assertFalse([x for p in self.raw.peers for x in p.heard if x.kind == GOAWAY and x.error != NO_ERROR])

    def test_H2_25_window_flips_of_an_origin(self):
        """An origin that flips INITIAL_WINDOW_SIZE during an upload (here 200 changes) -> the body arrives byte for byte"""
        body = pattern(2 << 20)
        got = []

        def script(peer, _):
            stream = next_request(peer).stream
            peer.send(f.window_update(0, 0x7fffffff - 65535))
            flips = 0
            while not any(x.ends for x in peer.of(stream)):
                if peer.read() is None:
                    break
                have = sum(len(x.payload) for x in peer.of(stream, DATA))
                while flips < 100 and flips * 16384 <= have:
                    peer.send(f.settings((f.INITIAL_WINDOW_SIZE, 0)), f.settings((f.INITIAL_WINDOW_SIZE, 0x7fffffff)))
                    flips += 1
            got.append(b"".join(x.payload for x in peer.of(stream, DATA)))
            peer.send(f.ok(stream))
            peer.listen()
        type(self).play = staticmethod(script)
        peer = self.h2()
        peer.send(f.headers(1, UPLOAD, END_HEADERS))
        windows, at, seen = {0: 65535, 1: 65535}, 0, 0
        while at < len(body):
            while seen < len(peer.heard) or min(windows.values()) <= 0:
                if seen == len(peer.heard):
                    self.assertIsNotNone(peer.read(), "the windows stay shut")
                for x in peer.heard[seen:]:
                    if x.kind == WINDOW_UPDATE:
                        windows[x.stream] += x.number()
                seen = len(peer.heard)
            size = min(16384, len(body) - at, *windows.values())
            peer.send(f.data(1, body[at:at + size], END_STREAM if at + size == len(body) else 0))
            at += size
            windows[0] -= size
            windows[1] -= size
        self.assertEqual("200", peer.answer(1)[0])
        self.assertEqual(body, got[0])

    def test_an_answer_that_comes_early_ends_the_upload(self):
        """The origin answers and resets with NO_ERROR while the upload goes on: the answer arrives, nothing fails."""
        def script(peer, _):
            stream = next_request(peer).stream
            peer.send(f.ok(stream, b"enough"), f.rst(stream, NO_ERROR))
            peer.listen()
        type(self).play = staticmethod(script)
        peer = self.h2()
        peer.send(f.headers(1, UPLOAD, END_HEADERS), f.data(1, bytes(1000)))
        self.assertEqual(("200", b"enough"), peer.answer(1))
        self.assertIn(peer.wait(lambda x: x.kind == RST_STREAM, "the end of the upload", 15).error, (NO_ERROR,))


class Silence(Http2Stage):
    """The times are fixed: an origin is asked for a sign of life after 15 s, and has 20 s to give one."""

    def test_H2_34_a_silent_origin(self):
        """An origin that says nothing while a request is open -> one PING after 15 s; 20 s later 502, and a new connection"""
        pinged = []

        def script(peer, number):
            if number > 1:
                return f.serve(lambda p, head: p.send(f.ok(head.stream)))(peer, number)
            next_request(peer)
            while True:
                found = peer.read(600)
                if found is not None and found.kind == PING:
                    pinged.append(found)
        type(self).play = staticmethod(script)
        peer = self.h2()
        begun = time.monotonic()
        peer.send(f.headers(1, f.request("/", "POST", "http", "raw")))
        self.assertIn(peer.head(1, 60).status, ("502", "503", "504"))
        self.assertGreater(time.monotonic() - begun, 34)
        self.assertEqual(1, len(pinged))
        peer.send(f.headers(3, RAW))
        self.assertEqual("200", peer.answer(3)[0])

    def test_H2_34_a_slow_origin(self):
        """An origin that thinks for 32 s and answers the PING -> answered; no second PING, which gRPC servers would punish"""
        pings = []

        def script(peer, _):
            stream = next_request(peer).stream
            until = time.monotonic() + 32
            while time.monotonic() < until:
                found = peer.read(0.2)
                if found is not None and found.kind == PING and not found.flags & ACK:
                    pings.append(found)
                    peer.send(f.ping(found.payload, ACK))
            peer.send(f.ok(stream, b"thought"))
            peer.listen()
        type(self).play = staticmethod(script)
        peer = self.h2()
        peer.send(f.headers(1, RAW))
        self.assertEqual("200", peer.head(1, 60).status)
        self.assertEqual(("200", b"thought"), peer.answer(1))
        self.assertEqual(1, len(pings))


if __name__ == "__main__":
    unittest.main()
