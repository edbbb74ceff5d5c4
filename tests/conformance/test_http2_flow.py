"""Matrix H2, flow control: windows that are small, change, never open; clients that do not read."""
import time
import unittest

import frames as f
from frames import CANCEL, DATA, GOAWAY, INITIAL_WINDOW_SIZE, RST_STREAM, WINDOW_UPDATE
from http2_stage import Http2Stage
from mesh import pattern, wait_for

GET = f.request()
LARGEST = 0x7fffffff


class Produced:
    """An answer of so many bytes, sent in pieces, and how much of it the sidecar has taken."""

    def __init__(self, size):
        self.size, self.sent, self.ends = size, 0, 0
        self.body = pattern(size)

    def __call__(self, connection, request):
        connection.read_body(request)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % self.size)
        for at in range(0, self.size, 65536):
            if not connection.send(self.body[at:at + 65536]):
                self.ends += 1
                return
            self.sent += min(65536, self.size - at)
        self.ends += 1  # all of it: the kernel's buffers can hold a few MiB


class Windows(Http2Stage):
    manager = {"stream_idle_timeout": "3s"}

    def test_H2_23_drips_of_window(self):
        """10 MiB on each of 20 streams, a window of 1 byte that drips -> held back upstream; streams reset (here after 3 to 6 s)"""
        produced = Produced(10 << 20)
        self.recorder.answer = produced
        peer = self.h2((INITIAL_WINDOW_SIZE, 1))
        numbers = list(range(1, 41, 2))
        peer.send(*[f.headers(n, GET) for n in numbers])
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline:
            peer.read(0.4)
            open_ones = [n for n in numbers if not peer.of(n, RST_STREAM)]
            if not open_ones:
                break
            peer.send(*[f.window_update(n, 1) for n in open_ones])
            while peer.read(0.05) is not None:
                pass
        self.assertEqual({CANCEL}, {peer.reset(n, 1) for n in numbers})
        self.assertLess(sum(len(x.payload) for x in peer.heard if x.kind == DATA), 20 * 200)
        self.assertLess(produced.sent, 20 * (9 << 20))
        self.assertFalse([x for x in peer.heard if x.kind == GOAWAY])
        self.recorder.begin()
        peer.send(f.settings((INITIAL_WINDOW_SIZE, 65535)))
        self.works(peer, 1001)

    def test_H2_24_a_client_that_does_not_read(self):
        """20 answers of 8 MiB, all windows open, nothing read -> upstream held back; given up after the write stall (here 3 s)"""
        produced = Produced(8 << 20)
        self.recorder.answer = produced
        peer = self.connect(small_window=True)
        peer.send(f.PREFACE, f.settings((INITIAL_WINDOW_SIZE, LARGEST)), f.window_update(0, LARGEST - 65535))
        peer.send(*[f.headers(n, GET) for n in range(1, 41, 2)])
        self.recorder.wait_requests(20)
        wait_for(lambda: produced.ends == 20, lambda: "answers that nobody reads go on", 25)
        self.assertLess(produced.sent, 20 * (7 << 20))


class ChangingWindows(Http2Stage):
    def test_H2_25_initial_window_flips(self):
        """INITIAL_WINDOW_SIZE between 0 and 2^31-1, again and again (here 300 changes), with data in flight -> byte for byte"""
        body = pattern(6 << 20)
        self.recorder.answer = Produced(len(body))
        peer = self.h2()
        peer.send(f.window_update(0, LARGEST - 65535), f.headers(1, GET))
        flips = 0
        while not any(x.ends for x in peer.of(1)):
            self.assertIsNotNone(peer.read(), "nothing comes")
            have = sum(len(x.payload) for x in peer.of(1, DATA))
            while flips < 150 and flips * 32768 < have:
                peer.send(f.settings((INITIAL_WINDOW_SIZE, 0)), f.settings((INITIAL_WINDOW_SIZE, LARGEST)))
                flips += 1
        self.assertGreaterEqual(flips, 150)
        self.assertEqual(body, b"".join(x.payload for x in peer.of(1, DATA)))
        self.recorder.begin()
        self.works(peer, 3)

    def test_a_window_of_zero_that_opens_later(self):
        """Negative windows: what is in flight when the window shrinks is not sent twice, and nothing beyond it."""
        body = pattern(300000)
        self.recorder.answer = Produced(len(body))
        peer = self.h2()
        peer.send(f.headers(1, GET))
        while sum(len(x.payload) for x in peer.of(1, DATA)) < 65535:
            peer.read()
        peer.send(f.settings((INITIAL_WINDOW_SIZE, 10)), f.window_update(0, 1 << 20))
        peer.settle()
        peer.send(f.window_update(1, 65525))  # 65535 - 10 were too many: now it is zero
        peer.settle()
        self.assertEqual(65535, sum(len(x.payload) for x in peer.of(1, DATA)))
        peer.send(f.window_update(1, 7))
        while sum(len(x.payload) for x in peer.of(1, DATA)) < 65535 + 7:  # in as many frames as it likes
            peer.read()
        peer.settle()
        self.assertEqual(65535 + 7, sum(len(x.payload) for x in peer.of(1, DATA)))
        peer.send(f.settings((INITIAL_WINDOW_SIZE, 1 << 20)))
        status, got = peer.answer(1, opens_windows=False)
        self.assertEqual(("200", body), (status, got))

    def test_windows_follow_what_is_taken(self):
        """A client that honours windows can upload 3 MiB, and is never given more than the largest window at once."""
        peer = self.h2()
        peer.send(f.headers(1, f.post("/upload"), f.END_HEADERS))
        body, at, seen = pattern(3 << 20), 0, 0
        windows = {0: 65535, 1: 65535}
        settings = next(x for x in peer.heard if x.kind == f.SETTINGS)
        for i in range(0, len(settings.payload), 6):
            if settings.payload[i:i + 2] == b"\0\4":
                windows[1] = int.from_bytes(settings.payload[i + 2:i + 6], "big")
        while at < len(body):
            while min(windows.values()) <= 0 or seen < len(peer.heard):
                if seen == len(peer.heard):
                    self.assertIsNotNone(peer.read(), "the windows stay shut")
                for x in peer.heard[seen:]:
                    if x.kind == WINDOW_UPDATE:
                        windows[x.stream] += x.number()
                seen = len(peer.heard)
            self.assertLessEqual(windows[1], 1 << 20)
            size = min(16384, len(body) - at, *windows.values())
            peer.send(f.data(1, body[at:at + size], f.END_STREAM if at + size == len(body) else 0))
            at += size
            windows[0] -= size
            windows[1] -= size
        self.assertEqual("200", peer.answer(1)[0])
        self.assertEqual(body, self.recorder.wait_requests(1)[0].body)


if __name__ == "__main__":
    unittest.main()
