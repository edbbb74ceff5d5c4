"""1 GiB up and 1 GiB down through a mutual TLS pair, with a reader that is slower than the writer.

    ./tests/run --only soak
    TULLE_BUILD=build/release python3 tests/e2e/soak_bodies.py     with figures of memory

The client speaks HTTP/1.1 or HTTP/2. Bytes must be equal; the memory of both sidecars is watched, and
in a build without sanitizers it must stay below 32 MiB.
"""
import contextlib
import hashlib
import os
import socket
import subprocess
import threading
import time
import unittest

from mesh import (H1, H2, SIDECAR, Mesh, bootstrap, client_tls, cluster, host, listener, program, route, server_tls,
                  spiffe)

SIZE = int(os.environ.get("TULLE_SOAK_BYTES", 1 << 30))
BLOCK = 1 << 18
PACE = 80e6        # bytes a second that the slow side reads
MOST = 32 << 20


def is_sanitized():
    with open(SIDECAR, "rb") as program_file:
        return b"__asan_init" in program_file.read()


def blocks():
    """SIZE bytes, no block like another."""
    filler = bytes(range(256)) * (BLOCK // 256)
    for number in range(SIZE // BLOCK):
        yield number.to_bytes(8, "big") + filler[8:]


def digest(pieces):
    result = hashlib.sha256()
    for piece in pieces:
        result.update(piece)
    return result.hexdigest()


def slowly(read):
    """The pieces that read() returns, at PACE on average, with a standstill now and then."""
    begin, done, pauses = time.monotonic(), 0, 0
    while True:
        piece = read(1 << 16)
        if not piece:
            return
        yield piece
        done += len(piece)
        if done // (SIZE // 8) > pauses:
            pauses += 1
            time.sleep(0.5)
            begin += 0.5
        behind = done / PACE - (time.monotonic() - begin)
        if behind > 0:
            time.sleep(behind)


class BodyOrigin:
    """PUT: reads slowly and answers with the digest. GET: SIZE bytes as fast as they are taken."""

    def __init__(self):
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen(16)
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with connection, connection.makefile("rb") as reader, contextlib.suppress(OSError):
            line, fields = reader.readline(), {}
            while True:
                name, _, value = reader.readline().decode().strip().partition(":")
                if not name:
                    break
                fields[name.lower()] = value.strip()
            if line.startswith(b"GET"):
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % SIZE)
                for block in blocks():
                    connection.sendall(block)
                return
            if fields.get("expect"):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            answer = digest(self.body(reader, fields)).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(answer) + answer)

    @staticmethod
    def body(reader, fields):
        if "content-length" in fields:
            left = [int(fields["content-length"])]

            def read(most):
                piece = reader.read(min(most, left[0]))
                left[0] -= len(piece)
                return piece
        else:
            def read(_):
                size = int(reader.readline(), 16)
                piece = reader.read(size)
                reader.readline()
                return piece
        return slowly(read)


def resident(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


class Bodies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.close)
        cls.origin = BodyOrigin()
        cls.addClassCleanup(cls.origin.listening.close)
        cls.expected = digest(blocks())
        cls.inbound = cls.mesh.sidecar("inbound", bootstrap(
            listener("inbound", host("all", ["*"], route("origin", timeout="0s")), inbound=True, tls=server_tls()),
            cluster("origin", cls.origin.port), node="callee", identity=cls.mesh.identity("callee"), workers=1))
        cls.outbound = cls.mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("all", ["*"], route("peer", timeout="0s"))),
            cluster("peer", cls.inbound.port("inbound"), protocol="auto", tls=client_tls(spiffe("callee"))),
            node="caller", identity=cls.mesh.identity("caller"), workers=1))
        cls.url = "http://127.0.0.1:%d/" % cls.outbound.port("outbound")

    @contextlib.contextmanager
    def watched(self, what):
        highest, stop = {}, threading.Event()

        def watch():
            while not stop.is_set():
                for sidecar in (self.outbound, self.inbound):
                    highest[sidecar.name] = max(highest.get(sidecar.name, 0), resident(sidecar.pid))
                stop.wait(0.02)
        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.monotonic()
        yield
        took = time.monotonic() - begin
        stop.set()
        watcher.join()
        print("%s, %d MiB in %.0f s: highest RSS %s" % (what, SIZE >> 20, took, ", ".join(
            "%s %.1f MiB" % (name, most / (1 << 20)) for name, most in sorted(highest.items()))), flush=True)
        if not is_sanitized():
            for name, most in highest.items():
                self.assertLess(most, MOST, name)

    def curl(self, *arguments, **more):
        return subprocess.Popen([program("curl"), "-q", "-sS", "--fail", "--noproxy", "*", *arguments, self.url], **more)

    def upload(self, version, what):
        with self.watched(what + " upload, the server reads slowly"):
            curl = self.curl(*version, "-T", "-", "-H", "expect:", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for block in blocks():
                curl.stdin.write(block)
            curl.stdin.close()
            answer = curl.stdout.read().decode()
            curl.stdout.close()
            self.assertEqual((0, self.expected), (curl.wait(60), answer))

    def download(self, version, what):
        with self.watched(what + " download, the client reads slowly"):
            curl = self.curl(*version, "-N", stdout=subprocess.PIPE)
            got = digest(slowly(curl.stdout.read1))
            curl.stdout.close()
            self.assertEqual((0, self.expected), (curl.wait(60), got))

    def test_http1_upload(self):
        self.upload(H1, "HTTP/1.1")

    def test_http1_download(self):
        self.download(H1, "HTTP/1.1")

    def test_http2_upload(self):
        self.upload(H2, "HTTP/2")

    def test_http2_download(self):
        self.download(H2, "HTTP/2")


if __name__ == "__main__":
    unittest.main()
