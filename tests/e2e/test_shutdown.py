"""SIGTERM: say goodbye, finish what runs, go."""
import concurrent.futures
import signal
import socket
import time
import unittest

from mesh import (H2, PATIENCE, MeshCase, bootstrap, client_tls, cluster, curl, host, listener, probes, reachable,
                  route, server_tls, spiffe)


class Shutdown(MeshCase):
    def setUp(self):
        super().setUp()
        self.origin = self.mesh.origin()
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)

    def sidecar(self, inbound=True, grace=20):
        sidecar = self.mesh.sidecar("s", bootstrap(
            listener("door", host("all", ["*"], route("application")), inbound=inbound),
            cluster("application", self.origin.port), grace=grace))
        self.port = sidecar.port("door")
        return sidecar

    def hold(self, key="a"):
        held = self.pool.submit(probes.get, self.port, "/hold/" + key, {"host": "x"}, seconds=120)
        self.origin.wait_held(key)
        return held

    def test_idle_it_ends_at_once(self):
        sidecar = self.sidecar()
        self.assertEqual(200, probes.get(self.port, "/", {"host": "x"}).status)
        sidecar.signal(signal.SIGTERM)
        self.assertEqual(0, sidecar.wait(PATIENCE), sidecar.evidence())

    def test_interrupt_is_the_same(self):
        sidecar = self.sidecar()
        sidecar.signal(signal.SIGINT)
        self.assertEqual(0, sidecar.wait(PATIENCE), sidecar.evidence())

    def test_a_slow_request_is_finished_first(self):
        sidecar = self.sidecar()
        held = self.hold()
        sidecar.signal(signal.SIGTERM)
        sidecar.wait_for(lambda: sidecar.ask_admin("/ready").status == 503, "/ready answers 503", PATIENCE)
        sidecar.wait_for(lambda: not reachable(self.port), "no new connection is taken", PATIENCE)
        self.assertFalse(held.done())
        self.assertTrue(sidecar.running())
        self.origin.release("a")
        answer = held.result()
        self.assertEqual((200, b"held a"), (answer.status, answer.body))
        self.assertEqual("close", answer.headers.get("connection", "").lower())
        self.assertEqual(0, sidecar.wait(PATIENCE), sidecar.evidence())

    def test_a_slow_http2_request_is_finished_first(self):
        sidecar = self.sidecar()
        held = self.pool.submit(curl, "http://127.0.0.1:%d/hold/a" % self.port, *H2, seconds=120)
        self.origin.wait_held("a")
        sidecar.signal(signal.SIGTERM)
        sidecar.wait_for(lambda: not reachable(self.port), "no new connection is taken", PATIENCE)
        self.origin.release("a")
        self.assertEqual((0, 200, b"held a"), (held.result().exit_status, held.result().status, held.result().body))
        self.assertEqual(0, sidecar.wait(PATIENCE), sidecar.evidence())

    def test_an_idle_kept_connection_does_not_delay_it(self):
        sidecar = self.sidecar()
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as kept:
            kept.sendall(b"GET /status/200 HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertIn(b"200 OK", kept.recv(65536))
            sidecar.signal(signal.SIGTERM)
            self.assertEqual(0, sidecar.wait(10), sidecar.evidence())

    def test_outbound_serves_until_inbound_is_quiet(self):
        sidecar = self.mesh.sidecar("s", bootstrap(
            listener("door", host("all", ["*"], route("application")), inbound=True),
            listener("outbound", host("all", ["*"], route("application"))),
            cluster("application", self.origin.port), grace=20))
        self.port = sidecar.port("door")
        held = self.hold()
        sidecar.signal(signal.SIGTERM)
        sidecar.wait_for(lambda: not reachable(self.port), "inbound takes nothing new", PATIENCE)
        self.assertEqual(200, probes.get(sidecar.port("outbound"), "/", {"host": "x"}).status)
        self.origin.release("a")
        self.assertEqual(200, held.result().status)
        self.assertEqual(0, sidecar.wait(PATIENCE), sidecar.evidence())

    def test_the_grace_period_is_a_bound(self):
        sidecar = self.sidecar(grace=1)
        held = self.hold()
        began = time.monotonic()
        sidecar.signal(signal.SIGTERM)
        self.assertEqual(0, sidecar.wait(PATIENCE), sidecar.evidence())
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertRegex(sidecar.err, "grace")
        with self.assertRaises((OSError, probes.http.client.HTTPException)):
            held.result()

    def test_a_second_signal_ends_it_at_once(self):
        sidecar = self.sidecar(grace=120)
        self.hold()
        sidecar.signal(signal.SIGTERM)
        sidecar.wait_for_line("drain", PATIENCE)
        sidecar.signal(signal.SIGTERM)
        self.assertEqual(0, sidecar.wait(10), sidecar.evidence())

    def test_a_pair_under_load_loses_nothing(self):
        """Traffic moves from one callee to another; the first one is told to end while it serves."""
        application = cluster("application", self.origin.port)
        inbound = listener("inbound", host("all", ["*"], route("application")), inbound=True, tls=server_tls())
        callees = [self.mesh.sidecar(name, bootstrap(inbound, application, node=name, grace=20,
                                                     identity=self.mesh.identity(name))) for name in ("one", "two")]

        def document(name, callee):
            return bootstrap(listener("outbound", host("all", ["*"], route("service"))),
                             cluster("service", callee.port("inbound"), protocol="auto", tls=client_tls(spiffe(name))),
                             node="caller", identity=identity)
        identity = self.mesh.identity("caller")
        caller = self.mesh.sidecar("caller", document("one", callees[0]))
        port, stop = caller.port("outbound"), []

        def drive():
            statuses = set()
            while not stop:
                statuses.add(probes.get(port, "/status/200", {"host": "x"}).status)
            return statuses
        driving = [self.pool.submit(drive) for _ in range(3)]
        version = caller.config()["generation"]
        caller.rewrite(document("two", callees[1]))
        caller.wait_config(lambda config: config["generation"] != version, "the other callee")
        caller.wait_for(lambda: callees[1].log(), "requests reach the second callee", PATIENCE)
        callees[0].signal(signal.SIGTERM)
        self.assertEqual(0, callees[0].wait(PATIENCE), callees[0].evidence())
        stop.append(True)
        self.assertEqual([{200}] * 3, [future.result() for future in driving])


if __name__ == "__main__":
    unittest.main()
