"""Balancing over endpoints: all are used, and one dead endpoint is nobody else's failure."""
import collections
import concurrent.futures
import unittest

from mesh import H1, MeshCase, Origin, bootstrap, cluster, curl, host, listener, probes, route


class Balancing(MeshCase):
    def sidecar(self, ports, **more):
        workers = more.pop("workers", None)
        return self.mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("service", ["service"], route("service"))),
            cluster("service", *ports, **more), workers=workers))

    def ask(self, port, count, at_once=6):
        def one(number):
            answer = probes.get(port, "/%d" % number, {"host": "service"})
            if answer.status == 200:
                return answer.headers["x-origin"]
            return answer.headers.get("tulle-error") or str(answer.status)
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            return collections.Counter(pool.map(one, range(count)))

    def test_every_endpoint_is_used(self):
        origins = [self.mesh.origin(name) for name in "abc"]
        sidecar = self.sidecar([origin.port for origin in origins], lb_policy="LEAST_REQUEST")
        got = self.ask(sidecar.port("outbound"), 300)
        self.assertEqual(300, sum(got[name] for name in "abc"), got)
        for name in "abc":
            self.assertGreater(got[name], 10, got)

    def test_round_robin_is_even(self):
        origins = [self.mesh.origin(name) for name in "abc"]
        sidecar = self.sidecar([origin.port for origin in origins], lb_policy="ROUND_ROBIN", workers=1)
        got = self.ask(sidecar.port("outbound"), 90, at_once=1)
        self.assertEqual({"a": 30, "b": 30, "c": 30}, dict(got))

    def test_one_dead_endpoint(self):
        got = self.one_dead("ROUND_ROBIN")
        self.assertAlmostEqual(100, got["connect_failed"], delta=5)

    def test_one_dead_endpoint_is_avoided(self):
        got = self.one_dead("LEAST_REQUEST")
        self.assertLess(got["connect_failed"], 50)

    def one_dead(self, policy):
        alive = [self.mesh.origin(name) for name in "ab"]
        dead = self.mesh.reserved_port()
        sidecar = self.sidecar([alive[0].port, dead, alive[1].port], lb_policy=policy)
        got = self.ask(sidecar.port("outbound"), 300)
        self.assertEqual({"a", "b", "connect_failed"}, set(got) | {"connect_failed"}, got)
        self.assertGreater(got["a"], 10, got)
        self.assertGreater(got["b"], 10, got)
        for entry in sidecar.log(lambda entry: entry["status"] != 200):
            self.assertEqual(("connect_failed", "127.0.0.1:%d" % dead), (entry["error"], entry["endpoint"]))
        return got

    def test_an_endpoint_that_comes_back(self):
        origin = self.mesh.origin("back")
        port = origin.port
        sidecar = self.sidecar([port])
        url = "http://127.0.0.1:%d/" % sidecar.port("outbound")
        self.assertEqual(200, curl(url, *H1, "-H", "host: service").status)
        origin.close()
        sidecar.wait_for(lambda: curl(url, *H1, "-H", "host: service")["tulle-error"] == "connect_failed",
                         "connect_failed while it is away")
        again = Origin("again", port)
        self.mesh.closers.append(again.close)
        sidecar.wait_for(lambda: curl(url, *H1, "-H", "host: service").status == 200, "200 when it is back")

    def test_weights_of_a_split(self):
        blue, green = self.mesh.origin("blue"), self.mesh.origin("green")
        split = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [
            {"name": "blue", "weight": 80}, {"name": "green", "weight": 20}]}}}
        sidecar = self.mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("service", ["service"], split)),
            cluster("blue", blue.port), cluster("green", green.port)))
        got = self.ask(sidecar.port("outbound"), 500)
        self.assertEqual(500, got["blue"] + got["green"], got)
        # Five standard deviations of a binomial distribution around 100.
        self.assertTrue(55 <= got["green"] <= 145, got)


if __name__ == "__main__":
    unittest.main()
