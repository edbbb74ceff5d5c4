"""gRPC through the data path: deadlines, statuses, cancellation and back-pressure.

Client and origin are frames written by hand, so that each may say what no gRPC library would. The
calls go through a pair of sidecars with mutual TLS between them.
"""
import statistics
import threading
import time
import unittest

from stage import Stage  # first: it finds the others
from mesh import bootstrap, client_tls, cluster, host, listener, route, server_tls, spiffe, wait_for

try:
    import frames
    from frames import (CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, INTERNAL_ERROR,
                        NO_ERROR, RST_STREAM, WINDOW_UPDATE, Peer, RawServer, data, goaway, headers, rst, window_update)
except ImportError:
    raise unittest.SkipTest("there is no raw HTTP/2 client yet (tests/conformance/frames.py)") from None

GRPC = ("content-type", "application/grpc")
WINDOW = 65535
AT_ONCE = 0.1  # seconds


def message(payload, flag=0):
    return bytes([flag]) + len(payload).to_bytes(4, "big") + payload


def call(stream, *more, authority="call", flags=END_HEADERS, content_type="application/grpc"):
    fields = frames.request("/package.Service/Method", "POST", "http", authority, ("te", "trailers"))
    if content_type is not None:
        fields.append(("content-type", content_type))
    return headers(stream, fields + list(more), flags)


def begun(stream):
    return headers(stream, [(":status", "200"), GRPC], END_HEADERS)


def trailers(stream, status="0", *more):
    return headers(stream, [("grpc-status", status), *more], END_STREAM | END_HEADERS)


def trailers_only(stream, status, *more):
    return headers(stream, [(":status", "200"), GRPC, ("grpc-status", status), *more], END_STREAM | END_HEADERS)


class Sender:
    """Sends a long body as the windows of the other side allow, if not to the last byte: earlier calls
    of the connection have used a little of its window."""

    def __init__(self, peer, stream):
        self.peer, self.stream, self.sent, self.seen = peer, stream, 0, 0
        self.windows = {0: WINDOW - 32768, stream: self.initial_window()}

    def initial_window(self):
        for known in self.peer.heard:
            if known.kind == frames.SETTINGS and not known.flags & frames.ACK:
                for at in range(0, len(known.payload), 6):
                    if int.from_bytes(known.payload[at:at + 2], "big") == frames.INITIAL_WINDOW_SIZE:
                        return known.number(at + 2)
        return WINDOW

    def look(self):
        for known in self.peer.heard[self.seen:]:
            if known.kind == WINDOW_UPDATE and known.stream in self.windows:
                self.windows[known.stream] += known.number()
        self.seen = len(self.peer.heard)

    def send(self, payload, quiet=None):
        """All of it; or with `quiet` as much as is allowed until no window opens for so many seconds."""
        while payload:
            self.look()
            size = min(self.windows[0], self.windows[self.stream], 16384, len(payload))
            if size <= 0:
                if self.peer.read(quiet or frames.PATIENCE) is None:
                    if quiet is not None:
                        return payload
                    raise AssertionError("no window opens: %r, sent %d" % (self.windows, self.sent))
                continue
            if not self.peer.send(data(self.stream, payload[:size])):
                raise frames.Ended("the other side has gone")
            payload = payload[size:]
            self.sent += size
            for window in self.windows:
                self.windows[window] -= size
        return payload


class GrpcRows(Stage):
    topology = "pair"

    @classmethod
    def start(cls, mesh):
        """`cls.answer(peer, head)` is what the origin does with a call; frames go to it as they come."""
        cls.origin = RawServer(cls.script)
        cls.addClassCleanup(cls.origin.close)
        cls.resets = {}  # what was asked for -> when the origin was told to stop, and why
        quiet = host("quiet", ["canary", "fence"], route("quiet"))

        def says(status):
            return {"match": {"path": "/package.Service/Method"}, "direct_response": {
                "status": status, "body": {"inline_string": "100 % no\n\u00fc"}}}
        own = [host(str(status), [str(status)], says(status)) for status in (403, 429, 503)]
        own += [host("dead", ["dead"], route("dead")), host("empty", ["empty"], route("empty")),
                host("impatient", ["impatient"], route("origin", timeout="0.3s")),
                host("call", ["call"], route("origin"))]
        inbound = mesh.sidecar("inbound", bootstrap(
            listener("inbound", quiet, *own, inbound=True, tls=server_tls()),
            cluster("quiet", cls.quiet_origin.port), cluster("origin", cls.origin.port, protocol="http2"),
            cluster("dead", mesh.reserved_port()), cluster("empty"),
            node="callee", identity=mesh.identity("callee"), workers=1))
        outbound = mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("all", ["403", "429", "503", "dead", "empty", "impatient", "call", "canary", "fence"],
                                      route("peer"))),
            cluster("peer", inbound.port("inbound"), protocol="auto", tls=client_tls(spiffe("callee"))),
            node="caller", identity=mesh.identity("caller"), workers=1))
        return [outbound, inbound]

    @classmethod
    def script(cls, peer, _):
        peer.send(window_update(0, 1 << 30))
        while True:
            found = peer.read(600)
            if found is None:
                return
            if found.kind == HEADERS and found.field(":method") is not None:
                peer.__dict__.setdefault("calls", {})[found.stream] = found.field("x-call")
                cls.answer(peer, found)
            elif found.kind == RST_STREAM:
                cls.resets[peer.calls.get(found.stream)] = (time.monotonic(), found.error)

    @staticmethod
    def say(*parts):
        """An origin that answers at once: frames made from the number of the stream."""
        def answer(peer, head):
            peer.send(*(part(head.stream) for part in parts))
        return answer

    def setUp(self):
        super().setUp()
        type(self).answer = staticmethod(self.say(lambda s: trailers_only(s, "0")))
        self.origin.problems.clear()

    def tearDown(self):
        self.assertEqual([], self.origin.problems)
        super().tearDown()

    def peer(self):
        peer = Peer.connect(self.port)
        self.addCleanup(peer.close)
        self.clients.append(peer)
        return peer.greet()

    def outcome(self, *more, body=b"", peer=None, stream=1, **head):
        """What a client learns of a call: (HTTP status, body, grpc-status or None, last fields)."""
        peer = peer or self.peer()
        peer.send(call(stream, *more, **head), data(stream, body, END_STREAM))
        return self.result(peer, stream)

    def result(self, peer, stream=1):
        status, content = peer.answer(stream)
        last = [f for f in peer.of(stream, HEADERS) if f.ends]
        last = last[-1] if last else None
        return status, content, last.field("grpc-status") if last else None, last

    # -- the rows

    def test_GW_01_grpc_timeout(self):
        """`grpc-timeout` of 1 to 8 digits and a unit; 9 digits, negative, no unit, twice, 99999999H, 0 -> honoured and passed on with what is left; else passed on untouched and not honoured; never negative, no overflow"""
        seen = []

        def answer(peer, head):
            seen.append([value for name, value in head.fields if name == "grpc-timeout"])
            peer.send(trailers_only(head.stream, "0"))
        type(self).answer = staticmethod(answer)
        for text, most in (("10S", 10e6), ("5000m", 5e6), ("99999999u", 99999999), ("2M", 120e6), ("1H", 3600e6)):
            with self.subTest(text):
                self.assertEqual("0", self.outcome(("grpc-timeout", text))[2])
                (left,) = seen[-1]
                micros = int(left[:-1]) * {"u": 1, "m": 1e3, "S": 1e6}[left[-1]]
                self.assertLessEqual(len(left), 9)
                self.assertTrue(0 < micros <= most, left)
        for text in ("999999999S", "-1S", "1x", "1", "1.5S"):
            with self.subTest(text):
                self.assertEqual("0", self.outcome(("grpc-timeout", text))[2])
                self.assertEqual([text], seen[-1])
        self.assertEqual("0", self.outcome(("grpc-timeout", "1S"), ("grpc-timeout", "2S"))[2])
        self.assertEqual(["1S", "2S"], seen[-1])
        self.assertEqual("0", self.outcome(("grpc-timeout", ""))[2])
        self.assertEqual("0", self.outcome(("grpc-timeout", "99999999H"))[2])
        self.assertRegex(seen[-1][0], r"^[0-9]{1,8}[HM]$")
        calls = len(seen)
        self.assertEqual("4", self.outcome(("grpc-timeout", "0n"))[2])
        self.fence()
        self.assertEqual(calls, len(seen), "a call without any time left has reached the origin")

    def test_GW_01_the_deadline_is_kept(self):
        """`grpc-timeout: 300m` towards an origin that is silent, or stops in the middle -> DEADLINE_EXCEEDED from the mesh, in the head or in trailers; the origin hears at once"""
        type(self).answer = staticmethod(lambda peer, head: None)
        for name, answer, content in (("silent", lambda peer, head: None, b""),
                                      ("begun", self.say(begun, lambda s: data(s, message(b"x"))), message(b"x"))):
            with self.subTest(name):
                type(self).answer = staticmethod(answer)
                before = time.monotonic()
                status, body, grpc_status, last = self.outcome(("grpc-timeout", "300m"), ("x-call", name))
                self.assertGreaterEqual(time.monotonic() - before, 0.29)
                self.assertEqual(("200", content, "4"), (status, body, grpc_status), last)
                self.assertEqual("deadline_exceeded", last.field("tulle-error"), last)
                wait_for(lambda: name in self.resets, "the origin is told", 10)
                self.assertEqual(CANCEL, self.resets[name][1])

    def test_GW_02_messages_are_opaque(self):
        """A message prefix of 4 GiB, flag 0x02, a truncated message, a million empty messages -> passed byte for byte, with flow control"""
        bodies = {}

        def answer(peer, head):
            content, wait = bytearray(), []
            while not wait:
                part = peer.read(60)
                if part.stream != head.stream or part.kind != DATA:
                    continue
                content += part.payload
                if part.payload:
                    peer.send(window_update(head.stream, len(part.payload)))
                wait = [part] if part.ends else []
            bodies[head.field("x-call")] = bytes(content)
            peer.send(begun(head.stream), data(head.stream, bytes(content[:1000])), trailers(head.stream))
        type(self).answer = staticmethod(answer)
        for name, body in (("huge", b"\0\xff\xff\xff\xff" + b"x" * 100), ("flag", message(b"abc", 2)),
                           ("truncated", message(b"0123456789")[:-3]), ("prefix", b"\0\0\0")):
            with self.subTest(name):
                status, content, grpc_status, _ = self.outcome(("x-call", name), body=body)
                self.assertEqual(("200", body[:1000], "0"), (status, content, grpc_status))
                self.assertEqual(body, bodies[name])
        many = message(b"") * 1000000
        peer = self.peer()
        peer.send(call(1, ("x-call", "many")))
        Sender(peer, 1).send(many)
        peer.send(data(1, b"", END_STREAM))
        self.assertEqual(("200", many[:1000], "0"), self.result(peer)[:3])
        self.assertEqual(many, bodies["many"])

    def test_GW_03_how_an_origin_may_end(self):
        """The origin: no trailers; grpc-status in the head, 99, RST after the end, RST or GOAWAY or a closed connection in the middle -> a status always, its own where it gave one, never success without one"""
        half = (begun, lambda s: data(s, message(b"x")))

        def closing(peer, head):
            peer.send(*(part(head.stream) for part in half))
            raise frames.Ended("on purpose")

        def going(peer, head):
            peer.send(*(part(head.stream) for part in half), goaway(head.stream), trailers(head.stream))
        for name, answer, expected in (
                ("no trailers", self.say(begun, lambda s: data(s, message(b"x"), END_STREAM)), "2"),
                ("nothing", self.say(lambda s: headers(s, [(":status", "200"), GRPC])), "2"),
                ("trailers without it", self.say(*half, lambda s: headers(s, [("x-other", "1")])), "2"),
                ("trailers-only", self.say(lambda s: trailers_only(s, "5")), "5"),
                ("99", self.say(*half, lambda s: trailers(s, "99")), "99"),
                ("RST after the end", self.say(*half, trailers, lambda s: rst(s, NO_ERROR)), "0"),
                ("RST in the middle", self.say(*half, lambda s: rst(s, INTERNAL_ERROR)), "14"),
                ("RST(NO_ERROR) in the middle", self.say(*half, lambda s: rst(s, NO_ERROR)), "14"),
                ("RST before", self.say(lambda s: rst(s, INTERNAL_ERROR)), "14"),
                ("GOAWAY in the middle", going, "0"),
                ("closed in the middle", closing, "14")):
            with self.subTest(name):
                type(self).answer = staticmethod(answer)
                status, _, grpc_status, last = self.outcome(body=message(b"y"))
                self.assertEqual(("200", expected), (status, grpc_status), last)
                wait_for(lambda: self.sidecars[1].metric("tulle_active_exchanges") <= len(self.canaries), "it is over", 10)
        type(self).answer = staticmethod(self.say(
            lambda s: headers(s, [(":status", "503"), ("content-type", "text/plain")], END_HEADERS) + data(s, b"no", END_STREAM)))
        self.assertEqual(("503", b"no", None), self.outcome()[:3], "an HTTP answer is for the client to map")

    def test_GW_04_own_answers(self):
        """403, 429, 503, no route, no endpoint, a refused connection, a timeout, on a gRPC call -> HTTP 200, trailers-only: grpc-status 7, 8, 14, 12, 14, 14, 4 and a percent-encoded message"""
        type(self).answer = staticmethod(lambda peer, head: None)
        for authority, expected, error in (("403", "7", None), ("429", "8", None), ("503", "14", None),
                                           ("nobody", "12", "no_route"), ("empty", "14", "no_endpoint"),
                                           ("dead", "14", "connect_failed"), ("impatient", "4", "request_timeout")):
            with self.subTest(authority):
                peer = self.peer()
                status, body, grpc_status, last = self.outcome(peer=peer, authority=authority)
                self.assertEqual(("200", b"", expected), (status, body, grpc_status), last)
                self.assertEqual(1, len(peer.of(1, HEADERS)), "trailers-only is one HEADERS frame")
                self.assertEqual("application/grpc", last.field("content-type"))
                self.assertEqual(error, last.field("tulle-error"), last)
                if error is None:
                    self.assertEqual("100 %25 no%0A%C3%BC", last.field("grpc-message"))
                else:
                    self.assertRegex(last.field("grpc-message"), r"^(%[0-9A-F]{2}|[ -$&-~])+$")

    def test_GW_06_cancellation_is_carried_through_at_once(self):
        """A client cancels a call; an origin does -> the other side hears of it within 100 ms"""
        arrived = threading.Event()

        def answer(peer, head):
            peer.send(begun(head.stream))
            arrived.set()
        type(self).answer = staticmethod(answer)
        peer, delays = self.peer(), []
        for number in range(15):
            stream, name = 2 * number + 1, "cancel %d" % number
            arrived.clear()
            peer.send(call(stream, ("x-call", name)))
            peer.head(stream)
            arrived.wait(30)
            sent = time.monotonic()
            peer.send(rst(stream, CANCEL))
            wait_for(lambda: name in self.resets, "the origin hears of it", 10)
            delays.append(self.resets[name][0] - sent)
            self.assertEqual(CANCEL, self.resets[name][1])
        self.assertLess(statistics.median(delays), AT_ONCE, delays)

        sent = []

        def breaks(peer, head):
            sent.append(time.monotonic())
            peer.send(rst(head.stream, CANCEL))
        type(self).answer = staticmethod(breaks)
        peer, delays = self.peer(), []
        for number in range(15):
            self.assertEqual("14", self.outcome(peer=peer, stream=2 * number + 1)[2])
            delays.append(time.monotonic() - sent[-1])
        self.assertLess(statistics.median(delays), AT_ONCE, delays)

    def test_GW_06_cancelling_is_counted_per_connection(self):
        """One connection cancels thousands of calls -> its own connection ends with ENHANCE_YOUR_CALM, nobody else's"""
        type(self).answer = staticmethod(self.say(begun))
        bystander = self.peer()
        bystander.send(call(1, ("x-call", "bystander")))
        bystander.head(1)
        flood = self.peer()
        for number in range(4000):
            stream = 2 * number + 1
            if not flood.send(call(stream), rst(stream, CANCEL)):
                break
        self.assertEqual(ENHANCE_YOUR_CALM, flood.goaway())
        bystander.settle()
        self.assertFalse([f for f in bystander.heard if f.kind in (RST_STREAM, GOAWAY)])
        self.assertEqual("0", self.second_call(bystander))

    def test_GW_06_many_who_cancel_a_little(self):
        """A dozen connections that each cancel a call now and then, more than any single one might -> the connection that carries all of them between the sidecars lives on"""
        type(self).answer = staticmethod(self.say(begun))
        bystander = self.peer()
        bystander.send(call(1, ("x-call", "bystander")))
        bystander.head(1)
        clients = [self.peer() for _ in range(12)]
        for number in range(200):
            stream = 2 * number + 1
            for client in clients:
                client.send(call(stream))
            for client in clients:
                client.head(stream)
                client.send(rst(stream, CANCEL))
                client.heard.clear()
        bystander.settle()
        self.assertFalse([f for f in bystander.of(1) if f.kind == RST_STREAM or f.ends], bystander.heard)
        self.assertEqual("0", self.second_call(bystander))

    def second_call(self, peer):
        type(self).answer = staticmethod(self.say(lambda s: trailers_only(s, "0")))
        return self.outcome(peer=peer, stream=3)[2]

    def test_GW_07_a_slow_reader(self):
        """A client that reads nothing of a long server-stream -> the sender runs into its window after a bounded amount; then every byte arrives"""
        total = message(bytes(range(256)) * 256) * 256  # 16 MiB
        sender, rest = [], []

        def answer(peer, head):
            peer.send(begun(head.stream))
            sender.append(Sender(peer, head.stream))
            # What the window lets out while the client sleeps; the rest when it wakes.
            rest.append(sender[0].send(total, quiet=1.0))
            sender[0].send(rest[0])
            peer.send(trailers(head.stream))
        type(self).answer = staticmethod(answer)
        peer = self.peer()
        peer.send(call(1), data(1, b"", END_STREAM))
        wait_for(lambda: rest, "the sender is stopped", 60)
        held = len(total) - len(rest[0])
        self.assertLess(held, 6 << 20, "so much is on its way to a client that does not read")
        content, given = bytearray(), 0
        while True:
            part = peer.read(60)
            self.assertIsNotNone(part, "after %d bytes nothing more comes" % len(content))
            if part.kind == DATA:
                content += part.payload
                given += len(part.payload)
                if given > 16384:
                    peer.send(window_update(0, given), window_update(1, given))
                    given = 0
            if part.ends:
                break
            peer.heard.clear()
        self.assertEqual("0", part.field("grpc-status"))
        self.assertTrue(content == total, "%d bytes of %d" % (len(content), len(total)))

    def test_GW_08_what_only_looks_like_grpc(self):
        """Content-Type application/grpc;evil, application/grpc-web, application/grpcx, none -> an HTTP answer, no deadline; only application/grpc and +subtypes are gRPC"""
        for content_type in ("application/grpc;evil", "application/grpc-web", "application/grpcx", "application/grpc-web+proto",
                             "text/plain", None):
            with self.subTest(content_type):
                status, body, grpc_status, _ = self.outcome(authority="nobody", content_type=content_type)
                self.assertEqual(("404", None), (status, grpc_status))
                self.assertIn(b'"no_route"', body)
                type(self).answer = staticmethod(self.say(lambda s: headers(s, [(":status", "200")])))
                status, _, grpc_status, _ = self.outcome(("grpc-timeout", "0n"), content_type=content_type)
                self.assertEqual(("200", None), (status, grpc_status))
        for content_type in ("application/grpc", "application/grpc+proto", "application/grpc+json"):
            with self.subTest(content_type):
                status, body, grpc_status, last = self.outcome(authority="nobody", content_type=content_type)
                self.assertEqual(("200", b"", "12", content_type), (status, body, grpc_status, last.field("content-type")))


if __name__ == "__main__":
    unittest.main()
