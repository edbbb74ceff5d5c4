"""Bytes of the PROXY protocol on ports that have not been told to expect it: they are no request."""
import struct
import unittest

import frames
import wire
from http2_stage import Http2Stage

REQUEST = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"
H2_REQUEST = frames.PREFACE + frames.settings() + frames.headers(1, frames.request("/behind", authority="a"))
CLAIMED = "192.0.2.77"  # the client that the header speaks of

VERSION_1 = [
    b"PROXY TCP4 192.0.2.77 192.0.2.1 56324 443\r\n",
    b"PROXY TCP6 2001:db8::77 2001:db8::1 56324 443\r\n",
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    b"PROXY TCP4 192.0.2.77 192.0.2.1 99999 -1\r\n",
    b"PROXY TCP4 192.0.2.77 192.0.2.1 56324 443\n",
    b"PROXY TCP4 192.0.2.77\x00 192.0.2.1 56324 443\r\n",
    b"PROXY TCP4 192.0.2.77 192.0.2.1 56324 443" + b"4" * 67 + b"\r\n",  # 110 bytes, of at most 107
    b"PROXY TCP4 192.0.2.77 192.0.2.1 56324 443 ",                       # no end of line before the request
]
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = bytes((192, 0, 2, 77, 192, 0, 2, 1)) + struct.pack(">HH", 56324, 443)


def version_2(command, family, payload, length=None):
    return SIGNATURE + struct.pack(">BBH", command, family, len(payload) if length is None else length) + payload


VERSION_2 = [
    version_2(0x21, 0x11, ADDRESSES),                                       # PROXY, TCP over IPv4
    version_2(0x20, 0x00, b""),                                             # LOCAL
    version_2(0x21, 0x11, ADDRESSES, length=65535),                         # says more than comes
    version_2(0x21, 0x11, ADDRESSES + struct.pack(">BH", 4, 65535)),        # a TLV beyond the end
    version_2(0x21, 0x11, ADDRESSES + b"\x04" + struct.pack(">H", 60000) + bytes(60000)),
    SIGNATURE,
]


class ProxyProtocol(Http2Stage):
    def refused(self, listener_name, header, behind, bytewise=False):
        """What is said to the bytes, to the end of the connection."""
        with wire.Client(self.sidecars[0].port(listener_name)) as client:
            if bytewise:
                for at in range(len(header)):
                    client.send(header[at:at + 1])
                client.send(behind)
            else:
                client.send(header + behind)
            return client.read_to_end()

    def assert_400(self, data):
        answers = wire.read_answers(data, ("GET",), True)
        self.assertEqual([400], [answer.status for answer in answers], data[:300])
        self.assertEqual("close", answers[0].fields["connection"])

    def assert_believed_by_nobody(self):
        for entry in self.log_lines():
            self.assertNotIn(CLAIMED, repr(entry))

    def test_GW_11_version_1_nobody_asked_for(self):
        """`PROXY TCP4 ...` and eight more lines of version 1, right and wrong, before a request on ports that do not expect them, also byte by byte -> refused with 400; the request behind is not made, the address not believed"""
        for header in VERSION_1:
            for port in ("outbound", "http1"):
                with self.subTest(header=header, port=port), self.nothing_forwarded():
                    self.assert_400(self.refused(port, header, REQUEST))
        with self.nothing_forwarded():
            self.assert_400(self.refused("outbound", VERSION_1[0], REQUEST, bytewise=True))
        self.assert_believed_by_nobody()

    def test_GW_11_version_2_nobody_asked_for(self):
        """The binary header of version 2, right, too long by its own word, with a TLV beyond its end, cut off, also byte by byte -> refused with 400; the request behind is not made, the address not believed"""
        for header in VERSION_2:
            for port in ("outbound", "http1"):
                with self.subTest(header=header[:40], port=port), self.nothing_forwarded():
                    self.assert_400(self.refused(port, header, REQUEST))
        with self.nothing_forwarded():
            self.assert_400(self.refused("outbound", VERSION_2[0], REQUEST, bytewise=True))
        self.assert_believed_by_nobody()

    def test_GW_11_before_http2(self):
        """Either header before an HTTP/2 preface, on a port that detects the protocol and on one that takes HTTP/2 alone -> 400 there, GOAWAY PROTOCOL_ERROR or just the end here; no stream is opened"""
        for header in (VERSION_1[0], VERSION_1[2], VERSION_2[0], VERSION_2[1]):
            with self.subTest(header=header), self.nothing_forwarded():
                self.assert_400(self.refused("outbound", header, H2_REQUEST))
                peer = self.connect("http2")
                peer.send(header, H2_REQUEST)
                self.assertIn(peer.goaway(), (None, frames.PROTOCOL_ERROR), peer.heard)
                self.assertNotIn(frames.HEADERS, [frame.kind for frame in peer.heard], peer.heard)

    def test_GW_11_before_tls(self):
        """Either header before a ClientHello -> closed without an answer in plain text"""
        hello = bytes.fromhex("16030100050100000100")
        for header in (VERSION_1[0], VERSION_2[0]):
            with self.subTest(header=header), self.nothing_forwarded():
                self.assertNotIn(b"HTTP/", self.refused("tls", header, hello))


if __name__ == "__main__":
    unittest.main()
