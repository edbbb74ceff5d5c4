"""An order of ftgo is one trace: browser to web (Node.js), orders (Python), kitchen (Node.js) and accounting (C++)."""
import glob
import json
import os
import shutil
import unittest

from collector import CLIENT, SERVER, Collector, zipkin_spans
from mesh import BUILD, PATIENCE, ROOT, Process, probes, program, wait_for
from test_up import UpCase


class Ftgo(UpCase):
    def setUp(self):
        program("node")
        accounting = os.path.join(BUILD, "bin", "ftgo_accounting")
        if not os.path.exists(accounting):
            self.skipTest("ftgo_accounting is not built")
        super().setUp()
        self.env["FTGO_ACCOUNTING"] = accounting

    def start(self, tracing):
        folder = self.path("ftgo")
        shutil.copytree(os.path.join(ROOT, "examples", "ftgo"), folder)
        with open(os.path.join(folder, "mesh.yaml"), "a") as file:
            file.write("tracing: %s\n" % json.dumps(tracing))
        self.up(os.path.join(folder, "mesh.yaml"))
        self.wait_synced()

    def order(self):
        """The first one: calls begin when every sidecar has heard of every other."""
        web = self.instance("web-1")["port"]

        def place():
            answer = probes.get(web, "/orders", {"content-type": "application/json"}, "POST",
                                json.dumps({"dish": "pizza", "count": 2}))
            return answer.status == 201
        wait_for(place, "an order is approved", PATIENCE)

    def check(self, spans_now):
        def whole():
            """The spans of a trace in which all three calls are complete: 3 x (2 outbound + 2 inbound)."""
            now = spans_now()
            for trace in {span.trace for span in now}:
                spans = [span for span in now if span.trace == trace]
                if len(spans) >= 12 and not any(span.error for span in spans):
                    return spans
            return None
        spans = wait_for(whole, lambda: "a whole trace: %r" % spans_now(), PATIENCE)
        self.assertEqual(12, len(spans))
        by_id = {span.id: span for span in spans}
        roots = [span for span in spans if span.parent not in by_id]
        self.assertEqual(["web"], [span.service for span in roots])
        self.assertIsNone(roots[0].parent)

        def called_by(service):
            """Who is above the exchange in which the service was called: (service, kind), outwards."""
            span = next(one for one in spans if one.service == service and one.kind == SERVER)
            found = []
            while span.parent:
                span = by_id[span.parent]
                found.append((span.service, span.kind))
            return found
        orders = [("web", CLIENT), ("web", CLIENT)]
        self.assertEqual(orders, called_by("orders"))
        behind = [("orders", CLIENT), ("orders", CLIENT), ("orders", CLIENT), ("orders", SERVER)] + orders
        self.assertEqual(behind, called_by("kitchen"))
        self.assertEqual(behind, called_by("accounting"))
        peer = next(span.tags["tulle.peer.identity"] for span in spans if span.service == "accounting" and span.kind == SERVER)
        self.assertEqual("spiffe://ftgo.test/ns/default/sa/orders", peer)
        self.assertEqual(1, len({span.tags["tulle.request_id"] for span in spans}), "the request id is forwarded as well")

    def collector(self):
        collector = Collector()
        self.addCleanup(collector.close)
        return collector

    def test_an_order_is_one_trace(self):
        collector = self.collector()
        self.start({"otlp": "http://127.0.0.1:%d" % collector.port, "sampling_percent": 100})
        self.order()
        self.check(collector.spans)
        self.assertEqual([], collector.problems)

    def test_with_zipkin(self):
        collector = self.collector()
        self.start({"zipkin": "http://127.0.0.1:%d" % collector.port, "sampling_percent": 100})
        self.order()
        self.check(collector.spans)
        self.assertEqual([], collector.problems)

    def test_in_a_real_zipkin(self):
        """Sent to a Zipkin server, and read again through its API."""
        java = program("java")
        jars = sorted(glob.glob(os.path.join(ROOT, "build", "deps", "zipkin", "zipkin-server-*-slim.jar")))
        if not jars:
            self.skipTest("the Zipkin server is not there; deploy/setup tests fetches it")
        zipkin = Process("zipkin", [java, "-Xmx256m", "-jar", jars[-1]], self.folder, {**self.env, "QUERY_PORT": "0"})
        self.addCleanup(zipkin.stop)
        port = int(zipkin.wait_for_line(r"Serving HTTP at \S*:(\d+) ", 2 * PATIENCE, "err").group(1))
        self.start({"zipkin": "http://127.0.0.1:%d" % port, "sampling_percent": 100})
        self.order()

        def kept():
            answer = probes.get(port, "/api/v2/traces?limit=100")
            self.assertEqual(200, answer.status, answer.body)
            return [span for trace in json.loads(answer.body) for span in zipkin_spans(json.dumps(trace))]
        self.check(kept)
        known = json.loads(probes.get(port, "/api/v2/services").body)
        self.assertLessEqual({"web", "orders", "kitchen", "accounting"}, set(known))


if __name__ == "__main__":
    unittest.main()
