"""Matrix H2, the connection: prefaces, settings, frames, stream numbers, GOAWAY."""
import threading
import time
import unittest

import frames as f
from frames import (ACK, CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
                    GOAWAY, NO_ERROR, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
                    REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE)
from http2_stage import Http2Stage
from recorder import says_ok
from stage import wait_for

GET = f.request()


class Prefaces(Http2Stage):
    manager = {"request_headers_timeout": "2s"}

    def test_H2_01_preface(self):
        """No preface, half of one, garbage, a wrong end -> ended within the head timeout; nothing upstream"""
        with self.nothing_forwarded():
            begun = time.monotonic()
            for name, part in (("http2", b""), ("http2", PREFACE[:9]), ("outbound", PREFACE[:9])):
                with self.subTest("silent", listener=name, part=part):
                    self.connect(name).send_raw(part)
            for client in self.clients:
                client.ended(15)
            self.assertGreater(time.monotonic() - begun, 1.0)
            garbage = (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\x16\x03\x01" + bytes(40), b"\0" * 64,
                       b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            for part in garbage:
                with self.subTest("garbage", part=part):
                    peer = self.connect("http2")
                    peer.send_raw(part)
                    self.assertIn(peer.goaway(5), (PROTOCOL_ERROR, None))
            for part in garbage[:1]:
                peer = self.connect("outbound")
                peer.send_raw(part)
                peer.ended(5)
            peer = self.connect("http2")
            peer.send(PREFACE, f.ping())  # the first frame must be SETTINGS
            self.assertEqual(PROTOCOL_ERROR, peer.goaway())

    def test_H2_07_a_head_of_drips(self):
        """A head in pieces of one byte that each come in time -> ended by the head's total time; nothing upstream"""
        with self.nothing_forwarded():
            peer = self.h2()
            block = f.block(GET)
            peer.send(f.headers(1, block[:1], END_STREAM))
            begun = time.monotonic()
            for i in range(1, 8):
                if peer.over or any(frame.kind == GOAWAY for frame in peer.heard):
                    break
                peer.send(f.continuation(1, block[i:i + 1]))
                try:
                    peer.read(0.6)
                except f.Ended:
                    break
            self.assertEqual(ENHANCE_YOUR_CALM, peer.goaway(10))
            self.assertLess(time.monotonic() - begun, 8.0)

    def test_H2_45_what_was_not_negotiated(self):
        """ALPN h2 then HTTP/1; ALPN http/1.1 or an HTTP/1 port then a preface -> ended; PRI is never a method upstream"""
        with self.nothing_forwarded():
            peer = self.connect(tls=True, alpn=("h2",))
            self.assertEqual("h2", peer.socket.selected_alpn_protocol())
            peer.send_raw(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            self.assertIn(peer.goaway(5), (PROTOCOL_ERROR, None))
            for where in ({"tls": True, "alpn": ("http/1.1",)}, {"listener_name": "http1"}):
                with self.subTest(where):
                    peer = self.connect(**where)
                    peer.send_raw(PREFACE + f.settings() + f.headers(1, GET))
                    data = bytearray()
                    while True:
                        try:
                            part = peer.socket.recv(65536)
                        except OSError:
                            break
                        if not part:
                            break
                        data += part
                    self.assertRegex(bytes(data[:12]), rb"^HTTP/1\.1 (400|505)")


class Frames(Http2Stage):
    def test_H2_16_many_settings(self):
        """One SETTINGS frame with 2000 entries -> GOAWAY(ENHANCE_YOUR_CALM)"""
        self.assert_connection_error(ENHANCE_YOUR_CALM, f.settings(*[(0x4444, 1)] * 2000))

    def test_H2_17_wrong_settings(self):
        """SETTINGS with values, a length or a stream that must not be -> GOAWAY with the code of RFC 9113, 6.5"""
        cases = ((PROTOCOL_ERROR, f.settings((f.ENABLE_PUSH, 2))),
                 (FLOW_CONTROL_ERROR, f.settings((f.INITIAL_WINDOW_SIZE, 1 << 31))),
                 (PROTOCOL_ERROR, f.settings((f.MAX_FRAME_SIZE, 100))),
                 (PROTOCOL_ERROR, f.settings((f.MAX_FRAME_SIZE, 1 << 24))),
                 (FRAME_SIZE_ERROR, f.frame(SETTINGS, 0, 0, bytes(7))),
                 (FRAME_SIZE_ERROR, f.frame(SETTINGS, ACK, 0, bytes(6))),
                 (PROTOCOL_ERROR, f.frame(SETTINGS, 0, 1, b"")))
        for code, part in cases:
            with self.subTest(part=part):
                self.assert_connection_error(code, part)

    def test_H2_22_window_updates(self):
        """WINDOW_UPDATE by 0, or beyond 2^31-1 -> GOAWAY on the connection, RST_STREAM on a stream"""
        opened = f.headers(1, f.post(), END_HEADERS)
        self.assert_connection_error(PROTOCOL_ERROR, f.window_update(0, 0))
        self.assert_connection_error(FLOW_CONTROL_ERROR, f.window_update(0, 0x7fffffff))
        # RFC 9113, 6.9 lets the increment of 0 on a stream be an error of either.
        peer = self.h2()
        peer.send(opened, f.window_update(1, 0))
        peer.wait(lambda frame: frame.kind in (RST_STREAM, GOAWAY), "an error")
        self.assertEqual(PROTOCOL_ERROR, next(x for x in peer.heard if x.kind in (RST_STREAM, GOAWAY)).error)
        self.assert_stream_error(FLOW_CONTROL_ERROR, opened, f.window_update(1, 0x7fffffff))

    def test_H2_28_stream_numbers(self):
        """Stream numbers that are even, 0, falling or used -> GOAWAY(PROTOCOL_ERROR or STREAM_CLOSED); the last one serves"""
        self.assert_connection_error(PROTOCOL_ERROR, f.headers(2, GET))
        self.assert_connection_error(PROTOCOL_ERROR, f.headers(0, GET))
        errors = (PROTOCOL_ERROR, STREAM_CLOSED)
        self.assert_connection_error(errors, f.headers(3, GET), f.headers(1, GET))
        peer = self.h2()
        self.works(peer, 1)
        peer.send(f.headers(1, GET))
        self.assertIn(peer.goaway(), errors)
        peer = self.h2()
        self.works(peer, 0x7fffffff)
        peer.settle()  # and stays, until the client has opened another connection
        peer.send(f.headers(0x7ffffffd, GET))
        self.assertIn(peer.goaway(), errors)

    def test_H2_29_frame_sizes(self):
        """Frames beyond the maximum size, or of the wrong size for their type -> FRAME_SIZE_ERROR"""
        opened = f.headers(1, f.post(), END_HEADERS)
        cases = (f.headers(1, bytes(16385)), f.settings(*[(0x4444, 1)] * 2731), f.frame(99, 0, 0, bytes(16385)),
                 opened + f.frame(RST_STREAM, 0, 1, bytes(3)), opened + f.frame(WINDOW_UPDATE, 0, 1, bytes(5)),
                 f.frame(PING, 0, 0, bytes(7)), f.frame(GOAWAY, 0, 0, bytes(7)))
        for part in cases:
            with self.subTest(part=part[:20]):
                self.assert_connection_error(FRAME_SIZE_ERROR, part)
        for part in (f.data(1, bytes(16385)), f.frame(PRIORITY, 0, 1, bytes(4))):
            with self.subTest("of a stream or of the connection", part=part[:20]):
                peer = self.h2()
                peer.send(opened, part)
                peer.wait(lambda frame: frame.kind in (RST_STREAM, GOAWAY), "an error")
                self.assertEqual(FRAME_SIZE_ERROR, next(x for x in peer.heard if x.kind in (RST_STREAM, GOAWAY)).error)

    def test_H2_31_frames_in_the_wrong_state(self):
        """Frames on idle streams, after END_STREAM, after our RST -> PROTOCOL_ERROR, STREAM_CLOSED, ignored"""
        for part in (f.data(5, b"x"), f.rst(5), f.window_update(5, 1)):
            with self.subTest("idle", part=part):
                self.assert_connection_error(PROTOCOL_ERROR, part)
        closed = (STREAM_CLOSED,)
        held = f.headers(1, f.request("/held"))
        self.recorder.answer = lambda connection, request: connection.wait_end()
        self.assert_connection_error(closed, held, f.data(1, b"late", END_STREAM))
        self.assert_connection_error(closed, held, f.headers(1, GET))
        self.recorder.begin()
        peer = self.h2()
        peer.send(f.headers(1, f.post("/", (":bad", "1")), END_HEADERS))
        self.assertEqual(PROTOCOL_ERROR, peer.reset(1))
        for _ in range(20):
            peer.send(f.data(1, b"on its way"), f.window_update(1, 1))
        peer.send(f.headers(1, [("trailer", "1")]), f.rst(1))
        self.works(peer, 3)

    def test_H2_32_push_from_a_client(self):
        """PUSH_PROMISE from a client -> GOAWAY(PROTOCOL_ERROR)"""
        opened = f.headers(1, f.post(), END_HEADERS)
        promise = f.frame(PUSH_PROMISE, END_HEADERS, 1, bytes([0, 0, 0, 2]) + f.block(GET))
        self.assert_connection_error(PROTOCOL_ERROR, opened, promise)

    def test_H2_33_interrupted_heads(self):
        """A header block interrupted by DATA, PRIORITY, another stream, an unknown frame -> GOAWAY(PROTOCOL_ERROR); nothing upstream"""
        begun = f.headers(1, f.block(GET)[:10], END_STREAM)
        with self.nothing_forwarded():
            for part in (f.data(1, b"x"), f.priority(1, 3), f.headers(3, GET), f.frame(99, 0, 0, b"x"),
                         f.continuation(3, b"", END_HEADERS), f.ping(), f.rst(1)):
                with self.subTest(part=part):
                    self.assert_connection_error(PROTOCOL_ERROR, begun, part)
            self.assert_connection_error(PROTOCOL_ERROR, f.continuation(1, f.block(GET), END_HEADERS))

    def test_H2_38_goaway_from_a_client(self):
        """GOAWAY with a request in flight; twice, rising; then new streams -> answered; PROTOCOL_ERROR; no crash"""
        peer = self.h2()
        peer.send(f.headers(1, GET), f.goaway(0))
        self.assertEqual(("200", b"ok"), peer.answer(1))
        peer = self.h2()
        peer.send(f.goaway(2), f.goaway(4))
        self.assertEqual(PROTOCOL_ERROR, peer.goaway())
        peer = self.h2()
        self.recorder.answer = lambda connection, request: (wait_for(sent.is_set, "the rest"), says_ok(connection, request))
        sent = threading.Event()
        peer.send(f.headers(1, GET), f.goaway(0), *[f.headers(n, GET) for n in range(3, 21, 2)])
        sent.set()
        self.assertEqual("200", peer.answer(1)[0])
        peer.send(f.rst(3, CANCEL))
        peer.close()

    def test_H2_26_too_many_streams(self):
        """101 streams; 400 before our SETTINGS are acknowledged -> REFUSED_STREAM for the surplus; the first 100 go on"""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def answer(connection, request):
            go_on.wait(60)
            says_ok(connection, request)
        for count, acknowledges in ((101, True), (400, False)):
            with self.subTest(streams=count):
                go_on.clear()
                self.recorder.answer = answer
                peer = self.connect()
                peer.greet(acknowledge=acknowledges)
                numbers = list(range(1, 2 * count, 2))
                peer.send(*[f.headers(n, GET) for n in numbers])
                refused = numbers[100:]
                for number in refused:
                    self.assertEqual(REFUSED_STREAM, peer.reset(number))
                go_on.set()
                for number in numbers[:100]:
                    self.assertEqual("200", peer.answer(number)[0])
                self.assertFalse([x for x in peer.heard if x.kind == GOAWAY], peer.heard[-4:])

    def test_H2_30_flow_control(self):
        """DATA beyond a window; padding beyond the payload; 10000 padded frames -> FLOW_CONTROL_ERROR; PROTOCOL_ERROR; counted exactly"""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def unread(connection, request):
            self.recorder.pause(connection)
            go_on.wait(60)
            connection.close()
        opened = f.headers(1, f.post(), END_HEADERS)
        self.recorder.answer = unread
        peer = self.h2()
        window = next((int.from_bytes(x.payload[i + 2:i + 6], "big") for x in peer.heard if x.kind == SETTINGS
                       for i in range(0, len(x.payload), 6) if x.payload[i:i + 2] == b"\0\4"), 65535)
        peer.send(opened, *[f.data(1, bytes(16000))] * (window // 16000 + 200))
        peer.wait(lambda frame: frame.kind in (RST_STREAM, GOAWAY), "an error")
        self.assertEqual(FLOW_CONTROL_ERROR, next(x for x in peer.heard if x.kind in (RST_STREAM, GOAWAY)).error)
        go_on.set()
        self.recorder.begin()
        self.assert_connection_error(PROTOCOL_ERROR, opened, f.frame(DATA, PADDED, 1, b"\x20" + bytes(10)))
        self.assert_connection_error((PROTOCOL_ERROR, FRAME_SIZE_ERROR), opened, f.frame(DATA, PADDED, 1, b""))
        self.padded_frames(10000)

    def padded_frames(self, count):
        """Only what has been allowed is sent; were padding not given back, it would never end."""
        peer = self.h2()
        peer.send(f.headers(1, f.post("/padded"), END_HEADERS))
        windows = {0: 65535, 1: 65535}
        for frame in peer.heard:
            if frame.kind == WINDOW_UPDATE:
                windows[frame.stream] += frame.number()
        seen = len(peer.heard)
        body = b""
        for i in range(count):
            payload = b"%05d" % i
            size = len(payload) + 1 + 200
            while min(windows.values()) < size:
                peer.read()
                for frame in peer.heard[seen:]:
                    if frame.kind == WINDOW_UPDATE:
                        windows[frame.stream] += frame.number()
                seen = len(peer.heard)
            body += payload
            peer.send(f.padded(1, payload, 200))
            for number in windows:
                windows[number] -= size
        peer.send(f.data(1, b"", END_STREAM))
        self.assertEqual("200", peer.answer(1)[0])
        self.assertEqual(body, self.recorder.wait_requests(1)[0].body)
        self.assertEqual(NO_ERROR, next((x.error for x in peer.heard if x.kind == GOAWAY), NO_ERROR))

    def test_an_unsolicited_echo_is_ignored(self):
        peer = self.h2()
        peer.send(f.ping(flags=ACK))
        self.works(peer, 1)


if __name__ == "__main__":
    unittest.main()
