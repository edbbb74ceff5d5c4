"""Garbage on every port: nothing crashes, nothing is forwarded, the next good request works."""
import random
import socket
import unittest

from mesh import SharedMeshCase, bootstrap, cluster, host, listener, probes, route, server_tls

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


class Garbage(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()
        cls.sidecar = mesh.sidecar("s", bootstrap(
            listener("plain", host("all", ["*"], route("application"))),
            listener("mutual", host("all", ["*"], route("application")), inbound=True, tls=server_tls()),
            cluster("application", cls.origin.port), node="callee", identity=mesh.identity("callee")))
        cls.ports = {name: cls.sidecar.port(name) for name in ("plain", "mutual", "admin")}
        cls.caller = mesh.leaf("caller")
        cls.context = probes.tls_context(mesh.authority.certificate, cls.caller)

    def throw(self, port, payload, context=None):
        """Sends what can be sent, reads what comes, within bounds."""
        got = b""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=15) as raw:
                with context.wrap_socket(raw, server_hostname="callee") if context else raw as stream:
                    stream.sendall(payload)
                    stream.shutdown(socket.SHUT_WR)  # inside TLS: without a goodbye
                    while len(got) < 1 << 20:
                        part = stream.recv(65536)
                        if not part:
                            break
                        got += part
        except OSError as problem:
            self.assertNotIsInstance(problem, socket.timeout, "the connection was left hanging after %r" % payload[:60])
        return got

    def assert_alive(self):
        self.assertTrue(self.sidecar.running(), self.sidecar.evidence())
        self.assertEqual(200, probes.get(self.ports["plain"], "/good", {"host": "x"}).status)
        self.assertEqual(200, probes.get(self.ports["admin"], "/ready").status)
        good = probes.exchange(self.ports["mutual"], probes.request_bytes("/good", "callee"), self.context, "callee")
        self.assertTrue(good.answer.startswith(b"HTTP/1.1 200"), good)
        seen = {one.target for one in self.origin.requests()}
        self.assertEqual(set(), seen - {"/good", "/"}, "garbage was forwarded")

    def everywhere(self, *payloads):
        for name, port in self.ports.items():
            for payload in payloads:
                with self.subTest(port=name, payload=payload[:40]):
                    self.throw(port, payload)
        for payload in payloads:
            with self.subTest(port="mutual, inside TLS", payload=payload[:40]):
                self.throw(self.ports["mutual"], payload, self.context)
        self.assert_alive()

    def test_random_bytes(self):
        generator = random.Random(20260101)
        self.everywhere(*(generator.randbytes(size) for size in (1, 2, 5, 16, 100, 1000, 20000, 200000)))

    def test_nothing_and_nearly_nothing(self):
        self.everywhere(b"", b"\0", b"\r\n", b"\n" * 2000, b"G", b"GET", b"GET /garbage HTTP/1.1\r\n", PREFACE[:10])

    def test_a_tls_hello_where_plain_text_is_spoken(self):
        hello = bytes.fromhex("16030100c5010000c10303") + bytes(32) + b"\0" + b"\0\x02\x13\x01\x01\0" + bytes(140)
        self.everywhere(hello, hello[:7], b"\x16\x03\x01\xff\xff" + b"x" * 66000, b"\x15\x03\x01\0\x02\x02\x28")
        outcome = probes.exchange(self.ports["plain"], b"x", self.context, "callee")
        self.assertEqual(b"", outcome.answer)
        self.assert_alive()

    def test_requests_that_are_none(self):
        self.everywhere(b"GET\r\n\r\n", b"GET /garbage\r\n\r\n", b"\x00 /garbage HTTP/1.1\r\nhost: x\r\n\r\n",
                        b"GET /garbage HTTP/9.9\r\nhost: x\r\n\r\n", b"GET /garbage HTTP/1.1\r\n\r\n",
                        b"GET /garbage HTTP/1.1\r\nhost x\r\n\r\n", b"GET /gar\0bage HTTP/1.1\r\nhost: x\r\n\r\n",
                        b"GET /garbage HTTP/1.1\r\nhost: x\r\nname : y\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                        b"GET /garbage HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", b"A" * 100000,
                        b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
                        b"GET /garbage HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 5000 + b"\r\n")

    def test_an_http2_preface_and_junk(self):
        settings = frame(4, 0, 0, b"")
        generator = random.Random(20260102)
        self.everywhere(PREFACE, PREFACE + b"junk junk junk", PREFACE + settings + generator.randbytes(3000),
                        PREFACE + settings + frame(1, 4, 1, generator.randbytes(300)),        # HPACK junk
                        PREFACE + settings + frame(1, 5, 2, b"\x82\x86\x84"),                 # an even stream
                        PREFACE + settings + frame(0, 0, 7, b"data of no stream"),
                        PREFACE + settings + frame(9, 4, 1, b"\x82"),                         # CONTINUATION alone
                        PREFACE + settings + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 70000,
                        PREFACE + frame(6, 0, 0, b"12345678"),                                # PING before SETTINGS
                        PREFACE + settings + frame(8, 0, 0, b"\0\0\0\0"),                     # WINDOW_UPDATE of 0
                        PREFACE + settings + frame(3, 0, 0, b"\0\0\0\x08"))                   # RST_STREAM of stream 0

    def test_floods_of_control_frames(self):
        settings = frame(4, 0, 0, b"")
        self.everywhere(PREFACE + settings + frame(6, 0, 0, b"12345678") * 20000,
                        PREFACE + settings * 20000,
                        PREFACE + settings + b"".join(
                            frame(1, 5, 1 + 2 * n, b"\x82\x86\x84\x41\x01x") + frame(3, 0, 1 + 2 * n, b"\0\0\0\x08")
                            for n in range(2000)))

    def test_connections_that_break_off_by_reset(self):
        for name, port in self.ports.items():
            for payload in (b"", b"GET /garbage HTTP/1.1\r\nhost: x\r\n", b"\x16\x03\x01\x02", PREFACE):
                with socket.create_connection(("127.0.0.1", port), timeout=15) as raw:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    raw.sendall(payload)
        self.assert_alive()

    def test_hundreds_of_silent_connections(self):
        silent = []
        try:
            for port in self.ports.values():
                silent += [socket.create_connection(("127.0.0.1", port), timeout=15) for _ in range(100)]
            self.assert_alive()
        finally:
            for one in silent:
                one.close()
        self.assert_alive()


if __name__ == "__main__":
    unittest.main()
