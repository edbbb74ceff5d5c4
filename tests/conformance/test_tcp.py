"""Matrix 1.I, raw TCP: servers that speak first, resets, and TLS that is not ours."""
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
import unittest

import stage  # noqa: F401  (puts the folder of the end-to-end stories on the path)
from mesh import (HERE, PATIENCE, INSPECTORS, SharedMeshCase, bootstrap, client_tls, cluster, host, program, reachable,
                  route, server_tls, sniffing_listener, spiffe, tcp_chain, tcp_listener, wait_for)

sys.path.insert(0, os.path.join(HERE, "peers"))
from tcp_peer import TcpPeer, echo, reset  # noqa: E402

DETECTION = 0.05
# What a busy machine and a sanitizer build may take on top; the rule's own allowance is 50 ms, which
# is asserted of the quickest of several tries.
TRIES = 5


def connect(sidecar, listener="outbound"):
    client = socket.create_connection(("127.0.0.1", sidecar.port(listener)), timeout=PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


class ServersThatSpeakFirst(SharedMeshCase):
    """Listeners before real servers: one that finds out what is spoken, one declared TCP."""

    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()

    def banner_times(self, port, expected):
        """Seconds to the first bytes of the server: (through detection, declared)."""
        name = "first-%d" % port
        sidecar = self.mesh.sidecar(name, bootstrap(
            sniffing_listener("outbound", host("all", ["*"], route("http")), to="tcp"),
            tcp_listener("declared", tcp_chain("tcp")),
            cluster("http", self.origin.port), cluster("tcp", port), node=name))
        best = []
        for listener in ("outbound", "declared"):
            times = []
            for _ in range(TRIES):
                begin = time.monotonic()
                with connect(sidecar, listener) as client:
                    banner = client.recv(4096)
                    times.append(time.monotonic() - begin)
                self.assertIn(expected, banner)
            best.append(min(times))
        return best

    def assert_quick(self, port, expected):
        detected, declared = self.banner_times(port, expected)
        self.assertGreaterEqual(detected, DETECTION * 0.9)
        self.assertLess(detected, DETECTION + 0.05)
        self.assertLess(declared, DETECTION)

    def test_GW_12_server_first(self):
        """MariaDB, SMTP, SSH and FTP greet on a port of which nothing is declared -> the greeting comes within detection timeout + 50 ms; at once where TCP is declared"""
        greetings = {
            "MariaDB": b"\x5b\0\0\0\x0a10.11.6-MariaDB\0" + bytes(75),
            "SMTP": b"220 mail.example ESMTP\r\n",
            "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
            "FTP": b"220 (vsFTPd 3.0.3)\r\n",
        }
        for name, greeting in greetings.items():
            with self.subTest(protocol=name):
                def greet(connection, greeting=greeting):
                    connection.socket.sendall(greeting)
                    echo(connection)
                peer = TcpPeer(greet)
                self.addCleanup(peer.close)
                self.assert_quick(peer.port, greeting[:20])

    def test_GW_12_openssh(self):
        """a real OpenSSH server -> its banner within detection timeout + 50 ms"""
        sshd = program("sshd")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # its privilege separation wants that
        elif not os.path.isdir("/run/sshd"):
            self.skipTest("sshd needs /run/sshd, which only root can make")
        folder = self.mesh.path("sshd")
        os.makedirs(folder, exist_ok=True)
        key = os.path.join(folder, "key")
        subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = self.mesh.process("sshd", [sshd, "-D", "-e", "-f", "/dev/null", "-h", key, "-p", str(port),
                                             "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none"])
        process.wait_for(lambda: reachable(port), "sshd accepts connections", PATIENCE)
        self.assert_quick(port, b"SSH-2.0-")


class Resets(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.peer = TcpPeer(lambda connection: cls.serve(connection))
        mesh.closers.append(cls.peer.close)
        cls.inbound = mesh.sidecar("inbound", bootstrap(
            tcp_listener("inbound", tcp_chain("application", tls=server_tls()), inbound=True),
            cluster("application", cls.peer.port), node="callee", identity=mesh.identity("callee")))
        cls.outbound = mesh.sidecar("outbound", bootstrap(
            tcp_listener("outbound", tcp_chain("peer")),
            cluster("peer", cls.inbound.port("inbound"), tls=client_tls(spiffe("callee"))),
            node="caller", identity=mesh.identity("caller")))

    def test_GW_14_reset_by_the_server(self):
        """the server resets with unsent data -> the client sees a reset; the bytes are counted; no line calls it a clean close"""
        def break_off(connection):
            connection.receive()
            connection.socket.sendall(b"y" * 1000)
            connection.receive(1)
            connection.socket.sendall(b"z" * 1_000_000)
            connection.reset()
        type(self).serve = staticmethod(break_off)
        with connect(self.outbound) as client:
            client.sendall(b"x" * 500)
            got = 0
            while got < 1000:
                got += len(client.recv(1000 - got))
            client.sendall(b"!")
            with self.assertRaises(ConnectionResetError):
                while client.recv(65536):
                    pass
        entry = self.inbound.wait_log(lambda one: one.get("flags") == "UR")[0]
        self.assertEqual((501, "upstream_reset"), (entry["bytes_received"], entry["error"]))
        self.assertGreaterEqual(entry["bytes_sent"], 1000)
        self.outbound.wait_log(lambda one: one.get("flags") == "UR")
        self.assertEqual([], self.outbound.log(lambda one: one.get("protocol") == "tcp" and "flags" not in one))

    def test_GW_14_reset_by_the_client(self):
        """the client resets with unread data -> the server sees a reset, not an end"""
        def flood(connection):
            connection.receive()
            with contextlib.suppress(ConnectionError):
                connection.socket.sendall(b"y" * 300_000)
            connection.receive()
        type(self).serve = staticmethod(flood)
        with connect(self.outbound) as client:
            client.sendall(b"x")
            client.recv(10)
            reset(client)
        connection = self.peer.connections[-1]
        self.assertTrue(connection.done.wait(PATIENCE))
        self.assertEqual("reset", connection.end)
        self.outbound.wait_log(lambda one: one.get("flags") == "DC")


class TlsBySni(SharedMeshCase):
    """Two names are routed, everything else is not."""

    @classmethod
    def start(cls, mesh):
        cls.a, cls.b = TcpPeer(echo), TcpPeer(echo)
        mesh.closers += [cls.a.close, cls.b.close]
        cls.sidecar = mesh.sidecar("sidecar", bootstrap(
            tcp_listener("outbound",
                         tcp_chain("a", {"server_names": ["a.example"], "transport_protocol": "tls"}),
                         tcp_chain("b", {"server_names": ["*.b.example"], "transport_protocol": "tls"}),
                         listener_filters=INSPECTORS),
            cluster("a", cls.a.port), cluster("b", cls.b.port)))

    @staticmethod
    def hello(name):
        """A ClientHello as OpenSSL writes it; None: without SNI."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        out = ssl.MemoryBIO()
        session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        return out.read()

    @staticmethod
    def with_extension(hello, extension):
        """The ClientHello with one more extension at its end, all lengths put right."""
        body = bytearray(hello[9:])
        at = 34
        at += 1 + body[at]
        at += 2 + int.from_bytes(body[at:at + 2], "big")
        at += 1 + body[at]
        size = int.from_bytes(body[at:at + 2], "big") + len(extension)
        body[at:at + 2] = size.to_bytes(2, "big")
        body += extension
        message = b"\x01" + len(body).to_bytes(3, "big") + bytes(body)
        return hello[:3] + len(message).to_bytes(2, "big") + message

    def reaches(self, data):
        """Which server gets it, byte for byte; None: the connection is refused."""
        before = len(self.a.connections), len(self.b.connections)
        with connect(self.sidecar) as client:
            client.sendall(data)
            try:
                got = b""
                while len(got) < len(data):
                    piece = client.recv(65536)
                    if not piece:
                        break
                    got += piece
            except ConnectionResetError:
                got = b""
        after = len(self.a.connections), len(self.b.connections)
        if after == before:
            self.assertEqual(b"", got)
            return None
        self.assertEqual(data, got, "what arrives is what was sent")
        return "a" if after[0] > before[0] else "b"

    def test_GW_15_names_that_are_routed(self):
        """SNI of a routed name, in one record or in many -> its server gets the untouched bytes; nothing is decrypted"""
        self.assertEqual("a", self.reaches(self.hello("a.example")))
        self.assertEqual("a", self.reaches(self.hello("A.Example")))
        self.assertEqual("b", self.reaches(self.hello("x.b.example")))
        whole = self.hello("a.example")
        message, pieces = whole[5:], b""
        for at in range(0, len(message), 50):
            piece = message[at:at + 50]
            pieces += whole[:3] + len(piece).to_bytes(2, "big") + piece
        self.assertEqual("a", self.reaches(pieces))
        self.sidecar.wait_log(lambda one: one.get("server_name") == "x.b.example")

    def test_GW_15_everything_else_is_refused(self):
        """no SNI, two names, a name nobody routes, no TLS at all -> refused, no server sees a byte"""
        name = b"\0" + (9).to_bytes(2, "big") + b"b.b.examp"
        second = b"\0\0" + (len(name) + 2).to_bytes(2, "big") + len(name).to_bytes(2, "big") + name
        for label, data in (("no SNI", self.hello(None)), ("denied", self.hello("other.example")),
                            ("the suffix itself", self.hello("b.example")),
                            ("two names", self.with_extension(self.hello("a.example"), second)),
                            ("no TLS", b"PING\r\n")):
            with self.subTest(label):
                self.assertIsNone(self.reaches(data))
        self.sidecar.wait_log(lambda one: one.get("flags") == "NR" and one.get("server_name") == "other.example")

    def test_GW_15_encrypted_client_hello(self):
        """ECH -> routed by the public name outside, or refused; nothing is decrypted"""
        ech = b"\xfe\x0d" + (40).to_bytes(2, "big") + bytes(40)
        self.assertEqual("a", self.reaches(self.with_extension(self.hello("a.example"), ech)))
        self.assertIsNone(self.reaches(self.with_extension(self.hello("other.example"), ech)))


if __name__ == "__main__":
    unittest.main()
