"""Opaque TCP: two sidecars with mutual TLS between them and a service that speaks no HTTP."""
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

from mesh import (HERE, PATIENCE, SharedMeshCase, bootstrap, client_tls, cluster, curl, host, program, reachable, route,
                  server_tls, sniffing_listener, spiffe, tcp_chain, tcp_listener, wait_for)

sys.path.insert(0, os.path.join(HERE, "peers"))
from tcp_peer import TcpPeer, echo, reset  # noqa: E402

MIB = 1024 * 1024


def start_pair(mesh, port, name="", **proxy):
    """(outbound, inbound): whatever connects to the first reaches the port behind the second."""
    inbound = mesh.sidecar(name + "inbound", bootstrap(
        tcp_listener("inbound", tcp_chain("application", tls=server_tls(), **proxy), inbound=True),
        cluster("application", port), node="callee", identity=mesh.identity("callee")))
    outbound = mesh.sidecar(name + "outbound", bootstrap(
        tcp_listener("outbound", tcp_chain("peer", **proxy)),
        cluster("peer", inbound.port("inbound"), tls=client_tls(spiffe("callee"))),
        node="caller", identity=mesh.identity("caller")))
    return outbound, inbound


def connect(sidecar, listener="outbound"):
    client = socket.create_connection(("127.0.0.1", sidecar.port(listener)), timeout=PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_to_end(client):
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


class Pair(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.peer = TcpPeer(lambda connection: cls.serve(connection))
        mesh.closers.append(cls.peer.close)
        cls.serve = staticmethod(echo)
        cls.outbound, cls.inbound = start_pair(mesh, cls.peer.port)

    def serving(self, serve):
        type(self).serve = staticmethod(serve)
        self.addCleanup(lambda: setattr(type(self), "serve", staticmethod(echo)))
        return self.peer

    def test_bytes_come_back(self):
        with connect(self.outbound) as client:
            for message in (b"a", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40):
                client.sendall(message)
                got = b""
                while len(got) < len(message):
                    got += client.recv(65536)
                self.assertEqual(message, got)

    def test_the_log_names_both_peers_and_counts_bytes(self):
        before = self.inbound.metric("tulle_tcp_bytes_total", listener="inbound", flow="received")
        with connect(self.outbound) as client:
            client.sendall(b"x" * 777)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(b"x" * 777, read_to_end(client))
        ours = self.inbound.wait_log(lambda entry: entry.get("bytes_received") == 777)[0]
        self.assertEqual(("tcp", spiffe("caller"), 777), (ours["protocol"], ours["peer"], ours["bytes_sent"]))
        theirs = self.outbound.wait_log(lambda entry: entry.get("bytes_received") == 777)[0]
        self.assertEqual(spiffe("callee"), theirs["upstream_peer"])
        self.assertNotIn("flags", theirs)
        self.assertEqual(777, self.inbound.metric("tulle_tcp_bytes_total", listener="inbound", flow="received") - before)

    def test_half_close_both_ways(self):
        def answer_after_the_end(connection):
            size = 0
            while data := connection.receive():
                size += len(data)
            connection.socket.sendall(b"%d bytes" % size)
        self.serving(answer_after_the_end)
        with connect(self.outbound) as client:
            client.sendall(b"q" * 5000)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(b"5000 bytes", read_to_end(client))

        ended = threading.Event()

        def end_first(connection):
            connection.socket.sendall(b"bye")
            connection.socket.shutdown(socket.SHUT_WR)
            while connection.receive():
                pass
            ended.set()
        self.serving(end_first)
        with connect(self.outbound) as client:
            self.assertEqual(b"bye", read_to_end(client))
            self.assertFalse(ended.is_set())
            client.sendall(b"still talking")
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(ended.wait(PATIENCE))
        self.assertEqual((13, "fin"), (self.peer.connections[-1].received, self.peer.connections[-1].end))

    def test_100_mib_each_way_at_once(self):
        size = 100 * MIB
        block = os.urandom(MIB)
        expected = hashlib.sha256(block * (size // MIB)).hexdigest()
        got = {}

        def both(connection):
            def send():
                for _ in range(size // MIB):
                    connection.socket.sendall(block)
                connection.socket.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            digest = hashlib.sha256()
            while data := connection.receive(MIB):
                digest.update(data)
            got["server"] = digest.hexdigest()
            sender.join()
        self.serving(both)
        with connect(self.outbound) as client:
            def send():
                for _ in range(size // MIB):
                    client.sendall(block)
                client.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            digest = hashlib.sha256()
            while data := client.recv(MIB):
                digest.update(data)
            sender.join()
        self.assertTrue(self.peer.connections[-1].done.wait(PATIENCE))
        self.assertEqual((expected, expected), (digest.hexdigest(), got["server"]))

    def test_a_slow_reader_costs_bounded_memory(self):
        sent = []

        def flood(connection):
            connection.socket.settimeout(2)
            block = bytes(64 * 1024)
            total = 0
            try:
                while total < 256 * MIB:
                    total += connection.socket.send(block)
            except TimeoutError:
                pass
            sent.append(total)
        self.serving(flood)
        with connect(self.outbound):
            wait_for(lambda: sent, "the sender is held back", PATIENCE)
        # The kernel's buffers of four sockets are most of it.
        self.assertLess(sent[0], 64 * MIB)

    def test_a_reset_by_the_client_reaches_the_server(self):
        with connect(self.outbound) as client:
            client.sendall(b"x")
            self.assertEqual(b"x", client.recv(1))
            connection = self.peer.connections[-1]
            reset(client)
        self.assertTrue(connection.done.wait(PATIENCE))
        self.assertEqual("reset", connection.end)
        self.outbound.wait_log(lambda entry: entry.get("flags") == "DC" and entry.get("protocol") == "tcp")

    def test_a_reset_by_the_server_reaches_the_client(self):
        def break_off(connection):
            connection.receive()
            connection.reset()
        self.serving(break_off)
        with connect(self.outbound) as client:
            client.sendall(b"x")
            with self.assertRaises(ConnectionResetError):
                client.recv(1)
        self.inbound.wait_log(lambda entry: entry.get("flags") == "UR" and entry.get("protocol") == "tcp")

    def test_a_server_that_speaks_first_does_not_wait(self):
        self.serving(lambda connection: (connection.socket.sendall(b"220 ready\r\n"), connection.receive()))
        with connect(self.outbound) as client:
            self.assertEqual(b"220 ready\r\n", client.recv(100))

    def test_who_is_not_of_the_mesh_gets_nothing(self):
        before = len(self.peer.connections)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for alpn in (["tulle-tcp"], ["h2"], []):
            if alpn:
                context.set_alpn_protocols(alpn)
            with self.subTest(alpn=alpn), self.assertRaises((ssl.SSLError, ConnectionError)):
                with connect(self.inbound, "inbound") as plain, context.wrap_socket(plain) as client:
                    client.sendall(b"x")
                    self.assertEqual(b"", client.recv(1))
                    raise ConnectionError("closed without an answer")
        with connect(self.inbound, "inbound") as client:
            client.sendall(b"plaintext")
            with self.assertRaises((ConnectionError, AssertionError)):
                self.assertIn(b"plaintext", read_to_end(client))
        self.assertEqual(before, len(self.peer.connections))

    def test_redis(self):
        server = program("redis-server")
        cli = program("redis-cli")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        folder = self.mesh.path("redis")
        os.makedirs(folder, exist_ok=True)
        redis = self.mesh.process("redis", [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                            "--dir", folder])
        redis.wait_for(lambda: reachable(port), "redis accepts connections", PATIENCE)
        outbound, _ = start_pair(self.mesh, port, "redis-")

        def ask(*words):
            return subprocess.run([cli, "-p", str(outbound.port("outbound")), *words], capture_output=True, text=True,
                                  timeout=PATIENCE, check=True).stdout.strip()
        self.assertEqual("PONG", ask("PING"))
        self.assertEqual("OK", ask("SET", "dish", "pasta"))
        self.assertEqual("pasta", ask("GET", "dish"))
        big = "x" * 100_000  # one argument has 128 KiB
        self.assertEqual("OK", ask("SET", "big", big))
        self.assertEqual(str(len(big)), ask("STRLEN", "big"))


class Sniffing(SharedMeshCase):
    """A listener of which nobody has declared what is spoken there."""

    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()
        cls.greeting = b""
        cls.peer = TcpPeer(lambda connection: (connection.socket.sendall(cls.greeting), echo(connection)))
        mesh.closers.append(cls.peer.close)
        cls.sidecar = mesh.sidecar("sidecar", bootstrap(
            sniffing_listener("outbound", host("all", ["*"], route("http")), to="tcp"),
            cluster("http", cls.origin.port), cluster("tcp", cls.peer.port)))

    def setUp(self):
        super().setUp()
        type(self).greeting = b""

    def test_http_is_routed_and_other_bytes_are_carried(self):
        answer = curl("http://127.0.0.1:%d/echo" % self.sidecar.port("outbound"), "-d", "hello")
        self.assertEqual((200, b"hello"), (answer.status, answer.body))
        with connect(self.sidecar) as client:
            client.sendall(b"*1\r\n$4\r\nPING\r\n")
            self.assertEqual(b"*1\r\n$4\r\nPING\r\n", client.recv(100))

    def test_http2_with_prior_knowledge_is_routed(self):
        answer = curl("http://127.0.0.1:%d/echo" % self.sidecar.port("outbound"), "--http2-prior-knowledge",
                      "-d", "hello")
        self.assertEqual((200, b"hello"), (answer.status, answer.body))

    def test_a_silent_client_hears_the_servers_greeting(self):
        type(self).greeting = b"220 ready\r\n"
        begin = time.monotonic()
        with connect(self.sidecar) as client:
            self.assertEqual(b"220 ready\r\n", client.recv(100))
        self.assertGreaterEqual(time.monotonic() - begin, 0.05)

    def test_http_after_a_silence_is_routed(self):
        before = len(self.peer.connections)
        with connect(self.sidecar) as client:
            wait_for(lambda: len(self.peer.connections) > before, "the upstream is dialled as TCP", PATIENCE)
            client.sendall(b"GET /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            self.assertTrue(read_to_end(client).startswith(b"HTTP/1.1 200"))
        self.assertTrue(self.peer.connections[-1].done.wait(PATIENCE))
        self.assertEqual(0, self.peer.connections[-1].received)

    def test_tls_of_the_application_passes_through(self):
        leaf = self.mesh.leaf("database")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.certificate, leaf.key)

        def serve_tls(connection):
            with context.wrap_socket(connection.socket, server_side=True) as secure:
                secure.sendall(secure.recv(100))
        peer = TcpPeer(serve_tls)
        self.addCleanup(peer.close)
        sidecar = self.mesh.sidecar("tls", bootstrap(
            sniffing_listener("outbound", host("all", ["*"], route("http")), to="tcp"),
            cluster("http", self.origin.port), cluster("tcp", peer.port), node="tls"))
        client_context = ssl.create_default_context(cafile=self.mesh.authority.certificate)
        client_context.check_hostname = False
        with connect(sidecar) as plain, client_context.wrap_socket(plain, server_hostname="db.example") as client:
            client.sendall(b"secret")
            self.assertEqual(b"secret", client.recv(100))
        entry = sidecar.wait_log(lambda one: one.get("protocol") == "tcp")[0]
        self.assertEqual("db.example", entry["server_name"])


class Ends(SharedMeshCase):
    """How connections end that the sidecar ends itself."""

    @classmethod
    def start(cls, mesh):
        cls.peer = TcpPeer(echo)
        mesh.closers.append(cls.peer.close)

    def test_an_idle_connection_is_ended(self):
        sidecar = self.mesh.sidecar("idle", bootstrap(
            tcp_listener("outbound", tcp_chain("tcp", idle_timeout="0.5s")), cluster("tcp", self.peer.port)))
        with connect(sidecar) as client:
            client.sendall(b"x")
            self.assertEqual(b"x", client.recv(1))
            with self.assertRaises(ConnectionResetError):
                client.recv(1)
        sidecar.wait_log(lambda entry: entry.get("error") == "idle_timeout")

    def test_nobody_there_is_a_reset_and_a_line(self):
        sidecar = self.mesh.sidecar("nobody", bootstrap(
            tcp_listener("outbound", tcp_chain("tcp")), cluster("tcp", self.mesh.reserved_port())))
        with connect(sidecar) as client, self.assertRaises(ConnectionResetError):
            client.recv(1)
        entry = sidecar.wait_log(lambda one: one.get("protocol") == "tcp")[0]
        self.assertEqual(("connect_failed", "UF"), (entry["error"], entry["flags"]))

    def test_what_runs_is_finished_at_shutdown(self):
        sidecar = self.mesh.sidecar("drain", bootstrap(
            tcp_listener("outbound", tcp_chain("tcp")), cluster("tcp", self.peer.port), grace=20))
        with connect(sidecar) as client:
            client.sendall(b"x")
            self.assertEqual(b"x", client.recv(1))
            sidecar.signal(15)
            wait_for(lambda: not reachable(sidecar.port("outbound")), "new connections are refused", PATIENCE)
            client.sendall(b"y" * 100_000)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(100_000, len(read_to_end(client)))
        self.assertEqual(0, sidecar.wait(PATIENCE))


if __name__ == "__main__":
    unittest.main()
