"""Where the rows of a matrix are played: sidecars, a recording upstream, and a canary.

A class of tests has one Stage: one sidecar (`topology = "plain"`) or an outbound and an inbound one
with mutual TLS between them ("pair"), each with one worker, so that what was sent earlier is handled
earlier. Whatever is asked of any host goes to `self.recorder`, except the hosts "canary" and "fence",
which lead to an origin of their own. After every test the invariants are checked, whatever it did:
the same processes are alive and silent about it, no canary request has failed, every byte the
recorder got was in canonical form, exchanges and files are given back.

    test_H1_01_...   one method per row; the first line of its docstring is `INPUT -> OUTCOME`
"""
import contextlib
import os
import resource
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in (HERE, os.path.join(os.path.dirname(HERE), "e2e")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

import wire  # noqa: E402
from canary import PATIENCE_OF_MOST, Http1Canary, Http2Canary  # noqa: E402
from mesh import (SANITIZER, Mesh, Sidecar, bootstrap, client_tls, cluster, host, listener, print_evidence,  # noqa: E402
                  probes, route, server_tls, show_evidence, spiffe, wait_for)
from recorder import OK, Recorder, says, says_ok, serve_http1  # noqa: E402,F401

# How long what a case used may take to be given back: closing lingers for 2 s.
GIVEN_BACK = 10.0


class Stage(unittest.TestCase):
    topology = "plain"
    origin_protocol = None   # what the recorder is spoken to with: None (HTTP/1.1) or "http2"
    manager = {}             # more fields of the HTTP connection managers
    cluster_fields = {}      # more fields of the cluster that leads to the recorder
    bootstrap_fields = {}    # more arguments of mesh.bootstrap()
    more_hosts = ()          # that go before the one that leads everything to the recorder
    canaries_wanted = (Http1Canary, Http2Canary)

    # -- before and after a class

    @staticmethod
    def serve(connection):
        """What the recorder speaks; replaced by classes whose origin is no HTTP/1.1 server."""
        serve_http1(connection)

    @classmethod
    def setUpClass(cls):
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.close)
        cls.recorder = Recorder(cls.serve)
        cls.addClassCleanup(cls.recorder.close)
        cls.quiet_origin = cls.mesh.origin("quiet")
        cls.fences = 0
        try:
            cls.sidecars = cls.start(cls.mesh)
        except Exception:
            print_evidence(cls.mesh)
            raise
        cls.pids = [sidecar.pid for sidecar in cls.sidecars]
        cls.port = cls.sidecars[0].port("outbound")
        cls.canaries = [kind(cls.port, "canary").start() for kind in cls.canaries_wanted]
        for canary in cls.canaries:
            cls.addClassCleanup(canary.stop)
            assert canary.wait_done(2), "a canary does not sing even in a quiet stage: %r" % canary.failures
        cls.files = [open_files(pid) for pid in cls.pids]

    @classmethod
    def start(cls, mesh):
        """Starts the sidecars; the first is the one that clients talk to."""
        hosts = [host("quiet", ["canary", "fence"], route("quiet")), *cls.more_hosts,
                 host("all", ["*"], route("recorded"))]
        origins = [cluster("quiet", cls.quiet_origin.port),
                   cluster("recorded", cls.recorder.port, protocol=cls.origin_protocol, **cls.cluster_fields)]
        if cls.topology == "plain":
            return [mesh.sidecar("sidecar", bootstrap(listener("outbound", *hosts, **cls.manager), *origins,
                                                      workers=1, **cls.bootstrap_fields))]
        inbound = mesh.sidecar("inbound", bootstrap(
            listener("inbound", *hosts, inbound=True, tls=server_tls(), **cls.manager), *origins,
            node="callee", identity=mesh.identity("callee"), workers=1, **cls.bootstrap_fields))
        outbound = mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("all", ["*"], route("peer")), **cls.manager),
            cluster("peer", inbound.port("inbound"), protocol="auto", tls=client_tls(spiffe("callee"))),
            node="caller", identity=mesh.identity("caller"), workers=1, **cls.bootstrap_fields))
        return [outbound, inbound]

    # -- before and after a test

    def setUp(self):
        self.recorder.begin()
        self.clients = []
        self.addCleanup(show_evidence, self, self.mesh)

    def tearDown(self):
        for client in self.clients:
            client.close()
        self.check_invariants()

    def check_invariants(self):
        for sidecar, pid in zip(self.sidecars, self.pids):
            self.assertTrue(sidecar.running() and sidecar.pid == pid, sidecar.evidence())
            self.assertIsNone(SANITIZER.search(sidecar.err), sidecar.evidence())
        self.assertEqual([], self.recorder.complaints, "what went upstream was not as it must be")
        for canary in self.canaries:
            self.assertTrue(canary.wait_done(1), "%s: %r" % (type(canary).__name__, canary.failures))
            self.assertEqual([], canary.failures, type(canary).__name__)
            self.assertLess(canary.most_took(), PATIENCE_OF_MOST,
                            "what 99 of 100 requests of a %s took at most" % type(canary).__name__)
        self.wait_given_back()

    def wait_given_back(self):
        """Exchanges and open files are what they were, but for idle connections to the recorder."""
        for sidecar, files in zip(self.sidecars, self.files):
            wait_for(lambda: sidecar.metric("tulle_active_exchanges") <= len(self.canaries),
                     lambda: "exchanges are over: %d" % sidecar.metric("tulle_active_exchanges"), GIVEN_BACK)
            wait_for(lambda: open_files(sidecar.pid) <= files + 2 + len(self.recorder.open_connections()),
                     lambda: "files are given back: %d, %d before, %d connections to the recorder"
                     % (open_files(sidecar.pid), files, len(self.recorder.open_connections())), GIVEN_BACK)

    # -- what tests are written with

    def client(self, port=None, **more):
        """A raw connection that ends with the test at the latest."""
        client = wire.Client(port or self.port, **more)
        self.clients.append(client)
        return client

    def talk(self, *parts, methods=(), fin=False):
        """Sends the parts and reads answers to the end of the connection."""
        with self.client() as client:
            for part in parts:
                client.send(part)
            if fin:
                client.fin()
            return client.answers(methods)

    def ask(self, payload, method="GET"):
        """One answer; the connection may live on, but is not used again."""
        with self.client() as client:
            client.send(payload)
            return client.answer(method)

    def fence(self):
        """When this returns, everything sent to the sidecar before has been handled, and recorded."""
        type(self).fences += 1
        for sidecar in reversed(self.sidecars):
            answer = self.ask(b"GET /fence/%d HTTP/1.1\r\nhost: fence\r\n\r\n" % self.fences)
            self.assertEqual(200, answer.status, answer)
            wait_for(lambda: sidecar.metric("tulle_active_exchanges") <= len(self.canaries),
                     "exchanges are over", GIVEN_BACK)
        self.recorder.settle()

    @contextlib.contextmanager
    def nothing_forwarded(self):
        """What is done inside sends the recorder not one byte."""
        self.recorder.begin()
        yield
        self.fence()
        self.assertEqual(b"", self.recorder.bytes(), "bytes of a refused request went upstream")

    def assert_refused(self, payload, status=400, methods=("GET",)):
        """One answer of the mesh itself that says close, and then the end, for bytes sent at once."""
        statuses = (status,) if isinstance(status, int) else tuple(status)
        with self.client() as client:
            client.send(payload)
            data = client.read_to_end()
        answers = wire.read_answers(data, methods, client.end == "fin")
        self.assertEqual(1, len(answers), "%r was answered with %r" % (payload[:300], data[:600]))
        answer = answers[0]
        self.assertIn(answer.status, statuses, "%r: %r" % (payload[:300], answer))
        self.assertEqual("close", answer.fields["connection"], "%r: %r" % (payload[:300], answer))
        self.assertIsNotNone(answer.fields["tulle-error"], answer)
        return answer

    def refuse_all(self, payloads, status=400):
        """Every payload is refused and not a byte of any goes upstream; each is counted once and logged
        once. A payload may be a pair of bytes and its own status."""
        payloads = list(payloads)
        before = self.refusals_counted()
        with self.nothing_forwarded():
            for payload in payloads:
                own = status
                if isinstance(payload, tuple):
                    payload, own = payload
                with self.subTest(payload=payload[:120]):
                    self.assert_refused(payload, own)
        self.assertEqual(len(payloads), self.refusals_counted() - before, "each is counted once")
        self.wait_refusals_logged()

    def refusals_counted(self):
        return self.sidecars[0].metric("tulle_http_refused_total")

    def wait_refusals_logged(self):
        """All that were counted have a line of their own, or are among those that a line says were left out.
        Of a flood ten a second are logged, so a few more may have to be refused to get that line."""
        def logged():
            return sum(1 + entry.get("left_out", 0) for entry in self.sidecars[0].log(
                lambda entry: entry.get("flags") == "DPE" and "method" not in entry))

        next_refusal = time.monotonic() + 0.5
        wait_until = next_refusal + GIVEN_BACK
        while logged() < self.refusals_counted() and time.monotonic() < wait_until:
            time.sleep(0.01)
            if time.monotonic() >= next_refusal:
                self.assert_refused(b"GET / HTTP/1.1\r\n\r\n")
                next_refusal += 0.5
        self.assertEqual(self.refusals_counted(), logged(), "each is logged once")

    def forward(self, payload, count=1):
        """Sends requests that must pass: (answers, requests as the recorder got them)."""
        before = len(self.recorder.requests)
        with self.client() as client:
            client.send(payload)
            answers = [client.answer() for _ in range(count)]
        requests = self.recorder.wait_requests(before + count)[before:]
        return answers, requests

    def log_lines(self, condition=lambda entry: True):
        """Access log lines of all sidecars, without those of canaries and fences."""
        return [entry for sidecar in self.sidecars for entry in sidecar.log(condition)
                if entry.get("authority") not in ("canary", "fence")]


def allow_files(count):
    """So many open files for this process and those that it starts from now on, or a skip."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        raise unittest.SkipTest("needs %d open files (ulimit -Hn)" % count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_files(pid):
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except FileNotFoundError:
        return 0
