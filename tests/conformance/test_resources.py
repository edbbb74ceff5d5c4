"""Resource exhaustion: who uses up what we have is bounded, others go on, and it comes back.

Figures of memory are taken from the release build by memory_figures.py; here, with sanitizers, the
budget's own count (tulle_memory_used_bytes) is looked at.
"""
import contextlib
import gzip
import glob
import os
import resource
import selectors
import socket
import struct
import threading
import time
import unittest

import wire
from canary import frame
from own_network import inside
from stage import OK, Stage, allow_files, open_files
from http2_stage import cpu_seconds
from mesh import (PATIENCE, ROOT, Mesh, bootstrap, cluster, curl, host, listener, probes, route, says, unused_port,
                  wait_for)

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS = 1, 4
REFUSED_STREAM = 7
MIB = 1 << 20


def used(sidecar):
    return sidecar.metric("tulle_memory_used_bytes")


def settled(figure):
    """The figure, when it has not changed for half a second."""
    last, since = figure(), time.monotonic()
    while time.monotonic() - since < 0.5:
        now = figure()
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)
    return last


class Silent:
    """An upstream that accepts and neither reads nor says anything; its sockets take next to nothing."""

    def __init__(self):
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen(4096)
        self.port = self.listening.getsockname()[1]
        self.kept = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.kept.append(self.listening.accept()[0])

    def drop(self):
        """Ends what it has taken, and takes no more."""
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for sock in self.kept:
            sock.close()


class Generous(Silent):
    """An upstream that answers each request with 64 MiB, as fast as they are taken."""
    SIZE = 64 * MIB
    PIECE = bytes(MIB)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock = self.listening.accept()[0]
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
                self.kept.append(sock)
                threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock):
        with contextlib.suppress(OSError):
            while sock.recv(4096):
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % self.SIZE)
                for _ in range(self.SIZE // len(self.PIECE)):
                    sock.sendall(self.PIECE)

    def drop(self):
        for sock in self.kept:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        super().drop()


def connect(port, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", port))
    return sock


@contextlib.contextmanager
def many(port, count, **more):
    """So many connections, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(port, **more)) for _ in range(count)]


def send_all_at_once(socks, data, answers=None):
    """Writes `data` to every socket as fast as each takes it; stops where one takes no more for a while.
    What is answered meanwhile is collected in `answers`, by socket."""
    selector = selectors.DefaultSelector()
    events = selectors.EVENT_WRITE if answers is None else selectors.EVENT_WRITE | selectors.EVENT_READ
    for sock in socks:
        sock.setblocking(False)
        selector.register(sock, events, memoryview(data))
    sent = 0
    while selector.get_map():
        ready = selector.select(2.0)
        if not ready:
            break
        for key, mask in ready:
            if mask & selectors.EVENT_READ:
                with contextlib.suppress(OSError):
                    answers[key.fileobj] = answers.get(key.fileobj, b"") + key.fileobj.recv(4096)
                selector.unregister(key.fileobj)  # it has its answer
                continue
            try:
                count = key.fileobj.send(key.data[:1 << 18])
            except BlockingIOError:
                continue
            except OSError:
                selector.unregister(key.fileobj)
                continue
            sent += count
            rest = key.data[count:]
            if rest:
                selector.modify(key.fileobj, events, rest)
            else:
                selector.unregister(key.fileobj)
    for sock in socks:
        sock.setblocking(True)
        sock.settimeout(PATIENCE)
    return sent


def answer_of(sock, pause=2.0):
    """The bytes of the answer, up to the end or a pause."""
    data = b""
    sock.settimeout(pause)
    with contextlib.suppress(OSError):
        while True:
            part = sock.recv(1 << 16)
            if not part:
                break
            data += part
    return data


def hear(socks, enough):
    """What each says, and which of them ended, until it is enough or patience has ended."""
    heard, ended = {sock: b"" for sock in socks}, set()
    selector = selectors.DefaultSelector()
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
    deadline = time.monotonic() + PATIENCE
    while selector.get_map() and time.monotonic() < deadline and not enough(heard, ended):
        for key, _ in selector.select(1.0):
            part = b""
            with contextlib.suppress(OSError):
                part = key.fileobj.recv(1 << 16)
            heard[key.fileobj] += part
            if not part:
                selector.unregister(key.fileobj)
                ended.add(key.fileobj)
    return heard, ended


def count_of(sock, mark, wanted):
    """How often the mark comes, until it has come as often as wanted or the connection ends."""
    count, rest = 0, b""
    while count < wanted:
        part = sock.recv(1 << 18)
        if not part:
            break
        rest += part
        count += rest.count(mark)
        rest = rest[-(len(mark) - 1):]
    return count


# ---- HTTP/2 by hand ---------------------------------------------------------------------------------

def h2_preface(window=None):
    settings = b"" if window is None else struct.pack(">HI", 4, window)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings)


def h2_request(stream, path=b"/", method=b"\x82", ended=True, authority=b"a"):
    block = method + b"\x86\x04" + bytes((len(path),)) + path + b"\x01" + bytes((len(authority),)) + authority
    return frame(HEADERS, END_HEADERS | (END_STREAM if ended else 0), stream, block)


def h2_frames(data):
    at = 0
    while len(data) - at >= 9:
        size = int.from_bytes(data[at:at + 3], "big")
        if len(data) - at < 9 + size:
            return
        yield data[at + 3], data[at + 4], int.from_bytes(data[at + 5:at + 9], "big"), bytes(data[at + 9:at + 9 + size])
        at += 9 + size


class Resources(Stage):
    """A stage for rows that need no configuration of their own."""
    more_hosts = [host("direct", ["direct"], says("hello"))]

    @classmethod
    def setUpClass(cls):
        allow_files(2500)  # the sidecar inherits it
        super().setUpClass()

    def test_RX_01_heads_that_drip(self):
        """2,000 connections whose heads come a byte a second (slowloris) -> each is answered 408 and closed 10 s after its head began; others are served"""
        begin = time.monotonic()
        with many(self.port, 2000) as socks:
            left = set(socks)
            answers = {}
            selector = selectors.DefaultSelector()
            for sock in socks:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nx-drip: ")
                selector.register(sock, selectors.EVENT_READ)
            next_drip = begin + 1
            while left and time.monotonic() < begin + 25:
                for key, _ in selector.select(max(0.0, next_drip - time.monotonic())):
                    with contextlib.suppress(OSError):
                        answers[key.fileobj] = key.fileobj.recv(4096)
                    selector.unregister(key.fileobj)
                    left.discard(key.fileobj)
                    answers.setdefault("first", time.monotonic() - begin)
                if time.monotonic() >= next_drip:
                    next_drip += 1
                    for sock in left:
                        with contextlib.suppress(OSError):
                            sock.sendall(b"x")
            self.assertEqual(set(), left, "%d still stand" % len(left))
        self.assertGreater(answers.pop("first"), 9.0)
        self.assertTrue(all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers.values()))

    def test_RX_02_answers_that_are_not_read(self):
        """80 connections ask for 4 MiB each and read nothing -> buffers stay bounded (under 1 MiB each), others are served"""
        before = used(self.sidecars[0])
        body = b"x" * (4 * MIB)

        def answer(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        self.recorder.answer = answer
        with many(self.port, 80, receive_buffer=4096) as socks:
            for sock in socks:
                sock.sendall(GET)
            self.recorder.wait_requests(80, complete=False)
            for canary in self.canaries:
                self.assertTrue(canary.wait_done(5), canary.failures)
            self.assertLess(used(self.sidecars[0]) - before, 80 * MIB)

    def test_RX_03_idle_and_short_connections(self):
        """500 idle connections, 1,000 that only connect and close, 200 half open -> all are served or closed, nothing is kept"""
        with many(self.port, 500) as idle:
            for _ in range(1000):
                connect(self.port).close()
            with many(self.port, 200) as half:
                for sock in half:  # saying close: who has not is taken to have left after 2 s
                    sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    sock.shutdown(socket.SHUT_WR)
                for sock in half:
                    self.assertRegex(answer_of(sock, PATIENCE), b"^HTTP/1.1 200 ")
            idle[7].sendall(GET)
            self.assertTrue(idle[7].recv(4096).startswith(b"HTTP/1.1 200 "))

    def test_RX_07_pipelined_and_busy_connections_are_fair(self):
        """one connection pipelines 10,000 requests, of which a tenth goes upstream, one carries 100 busy HTTP/2 streams -> all are answered, canaries wait little longer"""
        for canary in self.canaries:
            canary.slowest = 0.0
        done = {}
        large = b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n" + bytes(60000)
        self.recorder.answer = lambda connection, request: connection.send(large if request.target == "/large" else OK)

        def pipeline():
            with connect(self.port) as sock:
                ten = GET.replace(b"host: a", b"host: direct") * 9 + GET
                threading.Thread(target=sock.sendall, args=(ten * 1000,), daemon=True).start()
                done["pipelined"] = count_of(sock, b"HTTP/1.1 200", 10_000)

        def streams():
            with connect(self.port) as sock:
                out = h2_preface(1 << 20) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30))
                for stream in range(1, 201, 2):
                    out += h2_request(stream, b"/large")
                sock.sendall(out)
                data, ended = bytearray(), set()
                while len(ended) < 100:
                    part = sock.recv(1 << 18)
                    if not part:
                        break
                    data += part
                    ended = {about for kind, flags, about, _ in h2_frames(data) if kind == DATA and flags & END_STREAM}
                done["streams"] = len(ended)
        threads = [threading.Thread(target=target) for target in (pipeline, streams)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual({"pipelined": 10_000, "streams": 100}, done)
        # A sanitizer build on a busy machine; unfair would be seconds.
        self.assertLess(max(canary.slowest for canary in self.canaries), 2.0)

    def test_RX_09_names_made_to_collide(self):
        """heads of 98 names alike in length, first and last letter, 300 times -> as quick as with other names (at most 4 times)"""
        def head(names):
            return b"GET / HTTP/1.1\r\nhost: a\r\n" + b"".join(name + b": v\r\n" for name in names) + b"\r\n"
        alike = head([b"x-b3-%03dpanid" % number for number in range(98)])
        others = head([b"y%03dabcdefghi" % number for number in range(98)])

        def seconds(payload):
            """Of processor time, which a busy machine does not change."""
            begin = cpu_seconds(self.sidecars[0].pid)
            with self.client() as client:
                for _ in range(300):
                    client.send(payload)
                    self.assertEqual(200, client.answer().status)
                    del client.received[:client.at]
                    client.at = 0
            return cpu_seconds(self.sidecars[0].pid) - begin
        seconds(others)
        self.assertLess(seconds(alike), 4 * seconds(others) + 0.5)

    def test_RX_10_compressed_bodies_pass_through(self):
        """a 32 MiB body compressed to 32 KiB, both ways -> passed on byte for byte, never unpacked"""
        bomb = gzip.compress(bytes(32 * MIB))
        reply = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)

        def answer(connection, request):
            connection.read_body(request)
            connection.send(reply + bomb)
        self.recorder.answer = answer
        before = used(self.sidecars[0])
        with self.client() as client:
            client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb))
            client.send(bomb)
            got = client.answer()
        self.assertEqual((200, bomb), (got.status, got.body))
        self.assertEqual(bomb, self.recorder.requests[0].body)
        self.assertLess(used(self.sidecars[0]) - before, MIB)

    def test_RX_15_answers_without_end(self):
        """an upstream sends heads without end, a head line without end, a body without end -> 502, 502, and a bounded queue"""
        def endless(begin, part):
            def answer(connection, request):
                connection.send(begin)
                while connection.end is None and connection.send(part):
                    pass
            return answer
        for begin, part in ((b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"v" * 200 + b"\r\n"),
                            (b"HTTP/1.1 200 OK\r\nx-long: ", b"v" * 65536),
                            (b"HTTP/1.1 200 ", b"O" * 65536)):
            with self.subTest(begin=begin):
                self.recorder.answer = endless(begin, part)
                answer = self.ask(GET)
                self.assertEqual((502, "upstream_protocol_error"), (answer.status, answer.fields["tulle-error"]))
        self.recorder.answer = endless(b"HTTP/1.1 200 OK\r\n\r\n", b"b" * 65536)
        before = used(self.sidecars[0])
        with connect(self.port, receive_buffer=4096) as sock:
            sock.sendall(GET)
            self.recorder.wait_requests(1, complete=False)
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 200"))
            for canary in self.canaries:
                self.assertTrue(canary.wait_done(10), canary.failures)
            self.assertLess(used(self.sidecars[0]) - before, 2 * MIB)

    def test_RX_19_windows_that_stay_shut(self):
        """400 answers of 64 KiB over ten HTTP/2 connections whose windows are shut -> under 16 KiB are held of each; when the windows open, all arrive whole"""
        body = b"x" * 65536
        self.recorder.answer = lambda connection, request: connection.send(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        before = used(self.sidecars[0])
        with many(self.port, 10) as socks:
            for sock in socks:
                sock.sendall(h2_preface(0) + b"".join(h2_request(2 * number + 1) for number in range(40)))
            self.recorder.wait_requests(400, complete=False)
            for canary in self.canaries:  # by then what the upstream has sent has been read
                self.assertTrue(canary.wait_done(5), canary.failures)
            held = used(self.sidecars[0]) - before
            self.assertLess(held, 400 * 16 * 1024)
            self.open_windows(socks, 40 * len(body))

    def open_windows(self, socks, size):
        """Of clients of HTTP/2 with 40 requests each: all answers arrive whole."""
        for sock in socks:
            sock.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20)) +
                         frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
        for sock in socks:
            data, sizes, ended = bytearray(), 0, 0
            while ended < 40:
                part = sock.recv(1 << 18)
                self.assertTrue(part, "%d of 40 have arrived" % ended)
                data += part
                at = 0
                while len(data) - at >= 9:
                    length = 9 + int.from_bytes(data[at:at + 3], "big")
                    if len(data) - at < length:
                        break
                    if data[at + 3] == DATA:
                        sizes += length - 9
                        ended += data[at + 4] & END_STREAM
                    at += length
                del data[:at]
            self.assertEqual(size, sizes)

    def test_RX_21_windows_that_stay_shut_and_an_HTTP2_upstream(self):
        """400 answers of 64 KiB of an HTTP/2 upstream, to clients whose windows are shut -> under 16 KiB are held of each; when the windows open, all arrive whole"""
        mesh = Mesh()
        self.addCleanup(mesh.close)
        action = {"cluster": "upstream", "prefix_rewrite": "/bytes/65536"}
        sidecar = mesh.sidecar("http2", bootstrap(
            listener("outbound", host("all", ["*"], {"match": {"prefix": "/"}, "route": action})),
            cluster("upstream", mesh.http2_origin().listening_port, protocol="http2"), workers=1))
        before = used(sidecar)
        with many(sidecar.port("outbound"), 10) as socks:
            for sock in socks:
                sock.sendall(h2_preface(0) + b"".join(h2_request(2 * number + 1) for number in range(40)))
            wait_for(lambda: sidecar.metric("tulle_active_exchanges") == 400, "400 exchanges", PATIENCE)
            self.assertLess(settled(lambda: used(sidecar)) - before, 400 * 16 * 1024)
            self.open_windows(socks, 40 * 65536)

    def test_RX_20_clients_that_read_nothing(self):
        """30 HTTP/1.1 clients ask for 64 MiB each and read nothing -> under 160 KiB are held of each answer; one that reads then gets all of it"""
        upstream = Generous()
        self.addCleanup(upstream.drop)
        mesh = Mesh()
        self.addCleanup(mesh.close)
        sidecar = mesh.sidecar("generous", bootstrap(
            listener("outbound", host("all", ["*"], route("upstream"))), cluster("upstream", upstream.port), workers=1))
        before = used(sidecar)
        with many(sidecar.port("outbound"), 30, receive_buffer=4096) as socks:
            for sock in socks:
                sock.sendall(GET)
            held = settled(lambda: used(sidecar))
            self.assertLess(held - before, 30 * 160 * 1024)
            data = socks[0].recv(1 << 16)
            head, _, body = data.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200"), head)
            size = len(body)
            while size < Generous.SIZE:
                part = socks[0].recv(1 << 20)
                self.assertTrue(part, "%d bytes have arrived" % size)
                size += len(part)
            self.assertEqual(Generous.SIZE, size)

    def test_RX_17_peers_that_are_gone_when_they_are_written_to(self):
        """300 clients that reset while they are answered (EPIPE) -> no signal ends the process, everything is given back"""
        body = b"x" * 300_000

        def answer(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        self.recorder.answer = answer
        for _ in range(300):
            sock = connect(self.port)
            sock.sendall(GET)
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.recorder.begin()
        self.assertEqual(200, self.ask(GET).status)

    def test_RX_18_many_deadlines(self):
        """1,000 requests with a deadline of 1 s each, unanswered, over ten HTTP/2 connections -> each is answered 504 after 1 s, none early, none 2 s late"""
        # A million at once do not fit beside a sanitizer; their timers alone do (core/net/timer_test.cpp).
        mesh = self.mesh
        port = unused_port()
        silent = socket.create_server(("127.0.0.1", 0), backlog=2000)
        self.addCleanup(silent.close)
        sidecar = mesh.sidecar("deadlines", bootstrap(
            listener("outbound", host("all", ["*"], route("silent", timeout="1s")), port=port,
                     http2_protocol_options={"max_concurrent_streams": 100}),
            cluster("silent", silent.getsockname()[1],
                    circuit_breakers={"thresholds": [{"max_connections": 4000, "max_pending_requests": 4000,
                                                      "max_requests": 4000}]}), workers=1, log="failures"))
        self.addCleanup(sidecar.stop)
        with many(port, 10) as socks:
            begin = time.monotonic()
            for sock in socks:
                sock.sendall(h2_preface() + b"".join(h2_request(stream) for stream in range(1, 201, 2)))
            sent = time.monotonic()
            answered = {sock: {} for sock in socks}
            data = {sock: bytearray() for sock in socks}
            selector = selectors.DefaultSelector()
            for sock in socks:
                selector.register(sock, selectors.EVENT_READ)
            while any(len(one) < 100 for one in answered.values()) and time.monotonic() < begin + PATIENCE:
                for key, _ in selector.select(1.0):
                    data[key.fileobj] += key.fileobj.recv(1 << 18)
                    now = time.monotonic()
                    for kind, _, about, _ in h2_frames(data[key.fileobj]):
                        if kind == HEADERS:
                            answered[key.fileobj].setdefault(about, now)
        times = [when for one in answered.values() for when in one.values()]
        self.assertEqual(1000, len(times))
        self.assertGreater(min(times) - begin, 0.99)
        self.assertLess(max(times) - sent, 3.0)


class Memory(Stage):
    """A budget of 16 MiB."""
    # Canaries are refused as well while memory is short, which is what is tested.
    canaries_wanted = ()

    @classmethod
    def setUpClass(cls):
        allow_files(1000)
        super().setUpClass()

    @classmethod
    def start(cls, mesh):
        cls.silent = Silent()
        cls.addClassCleanup(cls.silent.drop)
        limits = {"circuit_breakers": {"thresholds": [{"max_connections": 9000, "max_pending_requests": 9000,
                                                       "max_requests": 9000}]}}
        return [mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("silent", ["s"], route("silent")), host("all", ["*"], route("recorded"))),
            cluster("silent", cls.silent.port, **limits), cluster("recorded", cls.recorder.port),
            workers=1, log="failures", memory={"limit_mib": 16}))]

    def tearDown(self):
        for sock in self.silent.kept:
            sock.close()
        super().tearDown()

    def wait_recovered(self, seconds=5.0):
        wait_for(lambda: self.ask(GET).status == 200, "a request is served again", seconds)

    def test_RX_05_uploads_to_an_upstream_that_reads_nothing(self):
        """200 uploads of 4 MiB, all let in before their bodies come, to an upstream that reads nothing, with a budget of 16 MiB -> the budget holds (within 1 MiB), some are answered 503 overloaded, admin answers; it recovers within 5 s"""
        sidecar = self.sidecars[0]

        highest = [0.0]
        stop = threading.Event()

        def watch():
            while not stop.is_set():
                highest[0] = max(highest[0], used(sidecar))
                stop.wait(0.02)
        watcher = threading.Thread(target=watch)
        watcher.start()
        with many(self.port, 200) as socks:
            for sock in socks:
                sock.sendall(b"POST / HTTP/1.1\r\nhost: s\r\ncontent-length: %d\r\n\r\n" % (4 * MIB))
            wait_for(lambda: sidecar.metric("tulle_active_exchanges") == 200, "all are let in", PATIENCE)
            answers = {}
            sent = send_all_at_once(socks, b"x" * (4 * MIB), answers)
            self.assertGreater(sent, 20 * MIB)
            self.assertEqual(200, probes.get(sidecar.admin, "/ready", None, "GET").status)
            for sock in socks:
                if sock not in answers:
                    answers[sock] = answer_of(sock, 0.05)
            overloaded = sum(b"tulle-error: overloaded" in answer for answer in answers.values())
        stop.set()
        watcher.join()
        self.assertGreater(overloaded, 10)
        self.assertGreater(sidecar.metric("tulle_memory_shed_total", what="exchange"), 0)
        self.assertLess(highest[0], 17 * MIB)
        self.wait_recovered()

    def test_H2_46_streams_with_unfinished_bodies(self):
        """40 connections of 100 streams with 64 KiB each, unfinished, 250 MiB in all, with a budget of 16 MiB -> REFUSED_STREAM, 503, or the end of connections that come late; the budget holds (within 1 MiB), it recovers within 5 s"""
        sidecar = self.sidecars[0]

        chunk = frame(DATA, 0, 0, b"x" * 16000)
        out = h2_preface()
        for stream in range(1, 201, 2):
            out += h2_request(stream, method=b"\x83", ended=False, authority=b"s")
            out += (chunk[:5] + stream.to_bytes(4, "big") + chunk[9:]) * 4
        highest = 0.0

        def turned_away(heard, ended):
            streams = sum(kind == HEADERS or (kind == RST_STREAM and payload == struct.pack(">I", REFUSED_STREAM))
                          for data in heard.values() for kind, _, _, payload in h2_frames(data))
            return streams + 100 * sum(not heard[sock] for sock in ended)
        with many(self.port, 40) as socks:
            for at in range(0, 40, 5):
                send_all_at_once(socks[at:at + 5], out)
                highest = max(highest, used(sidecar))
            self.assertGreater(turned_away(*hear(socks, lambda *said: turned_away(*said) > 100)), 100)
        self.assertLess(highest, 17 * MIB)
        self.wait_recovered()
        wait_for(lambda: used(sidecar) < 10 * MIB, lambda: "memory is given back: %d" % used(sidecar))

    def test_RX_03_idle_connections_go_when_memory_is_short(self):
        """8,000 silent connections with a budget of 16 MiB -> the oldest are closed, new ones are served, the budget holds"""
        allow_files(12_000)
        sidecar = self.sidecars[0]
        with contextlib.ExitStack() as stack:
            for _ in range(8000):
                stack.enter_context(connect(self.port))
            wait_for(lambda: sidecar.metric("tulle_memory_shed_total", what="connection") > 0, "some are closed")
            self.assertLess(used(sidecar), 17 * MIB)
            self.wait_recovered()


class Own(unittest.TestCase):
    """Rows whose sidecar is started in a way of its own."""

    def setUp(self):
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)

    def test_RX_03_connections_per_listener(self):
        """a listener with room for 20 connections, 50 come -> 20 are served, the others when these leave"""
        sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("all", ["*"], says("hello"))), workers=1, connections={"per_listener": 20}))
        port = sidecar.port("outbound")
        with many(port, 50) as socks:
            for sock in socks:
                sock.sendall(GET)
            for sock in socks[:20]:
                self.assertIn(b"hello", sock.recv(4096))
            for sock in socks[20:]:
                sock.settimeout(0.01)
                with self.assertRaises(TimeoutError):
                    sock.recv(1)
            for sock in socks[:20]:
                sock.close()
            for sock in socks[20:40]:
                sock.settimeout(PATIENCE)
                self.assertIn(b"hello", sock.recv(4096))

    def test_RX_04_few_file_descriptors(self):
        """room for 256 open files, 400 clients -> accepting pauses before EMFILE, says so at most once a second, admin answers, it recovers"""
        first = listener("outbound", host("all", ["*"], says("hello")))
        sidecar = self.mesh.sidecar("sidecar", bootstrap(workers=1))
        resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (256, 256))
        sidecar.rewrite(bootstrap(first, workers=1, admin_port=sidecar.admin))
        port = sidecar.port("outbound")
        begin = time.monotonic()
        with many(port, 400) as socks:
            for sock in socks:
                sock.sendall(GET)
            wait_for(lambda: "few file descriptors are left" in sidecar.err, sidecar.evidence, PATIENCE)
            self.assertLessEqual(open_files(sidecar.pid), 194)
            self.assertTrue(sidecar.ready(), "the admin port has descriptors of its own")
            answered = 0
            for sock in socks:
                sock.settimeout(0.05)
                with contextlib.suppress(OSError):
                    answered += b"hello" in sock.recv(4096)
            self.assertGreater(answered, 100)
            for _ in range(3):
                self.assertTrue(sidecar.ready())
        said = sidecar.err.count("accepting is interrupted")
        self.assertLessEqual(said, time.monotonic() - begin + 1)
        self.assertNotIn("Too many open files", sidecar.err)
        wait_for(lambda: curl("http://127.0.0.1:%d/" % port).body == b"hello", "it recovers", PATIENCE)

    def test_RX_08_hostile_paths_against_regular_expressions(self):
        """a regex route and paths of 8 KiB that make backtracking explode -> answered at once; nothing includes <regex>"""
        sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("all", ["*"], {
                "match": {"safe_regex": {"regex": "/(a+)+(a|aa)+(b|c)*d"}},
                "direct_response": {"status": 200, "body": {"inline_string": "matched"}}}, says("other"))), workers=1))
        port = sidecar.port("outbound")
        begin = cpu_seconds(sidecar.pid)
        with wire.Client(port) as client:
            for _ in range(100):
                client.send(b"GET /" + b"a" * 8000 + b"! HTTP/1.1\r\nhost: a\r\n\r\n")
                self.assertEqual(b"other", client.answer().body)
        self.assertLess(cpu_seconds(sidecar.pid) - begin, 5.0)
        for folder in ("core", "xds", "sidecar", "control-plane", "cli"):
            for path in glob.glob(os.path.join(ROOT, folder, "**", "*.[ch]pp"), recursive=True):
                with open(path, encoding="utf-8") as source:
                    self.assertFalse("#include <regex>" in source.read() and "_test." not in path, path)

    def test_RX_11_a_flood_of_failures(self):
        """30,000 requests that fail, as fast as they come -> all are answered, at most 1,000 lines a second and worker are logged, one says how many were left out"""
        sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("good", ["good"], says("hello")), host("all", ["*"], route("empty"))),
            cluster("empty"), workers=1, log="failures"))
        begin = time.monotonic()
        with connect(sidecar.port("outbound")) as sock:
            threading.Thread(target=sock.sendall, args=(GET * 30_000,), daemon=True).start()
            self.assertEqual(30_000, count_of(sock, b"HTTP/1.1 503", 30_000))
        took = time.monotonic() - begin
        self.assertLessEqual(len(sidecar.log(lambda entry: "status" in entry)), 1000 * (took + 2))
        # What a second has left out is said by the next failure after it.
        wait_for(lambda: self.curl_fails(sidecar) and
                 sum(entry.get("left_out", 1) for entry in sidecar.log()) >= 30_000, "the log says what it left out")

    @staticmethod
    def curl_fails(sidecar):
        return curl("http://127.0.0.1:%d/" % sidecar.port("outbound")).status == 503

    def test_RX_14_requests_that_come_back(self):
        """a route that leads to the sidecar itself, and two sidecars that lead to each other -> 508 loop_detected after ten hops"""
        port = unused_port()
        alone = self.mesh.sidecar("alone", bootstrap(
            listener("outbound", host("all", ["*"], route("self")), port=port), cluster("self", port), workers=1))
        self.assertEqual(508, curl("http://127.0.0.1:%d/" % alone.port("outbound")).status)
        alone.wait_log(lambda entry: entry["status"] == 508, 11)
        self.assertEqual(11, len(alone.log()))
        self.assertEqual(1, len(alone.log(lambda entry: entry.get("error") == "loop_detected")))
        ports = [unused_port(), unused_port()]
        two = [self.mesh.sidecar("node%d" % here, bootstrap(
            listener("outbound", host("all", ["*"], route("next")), port=ports[here]),
            cluster("next", ports[1 - here], protocol="http2"), workers=1)) for here in (0, 1)]
        answer = curl("http://127.0.0.1:%d/" % two[0].port("outbound"), "--http2-prior-knowledge")
        self.assertEqual(508, answer.status)


class LocalPorts(unittest.TestCase):
    def test_RX_17_local_ports_used_up(self):
        """60 local ports towards an upstream, 120 requests at once -> some wait for their answer, the others are answered 502 or 503 with the reason; then the pool serves 300 more"""
        if not inside(self):
            return
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as ports:
            ports.write("40000 40059")
        mesh = Mesh()
        self.addCleanup(mesh.close)
        origin = mesh.origin()
        sidecar = mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("all", ["*"], route("origin")), port=7001), cluster("origin", origin.port),
            workers=1, admin_port=7002))

        def client(number):
            """Not from one of the sixty."""
            sock = socket.socket()
            sock.settimeout(PATIENCE)
            sock.bind(("127.0.0.1", 20_000 + number))
            sock.connect(("127.0.0.1", 7001))
            return sock
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(client(number)) for number in range(120)]
            for sock in socks:
                sock.sendall(b"GET /hold/key HTTP/1.1\r\nhost: a\r\n\r\n")
            failed = self.failed(socks)
            # Every port that there is serves a request; one or two of the sixty may be in use.
            self.assertTrue(60 <= len(failed) <= 64, len(failed))
            origin.release("key")
            for sock in set(socks) - set(failed):
                self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 200"))
        reasons = {entry["error"] for entry in sidecar.wait_log(lambda entry: entry["status"] >= 500, len(failed))}
        self.assertEqual({"connect_failed"}, reasons)
        with client(500) as sock:
            for _ in range(300):
                sock.sendall(GET)
                self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 200"))

    def failed(self, socks):
        """Those that are answered while the upstream answers nobody, until seconds bring no more."""
        selector, failed = selectors.DefaultSelector(), []
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        while True:
            ready = selector.select(3.0)
            if not ready:
                return failed
            for key, _ in ready:
                self.assertRegex(key.fileobj.recv(4096), b"^HTTP/1.1 50[23]")
                selector.unregister(key.fileobj)
                failed.append(key.fileobj)


if __name__ == "__main__":
    unittest.main()
