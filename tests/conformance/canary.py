"""Well-behaved clients that run while a class of tests throws things at the sidecar.

Each asks its own origin a few times a second over one connection that it keeps; whatever goes wrong is
written down. The HTTP/2 client needs no HPACK decoder: it allows the other side no table, so that
`:status: 200` is always the same byte.
"""
import socket
import threading
import time

import wire

SECONDS = 20.0  # a sanitizer build on a busy machine
# 99 of 100 requests may take no longer. Alone they take one or two milliseconds; the rest is room for the
# sanitizers, for a test that keeps this very process busy, and for whatever else the machine does. A
# sidecar that lets one client hold up others exceeds it by far: it answers when that one is done.
PATIENCE_OF_MOST = 1.0


class Canary:
    def __init__(self, port, authority, period=0.1):
        self.port, self.authority, self.period = port, authority, period
        self.done = 0
        self.slowest = 0.0
        self.took = []
        self.failures = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._stopping.set()
        self._thread.join(2 * SECONDS)

    def wait_done(self, count):
        """Until so many more requests have succeeded; False when one has failed."""
        wanted = self.done + count
        deadline = time.monotonic() + SECONDS
        while self.done < wanted and not self.failures and time.monotonic() < deadline:
            self._stopping.wait(0.01)
        return self.done >= wanted

    def most_took(self):
        """In seconds, what 99 of 100 requests took at most; of few, all but the slowest."""
        took = sorted(self.took)
        return took[max(0, min(len(took) - 2, int(0.99 * len(took)) - 1))] if took else 0.0

    def _run(self):
        while not self._stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as self.socket:
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.begin()
                    self._ask_until_stopped()
            except (OSError, AssertionError, wire.Malformed, wire.Incomplete) as problem:
                if self._stopping.is_set():
                    return
                self.failures.append("request %d: %s: %s" % (self.done, type(problem).__name__, problem))
                self._stopping.wait(0.2)

    def _ask_until_stopped(self):
        while not self._stopping.is_set():
            begin = time.monotonic()
            body = b"%d" % self.done * 20 if self.done % 2 else None
            self.ask("/echo" if body else "/bytes/16", body, body or b"0000000\n0000001\n")
            self.took.append(time.monotonic() - begin)
            self.slowest = max(self.slowest, self.took[-1])
            self.done += 1
            self._stopping.wait(self.period)

    def receive(self):
        part = self.socket.recv(1 << 16)
        if not part:
            raise AssertionError("the sidecar has closed the connection")
        return part


class Http1Canary(Canary):
    def begin(self):
        pass

    def ask(self, path, body, expected):
        head = "%s %s HTTP/1.1\r\nhost: %s\r\n" % ("POST" if body else "GET", path, self.authority)
        if body:
            head += "content-length: %d\r\n" % len(body)
        self.socket.sendall(head.encode() + b"\r\n" + (body or b""))
        data = bytearray()
        while True:
            try:
                answer, end = wire.read_answer(data)
                break
            except wire.Incomplete:
                data += self.receive()
        assert (answer.status, answer.body, end) == (200, expected, len(data)), answer


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(value):
    assert len(value) < 127
    return bytes((len(value),)) + value.encode()


class Http2Canary(Canary):
    DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
    END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32

    def begin(self):
        self.data = bytearray()
        self.next_stream = 1
        no_table = (1).to_bytes(2, "big") + (0).to_bytes(4, "big")
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(self.SETTINGS, 0, 0, no_table))

    def ask(self, path, body, expected):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        block = (b"\x83" if body else b"\x82") + b"\x86\x04" + literal(path) + b"\x01" + literal(self.authority)
        out = frame(self.HEADERS, self.END_HEADERS | (0 if body else self.END_STREAM), stream, block)
        if body:
            out += frame(self.DATA, self.END_STREAM, stream, body)
        self.socket.sendall(out)
        status, got, ended = None, b"", False
        while not ended:
            kind, flags, about, payload = self.read_frame()
            if kind == self.GOAWAY:
                raise AssertionError("GOAWAY %r" % payload)
            if kind == self.SETTINGS and not flags & self.ACK:
                self.socket.sendall(frame(self.SETTINGS, self.ACK, 0))
            elif kind == self.PING and not flags & self.ACK:
                self.socket.sendall(frame(self.PING, self.ACK, 0, payload))
            elif about == stream:
                if kind == self.RST_STREAM:
                    raise AssertionError("RST_STREAM %r" % payload)
                if kind == self.HEADERS and status is None:
                    status = self.status_byte(payload, flags)
                if kind == self.DATA:
                    got += payload
                    if payload:
                        self.socket.sendall(frame(self.WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big")))
                ended = kind in (self.HEADERS, self.DATA) and bool(flags & self.END_STREAM)
        assert (status, got) == (0x88, expected), (status, got)

    @staticmethod
    def status_byte(block, flags):
        assert not flags & (Http2Canary.PADDED | Http2Canary.PRIORITY), flags
        while block and 0x20 <= block[0] < 0x40:  # a table size update, of one byte as it is zero
            block = block[1:]
        return block[0] if block else None

    def read_frame(self):
        while len(self.data) < 9 or len(self.data) < 9 + int.from_bytes(self.data[:3], "big"):
            self.data += self.receive()
        size = int.from_bytes(self.data[:3], "big")
        kind, flags, stream = self.data[3], self.data[4], int.from_bytes(self.data[5:9], "big")
        payload = bytes(self.data[9:9 + size])
        del self.data[:9 + size]
        return kind, flags, stream, payload
