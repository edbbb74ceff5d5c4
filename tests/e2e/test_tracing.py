"""Traces: two sidecars with mutual TLS between them, and a collector that keeps what they say."""
import time
import unittest

from collector import CLIENT, SERVER, Collector, Deaf
from mesh import (H1, PATIENCE, TYPE, MeshCase, bootstrap, client_tls, cluster, curl, host, listener, route, server_tls,
                  spiffe)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


def tracing(percent=100, zipkin=False):
    if zipkin:
        config = {"@type": TYPE + "config.trace.v3.ZipkinConfig", "collector_cluster": "collector",
                  "collector_endpoint": "/api/v2/spans", "collector_endpoint_version": "HTTP_JSON"}
    else:
        config = {"@type": TYPE + "config.trace.v3.OpenTelemetryConfig",
                  "http_service": {"http_uri": {"uri": "http://collector:4318/v1/traces", "cluster": "collector"}}}
    return {"random_sampling": {"value": percent}, "provider": {"name": "tracer", "typed_config": config}}


class TracingCase(MeshCase):
    def pair(self, port, **more):
        """caller -> mutual TLS -> callee -> origin."""
        self.origin = self.mesh.origin()
        self.callee = self.mesh.sidecar("callee", bootstrap(
            listener("inbound", host("application", ["*"], route("application", name="everything")), inbound=True,
                     tls=server_tls(), tracing=tracing(**more)),
            cluster("application", self.origin.port), cluster("collector", port),
            node="callee", identity=self.mesh.identity("callee")))
        self.caller = self.mesh.sidecar("caller", bootstrap(
            listener("outbound",
                     host("callee", ["callee"], route("callee", name="to-callee")),
                     host("dead", ["dead"], route("dead")), tracing=tracing(**more)),
            cluster("callee", self.callee.port("inbound"), protocol="http2", tls=client_tls(spiffe("callee"))),
            cluster("dead", self.mesh.reserved_port()), cluster("collector", port),
            node="caller", identity=self.mesh.identity("caller")))
        self.url = "http://127.0.0.1:%d" % self.caller.port("outbound")

    def collecting(self, **more):
        self.collector = Collector()
        self.mesh.closers.append(self.collector.close)
        self.pair(self.collector.port, **more)

    def ask(self, path="/", to="callee", **fields):
        more = [part for name, value in fields.items() for part in ("-H", "%s: %s" % (name.replace("_", "-"), value))]
        return curl(self.url + path, *H1, "-H", "host: " + to, *more)

    def seen(self, name, path="/"):
        """A field of the latest request as the application saw it."""
        return self.origin.requests(path)[-1].value(name)


class Traces(TracingCase):
    def test_a_request_is_one_trace_with_the_right_parents(self):
        self.collecting()
        before = time.time_ns()
        self.assertEqual(201, self.ask("/status/201?secret=1").status)
        out, to_callee, arrived, to_application = self.chain(4)
        self.assertEqual({out.trace}, {span.trace for span in self.collector.spans()})
        self.assertIsNone(out.parent)
        self.assertEqual(["caller", "caller", "callee", "callee"],
                         [span.service for span in (out, to_callee, arrived, to_application)])
        self.assertEqual([CLIENT, CLIENT, SERVER, CLIENT],
                         [span.kind for span in (out, to_callee, arrived, to_application)])
        for inner, outer in ((to_callee, out), (to_application, arrived)):
            self.assertLessEqual(outer.start, inner.start + 1000)
        for span in self.collector.spans():
            self.assertTrue(before - 1000000 <= span.start <= span.end <= time.time_ns(), span)
            self.assertFalse(span.error, span)
            self.assertEqual(("GET", "/status/201", 201),
                             tuple(span.tags[name] for name in ("http.request.method", "url.path", "http.response.status_code")))
        self.assertEqual("00-%s-%s-01" % (out.trace, to_application.id), self.seen("traceparent", "/status/201"))

        self.assertEqual(("GET to-callee", "GET everything"), (out.name, arrived.name))
        self.assertEqual(("to-callee", "outbound", "callee", 1),
                         tuple(out.tags[name] for name in ("http.route", "tulle.listener", "tulle.cluster", "tulle.attempts")))
        self.assertEqual(self.caller.config()["version"], out.tags["tulle.config_version"])
        self.assertEqual(self.callee.config()["version"], arrived.tags["tulle.config_version"])
        self.assertEqual(spiffe("caller"), arrived.tags["tulle.peer.identity"])
        self.assertNotIn("tulle.peer.identity", out.tags)
        self.assertEqual(spiffe("callee"), to_callee.tags["tulle.upstream.identity"])
        self.assertEqual(("127.0.0.1", self.origin.port),
                         (to_application.tags["network.peer.address"], to_application.tags["network.peer.port"]))
        self.assertEqual({self.seen("x-request-id", "/status/201")},
                         {span.tags["tulle.request_id"] for span in self.collector.spans()})

    def chain(self, count):
        """The spans from the root to the leaf."""
        self.collector.wait(count)
        left = {span.parent: span for span in self.collector.spans()}
        self.assertEqual(count, len(left), "no two spans have the same parent here")
        found = [left.pop(None)]
        while left:
            found.append(left.pop(found[-1].id))
        return found

    def test_a_failure_says_what_it_was(self):
        self.collecting()
        self.assertEqual(502, self.ask(to="dead").status)
        exchange = self.collector_waits_for(lambda span: "tulle.listener" in span.tags)
        self.assertTrue(exchange.error)
        self.assertEqual(("UF", "connect_failed", 502),
                         tuple(exchange.tags[name] for name in ("tulle.response_flags", "error.type", "http.response.status_code")))
        attempts = self.collector.spans(lambda span: span.parent == exchange.id)
        self.assertEqual(exchange.tags["tulle.attempts"], len(attempts))
        for attempt in attempts:
            self.assertEqual("connect_failed", attempt.tags["error.type"])

    def collector_waits_for(self, condition):
        return self.collector.wait(1, condition)[0]

    def test_a_trace_goes_on_in_the_form_it_came_in(self):
        self.collecting()
        state = "vendor=1"
        for name, fields in {
            "w3c": {"traceparent": "00-%s-%s-01" % (TRACE, CALLER), "tracestate": state},
            "b3": {"b3": "%s-%s-1" % (TRACE, CALLER)},
            "multi": {"x_b3_traceid": TRACE, "x_b3_spanid": CALLER, "x_b3_sampled": "1"},
        }.items():
            with self.subTest(name):
                path = "/" + name
                self.assertEqual(200, self.ask(path, **fields).status)
                spans = self.collector.wait(4, lambda span, path=path: span.tags["url.path"] == path)
                self.assertEqual({TRACE}, {span.trace for span in spans})
                self.assertEqual(1, len([span for span in spans if span.parent == CALLER]))
                leaf = next(span.id for span in spans if span.id not in {other.parent for other in spans})
                self.assertEqual("00-%s-%s-01" % (TRACE, leaf), self.seen("traceparent", path))
                if name == "w3c":
                    self.assertEqual(state, self.seen("tracestate", path))
                    self.assertIsNone(self.seen("b3", path))
                elif name == "b3":
                    self.assertEqual("%s-%s-1" % (TRACE, leaf), self.seen("b3", path))
                else:
                    self.assertEqual((TRACE, leaf, "1"), tuple(self.seen("x-b3-" + part, path)
                                                               for part in ("traceid", "spanid", "sampled")))

    def test_the_request_id_is_made_once_and_kept(self):
        self.collecting()
        self.ask("/made")
        self.assertRegex(self.seen("x-request-id", "/made"), r"^[0-9a-f]{16}$")
        self.ask("/made")
        self.assertEqual(2, len({request.value("x-request-id") for request in self.origin.requests("/made")}))
        self.ask("/kept", x_request_id="mine")
        self.assertEqual("mine", self.seen("x-request-id", "/kept"))

    def test_what_is_not_sampled_leaves_no_span_and_says_so_to_all(self):
        self.collecting(percent=0)
        self.ask("/root")
        self.assertTrue(self.seen("traceparent", "/root").endswith("-00"))
        unsampled = "00-%s-%s-00" % (TRACE, CALLER)
        self.ask("/no", traceparent=unsampled)
        self.assertEqual(unsampled, self.seen("traceparent", "/no"))
        self.ask("/yes", traceparent="00-%s-%s-01" % (TRACE, CALLER))
        self.collector.wait(4)
        self.assertEqual({"/yes"}, {span.tags["url.path"] for span in self.collector.spans()})

    def test_zipkin(self):
        self.collecting(zipkin=True)
        self.ask("/zipkin")
        out, to_callee, arrived, to_application = self.chain(4)
        self.assertEqual(("caller", "callee"), (to_callee.service, arrived.service))
        self.assertEqual(spiffe("caller"), arrived.tags["tulle.peer.identity"])
        self.assertEqual("200", to_application.tags["http.response.status_code"])
        self.assertEqual(out.trace, to_application.trace)

    def test_the_last_spans_are_sent_before_a_sidecar_ends(self):
        self.collecting()
        self.ask("/last")
        self.assertEqual(0, self.caller.stop(PATIENCE))
        self.assertEqual(0, self.callee.stop(PATIENCE))
        self.assertEqual(4, len(self.collector.spans()))


class BadCollectors(TracingCase):
    """Traffic does not notice."""

    def served(self, port, **more):
        self.pair(port, **more)
        slowest = 0.0
        for number in range(30):
            began = time.monotonic()
            self.assertEqual(200, self.ask("/%d" % number).status)
            slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 5.0)

    def failed(self):
        return self.caller.metric("tulle_trace_export_failures_total") >= 1

    def test_one_that_refuses(self):
        self.served(self.mesh.reserved_port())
        self.caller.wait_for(self.failed, "a failure is counted", PATIENCE)
        self.assertEqual(200, self.ask().status)
        self.assertEqual(1, self.caller.err.count("spans wait"), "one line per outage")

    def test_one_that_answers_garbage(self):
        garbage = Deaf(b"\x15\x03\x01 this is no HTTP\r\n\r\n")
        self.mesh.closers.append(garbage.close)
        self.served(garbage.port)
        self.caller.wait_for(self.failed, "a failure is counted", PATIENCE)
        self.assertEqual(200, self.ask().status)

    def test_one_that_does_not_want_them(self):
        unwilling = Deaf(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.mesh.closers.append(unwilling.close)
        self.served(unwilling.port)
        self.caller.wait_for(lambda: self.caller.metric("tulle_trace_spans_dropped_total", reason="refused") >= 2,
                             "refused spans are counted", PATIENCE)

    def test_one_that_hangs(self):
        hanging = Deaf()
        self.mesh.closers.append(hanging.close)
        self.served(hanging.port)
        self.caller.wait_for(lambda: hanging.connections, "the collector is asked", PATIENCE)
        self.assertEqual(200, self.ask().status)
        began = time.monotonic()
        self.assertEqual(0, self.caller.stop(PATIENCE))
        self.assertLess(time.monotonic() - began, 5.0, "spans hold the end up for a second at most")
        self.assertIn("no collector has taken the last spans", self.caller.err)


if __name__ == "__main__":
    unittest.main()
