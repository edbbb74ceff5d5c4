"""What routes and clusters can ask for, seen by a client: matches, rewrites, splits, limits, times."""
import concurrent.futures
import time
import unittest

from mesh import (H1, PATIENCE, MeshCase, SharedMeshCase, bootstrap, cluster, curl, host, listener, probes, route, says)


def changed(*pairs):
    return [{"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} for key, value in pairs]


class Routes(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.old, cls.new = mesh.origin("old"), mesh.origin("new")
        beta = route("new")
        beta["match"]["headers"] = [{"name": "x-beta", "string_match": {"exact": "yes"}}]
        query = says("by query")
        query["match"]["query_parameters"] = [{"name": "kind", "string_match": {"exact": "a"}}]
        rewritten = {"match": {"path_separated_prefix": "/api"}, "route": {"cluster": "old", "prefix_rewrite": "/v1"}}
        fields = {"match": {"prefix": "/fields"}, "route": {"cluster": "old", "host_rewrite_literal": "inner"},
                  "request_headers_to_add": changed(("x-added", "1")), "request_headers_to_remove": ["x-removed"],
                  "response_headers_to_add": changed(("x-answer", "2")), "response_headers_to_remove": ["x-origin"]}
        moved = {"match": {"prefix": "/moved/"},
                 "redirect": {"prefix_rewrite": "/here/", "response_code": "PERMANENT_REDIRECT"}}
        secure = {"match": {"path": "/secure"}, "redirect": {"https_redirect": True}}
        regex = {"match": {"safe_regex": {"regex": "/item/[0-9]+"}}, "direct_response": {"status": 200, "body": {"inline_string": "item"}}}
        sidecar = mesh.sidecar("s", bootstrap(
            listener("outbound",
                     host("shop", ["shop", "*.shop.test"], beta, query, rewritten, fields, moved, secure, regex,
                          says("gone", "/gone", 410), route("old")),
                     host("exact", ["www.shop.test"], says("exact"))),
            cluster("old", cls.old.port), cluster("new", cls.new.port)))
        cls.url = "http://127.0.0.1:%d" % sidecar.port("outbound")

    def ask(self, path, *arguments, to="shop"):
        return curl(self.url + path, *H1, "-H", "host: " + to, *arguments)

    def test_the_most_exact_host_wins(self):
        self.assertEqual(b"exact", self.ask("/", to="www.shop.test").body)
        self.assertEqual(b"exact", self.ask("/", to="WWW.shop.test.").body)
        self.assertEqual("old", self.ask("/", to="a.shop.test")["x-origin"])
        self.assertEqual(404, self.ask("/", to="shop.test").status)

    def test_fields_and_query_choose(self):
        self.assertEqual("new", self.ask("/", "-H", "x-beta: yes")["x-origin"])
        self.assertEqual("old", self.ask("/", "-H", "x-beta: no")["x-origin"])
        self.assertEqual(b"by query", self.ask("/?x=1&kind=a").body)
        self.assertEqual("old", self.ask("/?kind=b")["x-origin"])

    def test_a_prefix_is_rewritten_whole_segments_only(self):
        self.assertEqual("/v1/x?y", self.ask("/api/x?y").json()["path"])
        self.assertEqual("/apix", self.ask("/apix").json()["path"])

    def test_fields_are_changed_on_the_way(self):
        answer = self.ask("/fields", "-H", "x-removed: 1", "-H", "x-added: mine")
        seen = {name.lower(): value for name, value in answer.json()["headers"]}
        self.assertEqual(("1", "inner"), (seen["x-added"], seen["host"]))
        self.assertNotIn("x-removed", seen)
        self.assertEqual(("2", None), (answer["x-answer"], answer["x-origin"]))

    def test_redirects_and_direct_answers(self):
        answer = self.ask("/moved/a/b?c=d")
        self.assertEqual((308, "http://shop/here/a/b?c=d"), (answer.status, answer["location"]))
        self.assertEqual((301, "https://shop/secure"), (self.ask("/secure").status, self.ask("/secure")["location"]))
        self.assertEqual((410, b"gone"), (self.ask("/gone").status, self.ask("/gone").body))

    def test_a_pattern_matches_the_whole_path(self):
        self.assertEqual(b"item", self.ask("/item/17?x").body)
        self.assertNotEqual(b"item", self.ask("/item/17/x").body)


class Bounds(MeshCase):
    def setUp(self):
        super().setUp()
        self.origin = self.mesh.origin()
        self.pool = concurrent.futures.ThreadPoolExecutor(8)
        self.addCleanup(self.pool.shutdown)

    def sidecar(self, timeout=None, workers=None, **more):
        sidecar = self.mesh.sidecar("s", bootstrap(
            listener("outbound", host("all", ["*"], route("service", timeout=timeout))),
            cluster("service", self.origin.port, **more), workers=workers))
        self.port = sidecar.port("outbound")
        return sidecar

    def ask(self, path):
        return self.pool.submit(probes.get, self.port, path, {"host": "x"}, seconds=60)

    def test_a_route_that_takes_too_long(self):
        sidecar = self.sidecar(timeout="0.3s")
        began = time.monotonic()
        answer = self.ask("/hold/a").result()
        self.assertEqual((504, "request_timeout"), (answer.status, answer.headers["tulle-error"]))
        self.assertGreater(time.monotonic() - began, 0.29)
        self.assertEqual("UT", sidecar.wait_log(lambda entry: entry["path"] == "/hold/a")[0]["flags"])
        self.assertEqual(200, self.ask("/").result().status)

    def test_a_cluster_with_enough_requests(self):
        sidecar = self.sidecar(circuit_breakers={"thresholds": [{"max_requests": 2}]})
        held = [self.ask("/hold/a") for _ in range(2)]
        sidecar.wait_for(lambda: len(self.origin.requests("/hold/a")) == 2, "2 held requests", PATIENCE)
        answer = self.ask("/").result()
        self.assertEqual((503, "circuit_open"), (answer.status, answer.headers["tulle-error"]))
        self.assertEqual("UO", sidecar.wait_log(lambda entry: entry["path"] == "/")[0]["flags"])
        self.origin.release("a")
        self.assertEqual([200, 200], [future.result().status for future in held])
        sidecar.wait_for(lambda: self.ask("/").result().status == 200, "the limit is given back", PATIENCE)

    def test_a_cluster_with_enough_connections_lets_others_wait(self):
        # Each worker may always have one connection, so that none starves.
        sidecar = self.sidecar(workers=1, circuit_breakers={
            "thresholds": [{"max_connections": 1, "max_pending_requests": 1}]})
        held = self.ask("/hold/a")
        self.origin.wait_held("a")
        waiting = [self.ask("/wait") for _ in range(4)]
        refused = sidecar.wait_for(lambda: [future.result() for future in waiting if future.done()],
                                   "somebody is refused", PATIENCE)
        self.assertEqual({(503, "overloaded")},
                         {(answer.status, answer.headers["tulle-error"]) for answer in refused})
        self.origin.release("a")
        self.assertEqual(200, held.result().status)
        statuses = sorted(future.result().status for future in waiting)
        self.assertIn(200, statuses, "one may wait")
        self.assertIn(503, statuses)

    def test_endpoints_that_arrive_later(self):
        def document(*ports):
            eds = {"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                   "cluster_name": "service", "endpoints": [{"lb_endpoints": [
                       {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                       for port in ports]}]}
            service = cluster("service", type="EDS", eds_cluster_config={"eds_config": {"ads": {}}})
            del service["load_assignment"]
            return bootstrap(listener("outbound", host("all", ["*"], route("service"))), service, eds)
        sidecar = self.mesh.sidecar("s", document())
        self.port = sidecar.port("outbound")
        self.assertEqual("no_endpoint", self.ask("/").result().headers["tulle-error"])
        version = sidecar.config()["version"]
        sidecar.rewrite(document(self.origin.port))
        sidecar.wait_for(lambda: self.ask("/").result().status == 200, "the endpoint is used", PATIENCE)
        self.assertEqual(version, sidecar.config()["version"], "endpoints are no part of the version")
        sidecar.rewrite(document())
        sidecar.wait_for(lambda: self.ask("/").result().status == 503, "the endpoint is gone", PATIENCE)


if __name__ == "__main__":
    unittest.main()
