"""Matrix H2, floods: work for us, none for the sender. The budget of a connection is 200 tokens and
one per stream, 50 a second come back: what is sent here at once is a little more than that pays for.
"""
import threading
import time
import unittest

import frames as f
from frames import ACK, CANCEL, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, PING, SETTINGS
from http2_stage import Http2Stage, cpu_seconds, resident

GET = f.request()


class Floods(Http2Stage):
    def flood(self, peer, part, count, batch=100):
        """Sends until it is over; all there is to hear is read later."""
        for _ in range(0, count, batch):
            if not peer.send_raw(part * batch):
                break
        return peer

    def assert_calmed(self, part, count, *before):
        memory = resident(self.sidecars[0].pid)
        peer = self.h2()
        peer.send(*before)
        self.flood(peer, part, count)
        self.assertEqual(ENHANCE_YOUR_CALM, peer.goaway(), peer.heard[-3:])
        self.assertLess(resident(self.sidecars[0].pid) - memory, 4 << 20)
        return peer

    def test_H2_02_rapid_reset(self):
        """Streams opened and reset at once, without end (here 20000) -> GOAWAY(ENHANCE_YOUR_CALM) within 1000; few upstream"""
        before = len(self.recorder.connections)
        peer = self.h2()
        for first in range(1, 40000, 200):
            if not peer.send(*[f.headers(n, GET) + f.rst(n) for n in range(first, first + 200, 2)]):
                break
        self.assertEqual(ENHANCE_YOUR_CALM, peer.goaway())
        last = next(x for x in peer.heard if x.kind == GOAWAY).number(0)
        self.assertLessEqual(last / 2, 1000)
        self.assertLessEqual(len(self.recorder.connections) - before, 100)

    def test_H2_02_made_you_reset(self):
        """Streams that are opened and then broken, so that we reset them -> GOAWAY(ENHANCE_YOUR_CALM) within 1000"""
        peer = self.h2()
        for first in range(1, 4000, 200):
            if not peer.send(*[f.headers(n, f.post(), END_HEADERS) + f.window_update(n, 0)
                               for n in range(first, first + 200, 2)]):
                break
        self.assertIn(peer.goaway(), (ENHANCE_YOUR_CALM, f.PROTOCOL_ERROR))
        last = next(x for x in peer.heard if x.kind == GOAWAY).number(0)
        self.assertLessEqual(last / 2, 1000)

    def test_H2_15_settings(self):
        """A flood of SETTINGS (here 20000) whose acknowledgements nobody reads -> ended; no memory held"""
        peer = self.assert_calmed(f.settings((f.INITIAL_WINDOW_SIZE, 65535)), 20000)
        self.assertLessEqual(len([x for x in peer.heard if x.kind == SETTINGS and x.flags & ACK]), 1000)

    def test_H2_18_pings(self):
        """A flood of PING (here 20000) -> GOAWAY(ENHANCE_YOUR_CALM); of length 7, on a stream -> FRAME_SIZE_ERROR, PROTOCOL_ERROR"""
        peer = self.assert_calmed(f.ping(), 20000)
        self.assertLessEqual(len([x for x in peer.heard if x.kind == PING]), 1000)
        self.assert_connection_error(f.FRAME_SIZE_ERROR, f.ping(b"1234567"))
        self.assert_connection_error(f.PROTOCOL_ERROR, f.ping(stream=1))

    def test_H2_19_empty_data(self):
        """100 empty DATA frames; DATA of padding alone; empty trailers -> GOAWAY(ENHANCE_YOUR_CALM) within 100; trailers may be empty"""
        opened = f.headers(1, f.post(), END_HEADERS)
        for part in (f.data(1), f.padded(1, b"", 10)):
            with self.subTest(part=part):
                self.assert_calmed(part, 100, opened)
        peer = self.h2()
        peer.send(opened, f.headers(1, b""))
        self.assertEqual("200", peer.answer(1)[0])
        peer.send(f.headers(3, f.post(), END_HEADERS), f.headers(3, b"", END_HEADERS))  # trailers must end it
        self.assertEqual(f.PROTOCOL_ERROR, peer.reset(3))

    def test_H2_20_priorities(self):
        """A flood of PRIORITY on idle streams; between two streams (here 20000 each) -> GOAWAY(ENHANCE_YOUR_CALM); no memory held"""
        peer = self.h2()
        memory = resident(self.sidecars[0].pid)
        for first in range(1, 40000, 200):
            if not peer.send(*[f.priority(n, 0) for n in range(first, first + 200, 2)]):
                break
        self.assertEqual(ENHANCE_YOUR_CALM, peer.goaway())
        self.assertLess(resident(self.sidecars[0].pid) - memory, 4 << 20)
        self.assert_calmed(f.priority(1, 3) + f.priority(3, 1), 10000)

    def test_H2_21_window_updates(self):
        """A flood of WINDOW_UPDATE by 1 (here 20000) -> GOAWAY(ENHANCE_YOUR_CALM)"""
        self.assert_calmed(f.window_update(0, 1), 20000)

    def test_H2_35_unknown_frames(self):
        """Unknown frame types and settings: 100, then 20000 -> ignored; GOAWAY(ENHANCE_YOUR_CALM)"""
        peer = self.h2()
        peer.send(*[f.frame(kind, 0xff, 0, b"ignored") for kind in range(16, 116)], f.settings((0x4444, 1), (0xfff0, 9)))
        self.works(peer, 1)
        self.assert_calmed(f.frame(99, 0, 0, b"x"), 20000)
        self.assert_calmed(f.settings((0x4444, 1)), 20000)

    def test_H2_37_many_resets(self):
        """1000, then 2000 resets over one connection, each beside a good exchange -> served; CPU time grows linearly"""
        def play(count):
            peer = self.h2()
            begun = cpu_seconds(self.sidecars[0].pid)
            for first in range(1, 4 * count, 80):
                numbers = range(first, first + 80, 4)
                peer.send(*[f.headers(n, GET) + f.headers(n + 2, GET) + f.rst(n + 2, CANCEL) for n in numbers])
                for n in numbers:
                    self.assertEqual("200", peer.answer(n)[0])
                del peer.heard[:]
            return cpu_seconds(self.sidecars[0].pid) - begun
        play(200)
        once, twice = play(1000), play(2000)
        self.assertLess(twice, 2.5 * once + 0.2)

    def test_H2_15_nothing_is_read(self):
        """A client that asks for acknowledgements slowly enough and never reads -> what waits for it is bounded; ended"""
        memory = resident(self.sidecars[0].pid)
        peer = self.h2(small_window=True)
        part = b"".join(f.ping(b"%08d" % i) for i in range(40))
        deadline = time.monotonic() + 20
        while peer.send_raw(part) and time.monotonic() < deadline:
            if len(peer.heard) > 10 ** 6:
                break
        self.assertLess(time.monotonic(), deadline, "the flood of a client that does not read goes on")
        self.assertLess(resident(self.sidecars[0].pid) - memory, 4 << 20)


if __name__ == "__main__":
    unittest.main()
