"""A Stage whose clients, and where wanted its origin, speak HTTP/2 by hand.

Beside the listener that sniffs there are "http2", which takes nothing else, "http1", and "tls", which
asks for no client certificate. Requests for the host "raw" go to `self.raw`, a RawServer whose script a
test replaces by setting `self.play`.
"""
import os
import ssl

import frames
from frames import HEADERS, Peer, RawServer
from stage import Stage, bootstrap, cluster, host, listener, route, wait_for
from mesh import transport_socket


def tls_for_everybody():
    """A listener's TLS with the workload's certificate and without asking for one."""
    return transport_socket("DownstreamTlsContext", {
        "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "default"}]}})


def resident(pid):
    """Resident memory in bytes."""
    with open("/proc/%d/statm" % pid) as content:
        return int(content.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as content:
        words = content.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def indefinitely(peer, _):
    """A script that answers every request with 200."""
    frames.serve(lambda p, head: p.send(frames.ok(head.stream)))(peer, _)


# What is safe to ask again: nothing was processed.
RETRIES = {"retry_on": "refused-stream", "num_retries": 2}


class Http2Stage(Stage):
    @classmethod
    def start(cls, mesh):
        cls.play = staticmethod(indefinitely)
        cls.raw = RawServer(lambda peer, number: cls.play(peer, number))
        cls.addClassCleanup(cls.raw.close)
        raw_route = {"match": {"prefix": "/"}, "route": {"cluster": "raw", "retry_policy": RETRIES}}
        hosts = [host("quiet", ["canary", "fence"], route("quiet")), host("raw", ["raw"], raw_route),
                 host("nowhere", ["nowhere"], route("nowhere")), host("all", ["*"], route("recorded"))]
        nowhere = cluster("nowhere", mesh.reserved_port())
        clusters = [nowhere, cluster("quiet", cls.quiet_origin.port), cluster("recorded", cls.recorder.port),
                    cluster("raw", cls.raw.port, protocol="http2")]
        listeners = [listener("outbound", *hosts, **cls.manager),
                     listener("http2", *hosts, codec="HTTP2", **cls.manager),
                     listener("http1", *hosts, codec="HTTP1", **cls.manager),
                     listener("tls", *hosts, tls=tls_for_everybody(), **cls.manager)]
        return [mesh.sidecar("sidecar", bootstrap(*listeners, *clusters, workers=1,
                                                  identity=mesh.identity("callee")))]

    def setUp(self):
        super().setUp()
        type(self).play = staticmethod(indefinitely)
        self.raw.problems.clear()
        self.raw.drop_connections()  # one of an earlier case has that case's script

    def tearDown(self):
        for client in self.clients:
            client.close()
        self.raw.drop_connections()  # the sidecar may keep several, and is right to
        super().tearDown()
        self.assertEqual([], self.raw.problems, "the script of the raw origin")

    # -- clients

    def connect(self, listener_name="outbound", tls=False, alpn=("h2",), **more):
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            listener_name = "tls"
        peer = Peer.connect(self.sidecars[0].port(listener_name), tls=context, alpn=alpn, **more)
        self.clients.append(peer)
        return peer

    def h2(self, *entries, **more):
        """A greeted connection."""
        return self.connect(**more).greet(*entries)

    def works(self, peer, stream):
        """A request on this connection is answered."""
        peer.send(frames.headers(stream, frames.request("/works")))
        self.assertEqual("200", peer.answer(stream)[0])

    # -- outcomes

    def assert_connection_error(self, codes, *parts, settings=()):
        """What is sent on a new connection ends it, with a GOAWAY of one of these codes."""
        codes = (codes,) if isinstance(codes, int) else codes
        peer = self.h2(*settings)
        peer.send(*parts)
        self.assertIn(peer.goaway(), codes, peer.heard[-8:])
        return peer

    def assert_stream_error(self, codes, *parts, stream=1, settings=(), later=1001):
        """What is sent on a new connection resets one stream; another goes on."""
        codes = (codes,) if isinstance(codes, int) else codes
        peer = self.h2(*settings)
        peer.send(*parts)
        self.assertIn(peer.reset(stream), codes, peer.heard[-8:])
        self.works(peer, later)
        return peer

    def statuses(self, peer):
        return [f.status for f in peer.heard if f.kind == HEADERS]


__all__ = ["Http2Stage", "cpu_seconds", "resident", "wait_for"]
