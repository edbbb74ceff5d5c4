"""Upgrades, WebSockets and CONNECT: what becomes a tunnel, what stays HTTP, what is refused."""
import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys
import unittest

import wire
from stage import HERE, Stage, allow_files  # first: it finds the others
from mesh import HERE as E2E
from mesh import (PATIENCE, ROOT, Mesh, SharedMeshCase, bootstrap, cluster, host, listener, program, route,
                  show_evidence, wait_for)
from recorder import says
from test_websocket import RawServer, echo_server, pair
from websocket import TEXT, WebSocket, accept_of, frame, request

PYTHON_PEERS = os.path.join(ROOT, "build", "deps", "python")  # deploy/setup puts them there

WEBSOCKET = {"upgrade_configs": [{"upgrade_type": "websocket"}]}
CONNECT = b"CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n"
EARLY = b"GET /early HTTP/1.1\r\nhost: a\r\n\r\n"
FRAMES = frame(b"one") + frame(b"two")


def switching(fields, then=b""):
    """A 101 with these fields, and bytes behind it."""
    head = "HTTP/1.1 101 Switching Protocols\r\n" + "".join("%s: %s\r\n" % field for field in fields) + "\r\n"
    return head.encode() + then


def accepting(connection, asked, then=b""):
    """What a WebSocket server answers."""
    connection.send(switching([("upgrade", "websocket"), ("connection", "Upgrade"),
                               ("sec-websocket-accept", accept_of(asked.fields["sec-websocket-key"].encode()).decode())],
                              then))


def read_tunnel(connection):
    """Everything behind the head, to the end."""
    with contextlib.suppress(Exception):
        connection.wait(lambda: False)
    return bytes(connection.received[connection.at:])


class Rows(Stage):
    """The rows of one hop; those of a pair are the same ones again."""
    manager = WEBSOCKET

    def upgrade_answered_with(self, answer, then=b"", **fields):
        """Sends a handshake, and more in the same segment when told: (bytes that came, how it ended)."""
        self.recorder.answer = answer
        with self.client() as client:
            client.send(request("/ws", **fields) + then)
            if then:
                return client.read_to_end(), client.end
            return client.answer(), client.end

    def test_H1_56_a_declined_upgrade_stays_http(self):
        """Upgrade: websocket answered with 200 or 426; Sec-WebSocket-Version: 777 -> the answer passes as it is; the connection goes on with HTTP, or ends when bytes came early"""
        for status, body in ((200, b"a page"), (426, b"no"), (204, b""), (403, b"no")):
            with self.subTest(status=status):
                framing = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
                self.recorder.answer = says(b"HTTP/1.1 %d x\r\n%s\r\n%s" % (status, framing, body))
                with self.client() as client:
                    client.send(request("/ws", sec_websocket_version="777"))
                    answer = client.answer()
                    self.assertEqual((status, body), (answer.status, answer.body))
                    self.assertIsNone(answer.fields["tulle-status"])
                    client.send(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n")
                    self.assertEqual((status, body), (lambda one: (one.status, one.body))(client.answer()))
                targets = [one.target for one in self.recorder.requests]
                self.assertEqual(["/ws", "/next"], targets[-2:])
                self.assertEqual("777", self.recorder.requests[-2].fields["sec-websocket-version"])
                received, end = self.upgrade_answered_with(says(b"HTTP/1.1 %d x\r\n%s\r\n%s" % (status, framing, body)),
                                                           then=EARLY)
                self.assertEqual([status], [one.status for one in wire.read_answers(received)])
                self.assertEqual("fin", end)
                self.fence()
                self.assertNotIn(b"/early", self.recorder.bytes())

    def test_H1_56_a_101_that_was_not_asked_for(self):
        """101 without Upgrade, for another protocol, or without Connection -> 502, nothing is tunnelled, the upstream connection ends"""
        for fields in ([("connection", "upgrade")], [("connection", "upgrade"), ("upgrade", "other")],
                       [("upgrade", "websocket")], [("connection", "upgrade"), ("upgrade", "h2c")]):
            with self.subTest(fields=fields):
                before = len(self.recorder.requests)
                received, end = self.upgrade_answered_with(says(switching(fields, b"tunnelled?")), then=FRAMES)
                answers = wire.read_answers(received)
                self.assertEqual([(502, "upstream_protocol_error")],
                                 [(one.status, one.fields["tulle-error"]) for one in answers])
                self.assertEqual("fin", end)
                asked = self.recorder.requests[before:]
                self.recorder.wait_ended(*[one.connection for one in asked])
                for one in asked:
                    self.assertEqual(b"", bytes(one.connection.received[one.connection.at:]), "tunnelled")

    def test_H1_58_an_unrouted_connect(self):
        """CONNECT and an early request in one segment, no route for it -> one 403 that says close; no byte goes upstream"""
        with self.nothing_forwarded():
            for payload in (CONNECT + EARLY, CONNECT + FRAMES, CONNECT):
                answer = self.assert_refused(payload, 403)
                self.assertEqual("denied", answer.fields["tulle-error"])

    def test_H1_59_frames_before_the_101(self):
        """WebSocket frames right behind the handshake -> held until the 101, then passed; dropped with the connection when it is declined"""
        seen = []

        def later(connection, asked):
            self.fence_of_another_connection()
            seen.append(bytes(connection.received[connection.at:]))
            accepting(connection, asked, frame(b"hello", mask=None))
            connection.wait(lambda: len(connection.received) - connection.at >= len(FRAMES))
            seen.append(bytes(connection.received[connection.at:]))
            connection.close()
        self.recorder.answer = later
        with self.client() as client:
            client.send(request("/ws") + FRAMES)
            self.assertEqual(101, client.answer().status)
            client.read_to_end()
            self.assertEqual(frame(b"hello", mask=None), bytes(client.received[client.at:]))
        self.assertEqual([b"", FRAMES], seen)

        self.recorder.begin()
        self.recorder.answer = says(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")
        answers = self.talk(request("/ws") + FRAMES)
        self.assertEqual([(403, "close")], [(one.status, one.fields["connection"]) for one in answers])
        self.fence()
        self.assertNotIn(FRAMES[:5], self.recorder.bytes())

    def fence_of_another_connection(self):
        """A request of its own, so that what was sent before it has been handled."""
        with wire.Client(self.port) as client:
            client.send(b"GET /quiet HTTP/1.1\r\nhost: fence\r\n\r\n")
            self.assertEqual(200, client.answer().status)

    def test_H1_59_early_frames_are_bounded(self):
        """8 MiB behind a handshake that is not answered -> the client is not read beyond a bound; all of it passes after the 101"""
        gate = []
        received = []

        def slowly(connection, asked):
            wait_for(lambda: gate, "the client is held up", PATIENCE)
            self.assertEqual(0, len(connection.received) - connection.at)
            accepting(connection, asked)
            connection.wait(lambda: len(connection.received) - connection.at >= 8 << 20)
            received.append(len(connection.received) - connection.at)
            connection.close()
        self.recorder.answer = slowly
        with self.client() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            client.send(request("/ws"))
            client.socket.settimeout(1.0)
            sent = 0
            block = bytes(65536)
            with contextlib.suppress(socket.timeout, BlockingIOError):
                while sent < 8 << 20:
                    sent += client.socket.send(block)
            self.assertLess(sent, 8 << 20, "nothing holds the client up")
            gate.append(True)
            client.socket.settimeout(PATIENCE)
            while sent < 8 << 20:
                sent += client.socket.send(block[:min(65536, (8 << 20) - sent)])
            self.assertEqual(101, client.answer().status)
            client.read_to_end()
        self.assertEqual([8 << 20], received)

    def test_H1_60_an_unsolicited_101(self):
        """101 to a request without Upgrade, or to an Upgrade that was not passed on -> 502; the upstream connection ends"""
        for payload in (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
                        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n"):
            self.recorder.begin()
            self.recorder.answer = says(switching([("connection", "upgrade"), ("upgrade", "websocket")], b"bytes"))
            answer = self.ask(payload)
            self.assertEqual((502, "upstream_protocol_error"), (answer.status, answer.fields["tulle-error"]))
            self.assertNotIn(b"bytes", answer.body)
            self.recorder.wait_ended(*[one.connection for one in self.recorder.requests])
            self.assertNotIn(b"upgrade", self.recorder.bytes())

    def test_H2_44_connect_to_where_it_must_not_go(self):
        """CONNECT to 169.254.169.254:80, the admin port, a path of a socket -> 403, or 400 when it is no authority; no socket is opened"""
        inside = RawServer(lambda connection: None)
        self.addCleanup(inside.close)
        with self.nothing_forwarded():
            for authority, status in ((b"169.254.169.254:80", 403), (b"127.0.0.1:%d" % self.sidecars[0].admin, 403),
                                      (b"127.0.0.1:%d" % inside.port, 403), (b"[::1]:80", 403), (b"/run/docker.sock", 400), (b"unix:/run/docker.sock", 400)):
                with self.subTest(authority=authority):
                    self.assert_refused(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (authority, authority) + EARLY, status)
        self.assertEqual(0, inside.accepted)

    def test_GW_09_handshakes_that_are_none(self):
        """Version 7, HTTP/1.0, no Connection, another method or token -> the server's own 400 or 426 passes; nothing is upgraded by us"""
        def strict(connection, asked):
            right = (asked.fields["upgrade"] == "websocket" and asked.fields["sec-websocket-version"] == "13" and
                     asked.method == "GET" and len(asked.fields["sec-websocket-key"] or "") == 24)
            if right:
                return accepting(connection, asked)
            return says(b"HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                        b"sec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n")(connection, asked)
        self.recorder.answer = strict
        for name, payload in {
                "version": request("/ws", sec_websocket_version="7"),
                "no version": request("/ws", sec_websocket_version=None),
                "1.0": request("/ws").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
                "no connection": request("/ws", connection=None),
                "token": request("/ws", upgrade="websockets")}.items():
            with self.subTest(name):
                answer = self.ask(payload)
                self.assertEqual(426, answer.status, answer)
                self.assertIsNone(answer.fields["tulle-error"])
                if self.topology == "plain":
                    self.assertEqual(("websocket", "13"),
                                     (answer.fields["upgrade"], answer.fields["sec-websocket-version"]))
        with self.subTest("body"):
            self.assert_refused(request("/ws", content_length="5") + b"hello")
        for key in ("c2hvcnQ=", "not base64 at all, really"):
            with self.subTest(key=key):
                answer = self.ask(request("/ws", sec_websocket_key=key))
                # Between sidecars there is no key: what cannot be said is answered by us.
                self.assertEqual(426 if self.topology == "plain" else 400, answer.status, answer)
        with self.client() as client:
            client.send(request("/ws"))
            self.assertEqual(101, client.answer().status)


class OneHop(Rows):
    pass


class Pair(Rows):
    topology = "pair"


del Rows


class RoutedConnect(Stage):
    """A route for CONNECT leads to the recorder, which refuses."""
    topology = "plain"

    @classmethod
    def start(cls, mesh):
        hosts = [host("quiet", ["canary", "fence"], route("quiet")),
                 host("all", ["*"], {"match": {"connect_matcher": {}}, "route": {
                     "cluster": "recorded", "upgrade_configs": [{"upgrade_type": "CONNECT"}]}}, route("recorded"))]
        return [mesh.sidecar("sidecar", bootstrap(
            listener("outbound", *hosts), cluster("quiet", cls.quiet_origin.port),
            cluster("recorded", cls.recorder.port), workers=1))]

    def test_H1_58_a_routed_connect_that_is_refused(self):
        """CONNECT and an early request in one segment, the proxy behind refuses -> its answer and close; the early bytes are never parsed or passed on"""
        for then in (None, "close"):
            self.recorder.begin()
            self.recorder.answer = says(b"HTTP/1.1 407 No\r\ncontent-length: 2\r\n\r\nno", then)
            answers = self.talk(CONNECT + EARLY)
            self.assertEqual([(407, "close", b"no")], [(one.status, one.fields["connection"], one.body) for one in answers])
            self.fence()
            self.assertNotIn(b"early", self.recorder.bytes())
            self.assertEqual(["CONNECT"], [one.method for one in self.recorder.requests])

    def test_H1_58_a_routed_connect_that_is_accepted(self):
        """CONNECT and early bytes in one segment, the proxy behind accepts -> the early bytes pass, as bytes"""
        def accept(connection, asked):
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nwelcome")
            connection.wait(lambda: len(connection.received) - connection.at >= len(EARLY))
            connection.close()
        self.recorder.answer = accept
        with self.client() as client:
            client.send(CONNECT + EARLY)
            self.assertTrue(client.read_to_end().endswith(b"\r\n\r\nwelcome"))
        self.assertTrue(self.recorder.bytes().endswith(b"\r\n\r\n" + EARLY))


class ToHttp2(SharedMeshCase):
    """Towards two HTTP/2 servers of another make: one announces extended CONNECT, one does not."""

    @classmethod
    def start(cls, mesh):
        clusters = []
        for answer in ("yes", "no"):
            process = mesh.process("announces-" + answer, [program("node"), os.path.join(
                E2E, "peers", "websocket_http2.js"), "server", answer])
            port = int(process.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))
            clusters.append(cluster(answer, port, protocol="http2"))
        cls.sidecar = mesh.sidecar("sidecar", bootstrap(
            listener("outbound", host("no", ["no"], route("no")), host("all", ["*"], route("yes")), **WEBSOCKET),
            *clusters))
        cls.port = cls.sidecar.port("outbound")

    def ask(self, payload):
        with wire.Client(self.port) as client:
            client.send(payload)
            return client.answer()

    def test_DG_17_fields_of_the_connection(self):
        """HTTP/1.1 to HTTP/2: Connection and what it names, Keep-Alive, Proxy-Connection, TE: gzip, trailers -> stripped; te: trailers is kept"""
        answer = self.ask(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, x-gone, te\r\nx-gone: 1\r\n"
                          b"keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip;q=0.5, trailers\r\n"
                          b"x-stays: 1\r\n\r\n")
        self.assertEqual(200, answer.status, answer)
        fields = json.loads(answer.body)
        self.assertEqual(("trailers", "1"), (fields.get("te"), fields.get("x-stays")))
        self.assertEqual(set(), {"connection", "keep-alive", "proxy-connection", "x-gone", "upgrade", "host"} & set(fields))

    def test_DG_17_authorities_that_disagree(self):
        """HTTP/1.1 to HTTP/2: userinfo in the absolute form, Host that differs from it -> 400"""
        for payload in (b"GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
                        b"GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n"):
            self.assertEqual(400, self.ask(payload).status, payload)

    def test_DG_17_an_upgrade(self):
        """HTTP/1.1 to HTTP/2: Upgrade: websocket -> extended CONNECT where the upstream has announced it, else 501"""
        with WebSocket(self.port, "/ws?x") as one:
            head = one.head.lower()
            self.assertIn(b"x-asked: connect websocket /ws?x\r\n", head)
            self.assertIn(b"x-key: undefined\r\n", head)
        answer = self.ask(request("/ws", host="no"))
        self.assertEqual((501, "not_implemented"), (answer.status, answer.fields["tulle-error"]))
        self.assertIn(b"RFC 8441", answer.body)


class WebSockets(SharedMeshCase):
    """Through a pair and straight to the server, side by side."""

    @classmethod
    def start(cls, mesh):
        cls.echo = echo_server(mesh)
        cls.outbound, cls.inbound = pair(mesh, cluster("app", cls.echo), routes=[route("app")])

    def verdicts(self, port, *cases):
        done = subprocess.run([sys.executable, os.path.join(HERE, "autobahn.py"), "127.0.0.1:%d" % port, *cases],
                              env=dict(os.environ, PYTHONPATH=PYTHON_PEERS), capture_output=True, timeout=600)
        if b"No module named 'kosoku'" in done.stderr:
            self.skipTest("kosoku is not installed; deploy/setup tests does that")
        self.assertEqual(0, done.returncode, done.stderr.decode())
        return json.loads(done.stdout)

    def test_GW_10_the_autobahn_cases(self):
        """The Autobahn cases 1 to 7 and 10, and some of compression -> verdicts through a pair are those of the server itself, case by case"""
        cases = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "12.1.1", "12.1.2", "13.1.1"]
        direct = self.verdicts(self.echo, *cases)
        self.assertGreaterEqual(len(direct), 250)
        through = self.verdicts(self.outbound.port("outbound"), *cases)
        self.assertEqual({}, {case: (direct.get(case), through.get(case)) for case in sorted(set(direct) | set(through))
                              if direct.get(case) != through.get(case)})


class Idle(unittest.TestCase):
    def test_RX_16_idle_websockets(self):
        """10,000 idle WebSockets through a pair, each says a byte now and then -> all live; what they used is given back (the memory figure is measured elsewhere)"""
        count = 10_000
        allow_files(count + 1000)  # what we start inherits it
        mesh = Mesh()
        self.addCleanup(mesh.close)
        self.addCleanup(show_evidence, self, mesh)
        server = mesh.process("crowd", [sys.executable, os.path.join(HERE, "peers", "websocket_crowd.py")])
        server_port = int(server.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))
        room = {"thresholds": [{"max_connections": 2 * count, "max_pending_requests": count, "max_requests": 2 * count}]}
        outbound, inbound = pair(mesh, cluster("app", server_port, circuit_breakers=room), routes=[route("app")],
                                 peer={"circuit_breakers": room}, connections={"per_listener": 2 * count})
        port = outbound.port("outbound")
        with contextlib.ExitStack() as stack:
            def opened(_):
                return stack.enter_context(contextlib.closing(WebSocket(port)))
            with concurrent.futures.ThreadPoolExecutor(4) as openers:
                sockets = list(openers.map(opened, range(count)))
            for _ in range(2):
                for each in sockets:
                    each.send(b"x")
                for each in sockets:
                    self.assertEqual((TEXT, b"x"), each.receive())
            self.assertEqual(count, inbound.metric("tulle_active_exchanges"))
        for sidecar in (outbound, inbound):
            wait_for(lambda: sidecar.metric("tulle_active_exchanges") == 0, "all are given back", PATIENCE)


if __name__ == "__main__":
    unittest.main()
