"""CONNECT and extended CONNECT (RFC 8441), frame by frame."""
import unittest

from stage import Stage, says  # first: it finds the others
from mesh import bootstrap, cluster, host, listener, route
from test_tunnels import WEBSOCKET, accepting
from test_websocket import RawServer
from websocket import frame

try:
    import frames
    from frames import END_HEADERS, PROTOCOL_ERROR, Peer
except ImportError:
    raise unittest.SkipTest("there is no raw HTTP/2 client yet (tests/conformance/frames.py)") from None

ENABLE_CONNECT_PROTOCOL = 8
CHAT = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
        (":authority", "a.example"), ("sec-websocket-version", "13")]


def without(fields, *names):
    return [field for field in fields if field[0] not in names]


def replaced(fields, name, value):
    return [(key, value if key == name else old) for key, old in fields]


class Tunnels(Stage):
    @classmethod
    def start(cls, mesh):
        hosts = [host("quiet", ["canary", "fence"], route("quiet")), host("all", ["*"], route("recorded"))]
        return [mesh.sidecar("sidecar", bootstrap(
            listener("outbound", *hosts, **WEBSOCKET), listener("closed", *hosts),
            cluster("quiet", cls.quiet_origin.port), cluster("recorded", cls.recorder.port), workers=1))]

    def peer(self, listener="outbound"):
        peer = Peer.connect(self.sidecars[0].port(listener)).greet()
        self.clients.append(peer)
        return peer

    @staticmethod
    def announces(peer):
        entries = next(one for one in peer.heard if one.kind == frames.SETTINGS and not one.flags).payload
        return {int.from_bytes(entries[i:i + 2], "big"): int.from_bytes(entries[i + 2:i + 6], "big")
                for i in range(0, len(entries), 6)}.get(ENABLE_CONNECT_PROTOCOL, 0) == 1

    def test_H2_43_protocol_where_it_was_not_announced(self):
        """:protocol on a listener that allows no upgrade, and has not announced extended CONNECT -> RST_STREAM PROTOCOL_ERROR"""
        peer = self.peer("closed")
        self.assertFalse(self.announces(peer))
        with self.nothing_forwarded():
            peer.send(frames.headers(1, CHAT, END_HEADERS))
            self.assertEqual(PROTOCOL_ERROR, peer.reset(1))

    def test_H2_43_protocol_where_it_does_not_belong(self):
        """:protocol with GET or without :scheme, :path or :authority; CONNECT with :scheme or :path -> RST_STREAM PROTOCOL_ERROR"""
        bad = [replaced(CHAT, ":method", "GET"), without(CHAT, ":scheme"), without(CHAT, ":path"),
               without(CHAT, ":authority"), [(":method", "CONNECT"), (":authority", "a:1"), (":scheme", "http")],
               [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")], [(":method", "CONNECT")],
               CHAT[:1] + [(":protocol", "x")] + CHAT[1:]]
        with self.nothing_forwarded():
            for fields in bad:
                with self.subTest(fields=fields):
                    peer = self.peer()
                    self.assertTrue(self.announces(peer))
                    peer.send(frames.headers(1, fields, END_HEADERS))
                    self.assertEqual(PROTOCOL_ERROR, peer.reset(1))

    def test_H2_43_protocols_that_are_none(self):
        """:protocol with a list, h2c, a blank, or one that is not allowed; content-length on an extended CONNECT -> 400 or 403"""
        with self.nothing_forwarded():
            for fields, status in ((replaced(CHAT, ":protocol", "websocket, h2c"), "400"),
                                   (replaced(CHAT, ":protocol", "h2c"), "400"),
                                   (replaced(CHAT, ":protocol", "connect-udp"), "403"),
                                   (CHAT + [("content-length", "5")], "400")):
                with self.subTest(fields=fields):
                    peer = self.peer()
                    peer.send(frames.headers(1, fields, END_HEADERS))
                    self.assertEqual(status, peer.head(1).status)

    def test_H2_44_connect_by_http2(self):
        """CONNECT to 169.254.169.254:80, the admin port, a port that listens -> 403; no socket is opened, DATA behind it goes nowhere"""
        inside = RawServer(lambda connection: None)
        self.addCleanup(inside.close)
        with self.nothing_forwarded():
            for authority in ("169.254.169.254:80", "127.0.0.1:%d" % self.sidecars[0].admin,
                              "127.0.0.1:%d" % inside.port):
                peer = self.peer()
                peer.send(frames.headers(1, [(":method", "CONNECT"), (":authority", authority)], END_HEADERS),
                          frames.data(1, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"))
                self.assertEqual(("403", "denied"), (lambda head: (head.status, head.field("tulle-error")))(peer.head(1)))
        self.assertEqual(0, inside.accepted)

    def test_H1_59_early_data_of_an_extended_connect(self):
        """DATA behind an extended CONNECT before it is answered -> held until the 101 of the upstream, then passed; dropped when it declines"""
        seen = []

        def later(connection, asked):
            self.ask(b"GET /quiet HTTP/1.1\r\nhost: fence\r\n\r\n")
            seen.append(bytes(connection.received[connection.at:]))
            self.assertEqual("13", asked.fields["sec-websocket-version"])
            accepting(connection, asked, frame(b"hello", mask=None))
            connection.wait(lambda: len(connection.received) - connection.at >= len(frame(b"early")))
            seen.append(bytes(connection.received[connection.at:]))
            connection.close()
        self.recorder.answer = later
        peer = self.peer()
        peer.send(frames.headers(1, CHAT, END_HEADERS), frames.data(1, frame(b"early")))
        head = peer.head(1)
        self.assertEqual("200", head.status)
        self.assertIsNone(head.field("sec-websocket-accept"))
        peer.wait(lambda one: one.kind == frames.DATA and one.payload == frame(b"hello", mask=None), "the greeting")
        peer.wait(lambda one: one.stream == 1 and one.ends, "the end of the tunnel")
        self.assertEqual([b"", frame(b"early")], seen)

        self.recorder.begin()
        self.recorder.answer = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")
        peer = self.peer()
        peer.send(frames.headers(1, CHAT, END_HEADERS), frames.data(1, frame(b"early")))
        head = peer.head(1)
        self.assertEqual(("501", "200"), (head.status, head.field("tulle-status")), "2xx would open the tunnel")
        self.fence()
        self.assertNotIn(frame(b"early"), self.recorder.bytes())


if __name__ == "__main__":
    unittest.main()
