"""WebSockets and other tunnels, through one sidecar and through a pair with mutual TLS."""
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from mesh import (HERE, H1, PATIENCE, MeshCase, SharedMeshCase, bootstrap, client_tls, cluster, curl, host, listener,
                  program, route, says, server_tls, spiffe, wait_for)
from websocket import CLOSE, TEXT, WebSocket, frame

DISTRIBUTION_PYTHON = "/usr/bin/python3"  # the one that sees the distribution's packages
WEBSOCKET = [{"upgrade_type": "websocket"}]


def websocket_peer(name):
    """The command of a peer that needs python3-websockets, or a skip with the reason."""
    if subprocess.run([DISTRIBUTION_PYTHON, "-c", "import websockets"], stderr=subprocess.DEVNULL).returncode:
        raise unittest.SkipTest("python3-websockets is not installed")
    return [DISTRIBUTION_PYTHON, os.path.join(HERE, "peers", name)]


def echo_server(mesh):
    """The distribution's WebSocket server; its port."""
    process = mesh.process("websocket-echo", websocket_peer("websocket_echo.py"))
    return int(process.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))


def pair(mesh, *clusters, routes=(), outbound_routes=(), manager=None, grace=5, peer=None, **more):
    """An outbound and an inbound sidecar with mutual TLS between them. The clusters and routes are the
    inbound one's; what the outbound one does not route itself goes to its peer. `peer`: more fields of
    that cluster; `more`: of both bootstraps."""
    manager = manager or {"upgrade_configs": WEBSOCKET}
    inbound = mesh.sidecar("inbound", bootstrap(
        listener("inbound", host("all", ["*"], *routes), inbound=True, tls=server_tls(), **manager), *clusters,
        node="callee", identity=mesh.identity("callee"), grace=grace, **more))
    outbound = mesh.sidecar("outbound", bootstrap(
        listener("outbound", host("all", ["*"], *outbound_routes, route("peer")), **manager),
        cluster("peer", inbound.port("inbound"), protocol="auto", tls=client_tls(spiffe("callee")), **(peer or {})),
        node="caller", identity=mesh.identity("caller"), grace=grace, **more))
    return outbound, inbound


class RawServer:
    """Accepts TCP connections and hands each to a function in a thread of its own."""

    def __init__(self, serve):
        self.serve = serve
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listening.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection:
            connection.settimeout(PATIENCE)
            try:
                self.serve(connection)
            except OSError:
                pass

    def close(self):
        self.listening.close()


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise OSError("no head")
        data += part
    return data


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n"
ASK_TCP = b"GET / HTTP/1.1\r\nhost: app\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n"


class ThroughAPair(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.echo = echo_server(mesh)
        cls.outbound, cls.inbound = pair(mesh, cluster("app", cls.echo), routes=[route("app")])
        cls.port = cls.outbound.port("outbound")

    def test_client_and_server_of_the_distribution(self):
        uri = "ws://127.0.0.1:%d/chat?x=1" % self.port
        done = subprocess.run(websocket_peer("websocket_client.py") + [uri], capture_output=True, timeout=120)
        self.assertEqual(b"all is well\n", done.stdout, done.stderr.decode())

    def test_the_sidecars_speak_extended_connect_between_them(self):
        with WebSocket(self.port, sec_websocket_protocol="chat") as one, WebSocket(self.port) as two:
            self.assertTrue(one.echoes(b"one"))
            self.assertTrue(two.echoes(b"two"))
            self.assertIn(b"sec-websocket-protocol: chat\r\n", one.head.lower())
            self.assertTrue(one.echoes(b"x" * 300000))
        self.outbound.wait_log(lambda entry: entry.get("status") == 101, 2)
        for sidecar in (self.outbound, self.inbound):
            self.assertEqual([], sidecar.log(lambda entry: entry.get("error")), sidecar.evidence())

    def test_a_client_that_speaks_http2(self):
        done = subprocess.run([program("node"), os.path.join(HERE, "peers", "websocket_http2.js"), "client",
                               str(self.port), "websocket"], capture_output=True, timeout=60)
        # "ping" is no WebSocket frame: the server answers it with a close frame for a protocol error (1002).
        self.assertIn(b"announced true\nstatus 200", done.stdout, done.stderr)
        self.assertIn(b"body \x88", done.stdout.decode().encode("latin-1"))

    def test_a_hundred_idle_ones_share_a_connection(self):
        sockets = [WebSocket(self.port) for _ in range(100)]
        try:
            for number, each in enumerate(sockets):
                self.assertTrue(each.echoes(b"%d" % number))
            connections = subprocess.run(["ss", "-Htn", "state", "established", "sport", "=",
                                          ":%d" % self.inbound.port("inbound")], capture_output=True).stdout
            self.assertLess(len(connections.splitlines()), 20, "one stream each, not one connection each")
        finally:
            for each in sockets:
                each.close()
        wait_for(lambda: self.inbound.metric("tulle_active_exchanges") == 0, "tunnels are given back", PATIENCE)

    def test_a_closing_handshake(self):
        with WebSocket(self.port) as one:
            one.send(b"\x03\xe8", CLOSE)
            self.assertEqual((CLOSE, b"\x03\xe8"), one.receive())
            self.assertEqual(b"", one.wait_end())

    def test_what_is_not_switched_to_stays_http(self):
        answer = curl("http://127.0.0.1:%d/" % self.port, *H1, "-H", "connection: upgrade", "-H", "upgrade: tcp/1")
        self.assertEqual(426, answer.status, answer)  # the server's own words: it speaks nothing but WebSocket


class HalfClosed(MeshCase):
    """Each direction ends by itself, as between two TCP programs."""

    def play(self, serve, manager):
        server = RawServer(serve)
        self.addCleanup(server.close)
        outbound, _ = pair(self.mesh, cluster("app", server.port), routes=[route("app")], manager=manager)
        client = socket.create_connection(("127.0.0.1", outbound.port("outbound")), timeout=PATIENCE)
        self.addCleanup(client.close)
        client.sendall(ASK_TCP)
        head = read_head(client)
        self.assertIn(b" 101 ", head)
        return client, head.split(b"\r\n\r\n", 1)[1]

    MANAGER = {"upgrade_configs": [{"upgrade_type": "tcp"}]}

    def test_the_client_ends_first(self):
        def serve(connection):
            read_head(connection)
            connection.sendall(SWITCH)
            received = read_all(connection)      # to the client's end
            connection.sendall(b"%d bytes came" % len(received))
        client, _ = self.play(serve, self.MANAGER)
        client.sendall(b"y" * 3000000)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(b"3000000 bytes came", read_all(client))

    def test_the_server_ends_first(self):
        counted = []

        def serve(connection):
            read_head(connection)
            connection.sendall(SWITCH + b"all I have to say")
            connection.shutdown(socket.SHUT_WR)
            counted.append(len(read_all(connection)))
        client, begun = self.play(serve, self.MANAGER)
        self.assertEqual(b"all I have to say", begun + read_all(client))
        client.sendall(b"z" * 3000000)
        client.shutdown(socket.SHUT_WR)
        wait_for(lambda: counted, "the server has heard the end", PATIENCE)
        self.assertEqual([3000000], counted)


class Limits(MeshCase):
    def one(self, grace=5, **action):
        echo = echo_server(self.mesh)
        entry = route("app")
        entry["route"].update(action)
        self.sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("all", ["*"], entry), upgrade_configs=WEBSOCKET), cluster("app", echo),
            grace=grace))
        return self.sidecar.port("outbound")

    def test_a_routes_timeout_does_not_cut_a_tunnel(self):
        with WebSocket(self.one(timeout="0.4s")) as one:
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                self.assertTrue(one.echoes(b"still here"))

    def test_a_silent_tunnel_ends(self):
        with WebSocket(self.one(idle_timeout="0.5s")) as one:
            self.assertTrue(one.echoes(b"hello"))
            one.wait_end()
        entry = self.sidecar.wait_log(lambda entry: entry.get("status") == 101)[0]
        self.assertEqual("request_timeout", entry["error"], entry)

    def test_draining_lets_tunnels_go_on_until_the_grace_is_over(self):
        with WebSocket(self.one(grace=2)) as one:
            self.assertTrue(one.echoes(b"before"))
            self.sidecar.signal(signal.SIGTERM)
            wait_for(lambda: not self.sidecar.ready(), "readiness fails", PATIENCE)
            self.assertTrue(one.echoes(b"while draining"))
            one.wait_end()
        self.assertEqual(0, self.sidecar.wait(PATIENCE))

    def test_a_route_can_forbid_it(self):
        port = self.one(upgrade_configs=[{"upgrade_type": "websocket", "enabled": False}])
        with self.assertRaisesRegex(ConnectionError, "403.*denied.*an upgrade to websocket is not allowed here"):
            WebSocket(port)


class Http2Upstream(MeshCase):
    def start(self, announces):
        process = self.mesh.process("http2-peer", [program("node"), os.path.join(HERE, "peers", "websocket_http2.js"),
                                                   "server", announces])
        port = int(process.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))
        sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("all", ["*"], route("app")), upgrade_configs=WEBSOCKET),
            cluster("app", port, protocol="http2")))
        return sidecar, sidecar.port("outbound")

    def test_extended_connect_where_it_is_announced(self):
        _, port = self.start("yes")
        with WebSocket(port, "/over?x=1") as one:
            head = one.head.lower()
            self.assertIn(b"x-asked: connect websocket /over?x=1\r\n", head)
            self.assertIn(b"x-key: undefined\r\n", head, "the key belongs to HTTP/1.1")
            one.socket.sendall(frame(b"hi", mask=None))
            self.assertEqual((TEXT, b"hi"), one.receive())

    def test_a_clear_answer_where_it_is_not(self):
        sidecar, port = self.start("no")
        with self.assertRaisesRegex(ConnectionError, "501.*not_implemented.*RFC 8441"):
            WebSocket(port)
        self.assertEqual(0, sidecar.metric("tulle_ejections_total"))
        self.assertEqual(1, sidecar.wait_log(lambda entry: entry.get("status") == 501)[0]["attempts"])
        self.assertEqual(200, curl("http://127.0.0.1:%d/" % port, *H1).status)


class Connect(MeshCase):
    """CONNECT goes only where a route for it leads, and there it is a TCP connection."""
    CONNECT = {"match": {"connect_matcher": {}}}

    @staticmethod
    def greets_and_echoes(connection):
        connection.sendall(b"220 ready\r\n")
        while part := connection.recv(65536):
            connection.sendall(part)

    def connect(self, port, authority="db:5432", early=b""):
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (authority.encode(), authority.encode()) + early)
        head, _, rest = read_head(client).partition(b"\r\n\r\n")
        return client, head, rest

    def expect_echo(self, client, rest):
        while len(rest) < 11:
            rest += client.recv(100)
        self.assertEqual(b"220 ready\r\n", rest)
        client.sendall(b"x" * 1000000)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(b"x" * 1000000, read_all(client))

    def test_terminated_by_the_sidecar(self):
        server = RawServer(self.greets_and_echoes)
        self.addCleanup(server.close)
        to_database = dict(self.CONNECT, route={"cluster": "db", "upgrade_configs": [
            {"upgrade_type": "CONNECT", "connect_config": {}}]})
        sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("db", ["db:5432"], to_database), host("all", ["*"], says("plain"))),
            cluster("db", server.port)))
        client, head, rest = self.connect(sidecar.port("outbound"))
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.expect_echo(client, rest)
        _, head, _ = self.connect(sidecar.port("outbound"), "db:5433")
        self.assertTrue(head.startswith(b"HTTP/1.1 403 "), head)
        self.assertEqual(1, server.accepted)

    def test_through_a_pair(self):
        server = RawServer(self.greets_and_echoes)
        self.addCleanup(server.close)
        ends = dict(self.CONNECT, route={"cluster": "db", "upgrade_configs": [
            {"upgrade_type": "CONNECT", "connect_config": {}}]})
        passes = dict(self.CONNECT, route={"cluster": "peer", "upgrade_configs": [{"upgrade_type": "CONNECT"}]})
        outbound, _ = pair(self.mesh, cluster("db", server.port), routes=[ends, says("plain")],
                           outbound_routes=[passes])
        client, head, rest = self.connect(outbound.port("outbound"))
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.expect_echo(client, rest)
        self.assertEqual(b"plain", curl("http://127.0.0.1:%d/" % outbound.port("outbound"), *H1).body)

    def test_an_endpoint_that_refuses(self):
        to_nobody = dict(self.CONNECT, route={"cluster": "db", "upgrade_configs": [
            {"upgrade_type": "CONNECT", "connect_config": {}}]})
        sidecar = self.mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("all", ["*"], to_nobody)), cluster("db", self.mesh.reserved_port())))
        _, head, _ = self.connect(sidecar.port("outbound"), early=b"GET /early HTTP/1.1\r\nhost: a\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 502 "), head)
        self.assertIn(b"connection: close", head)
        self.assertEqual(1, len(sidecar.wait_log(lambda entry: True)))


if __name__ == "__main__":
    unittest.main()
