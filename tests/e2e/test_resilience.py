"""Retries, outlier detection, budget and timeouts with real processes: what callers notice, and what it costs."""
import concurrent.futures
import http.server
import random
import threading
import time

from mesh import PATIENCE, MeshCase, bootstrap, cluster, host, listener, probes, program, route, wait_for

# What the mesh has on by default.
RETRIES = {"retry_on": "connect-failure,refused-stream,reset-before-request,reset,gateway-error", "num_retries": 2}
OUTLIERS = {"consecutive_gateway_failure": 5, "base_ejection_time": "1s", "max_ejection_time": "60s",
            "max_ejection_percent": 50}
# As many as there are callers: where nobody may notice, all of them may be unlucky in one moment. (By
# default three, or a fifth of what runs, which has a row of its own.)
CALLERS = 8
BUDGET_FOR_ALL = {"thresholds": [{"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": CALLERS}}]}

INSTANCE = """
import http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening on %d" % server.server_address[1], flush=True)
server.serve_forever()
"""


class FlakyOrigin:
    """An HTTP/1.1 server that fails a share of its requests with 503, as `failing` says."""

    def __init__(self):
        self.failing = 0.0
        self.hits = 0
        self.random = random.Random(7)
        self.lock = threading.Lock()
        flaky = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with flaky.lock:
                    flaky.hits += 1
                    fails = flaky.random.random() < flaky.failing
                body = b"no" if fails else b"ok"
                self.send_response(503 if fails else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # its five would leave callers waiting for a second try of their SYN

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Load:
    """GETs by several callers until stop(); counts what they got."""

    def __init__(self, port, callers):
        self.port, self.running = port, True
        self.outcomes = {}
        self.lock = threading.Lock()
        self.pool = concurrent.futures.ThreadPoolExecutor(callers)
        self.futures = [self.pool.submit(self._call) for _ in range(callers)]

    def _call(self):
        while self.running:
            answer = probes.get(self.port, "/", {"host": "service"})
            outcome = answer.headers.get("tulle-error") or answer.status
            with self.lock:
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def count(self):
        with self.lock:
            return sum(self.outcomes.values())

    def stop(self):
        self.running = False
        for future in self.futures:
            future.result(PATIENCE)
        self.pool.shutdown()
        return self.outcomes


class Resilience(MeshCase):
    def sidecar(self, ports, retry_policy=None, timeout=None, workers=2, **more):
        action = {"cluster": "service"}
        if retry_policy is not None:
            action["retry_policy"] = retry_policy
        if timeout is not None:
            action["timeout"] = timeout
        sidecar = self.mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("service", ["service"], route(route=action))),
            cluster("service", *ports, lb_policy="LEAST_REQUEST", **more), workers=workers, log="failures"))
        self.port = sidecar.port("outbound")
        return sidecar

    def load(self, callers=CALLERS):
        load = Load(self.port, callers)
        self.addCleanup(load.stop)
        return load

    def flaky(self, count):
        origins = [FlakyOrigin() for _ in range(count)]
        for origin in origins:
            self.addCleanup(origin.close)
        return origins

    def instance(self, name, port=0):
        process = self.mesh.process(name, [program("python3"), "-c", INSTANCE, str(port)])
        process.listening_port = int(process.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))
        return process

    def test_an_instance_that_is_killed_is_nobodys_failure(self):
        instances = [self.instance("instance-%d" % number) for number in range(3)]
        sidecar = self.sidecar([one.listening_port for one in instances], RETRIES, outlier_detection=OUTLIERS,
                               circuit_breakers=BUDGET_FOR_ALL)
        load = self.load()
        for number in (0, 1):
            goal = load.count() + 300
            wait_for(lambda: load.count() > goal, lambda: "load", PATIENCE)
            instances[number].popen.kill()
            instances[number].wait(PATIENCE)
            goal = load.count() + 300
            wait_for(lambda: load.count() > goal, lambda: "load after a kill", PATIENCE)
            self.instance("instance-%d-again" % number, instances[number].listening_port)
            # Back in service before the next one goes: probes find out.
            wait_for(lambda: sidecar.metric("tulle_endpoints_ejected") == 0, lambda: sidecar.evidence(), PATIENCE)
        outcomes = load.stop()
        self.assertEqual({200}, set(outcomes), (outcomes, sidecar.log()))
        self.assertGreater(sidecar.metric("tulle_retries_total", cluster="service"), 0)

    def test_an_instance_that_fails_half_its_requests_is_ejected_and_readmitted(self):
        origins = self.flaky(3)
        sidecar = self.sidecar([one.port for one in origins], RETRIES, outlier_detection=OUTLIERS,
                               circuit_breakers=BUDGET_FOR_ALL)
        load = self.load()
        origins[1].failing = 0.5
        wait_for(lambda: sidecar.metric("tulle_endpoints_ejected", cluster="service") == 1, lambda: sidecar.evidence(),
                 PATIENCE)
        origins[1].failing = 0
        wait_for(lambda: sidecar.metric("tulle_endpoints_ejected", cluster="service") == 0, lambda: sidecar.evidence(),
                 PATIENCE)
        before = origins[1].hits
        wait_for(lambda: origins[1].hits > before + 20, lambda: "the readmitted instance is used", PATIENCE)
        outcomes = load.stop()
        # A retry goes to another instance, and the others are well.
        self.assertEqual({200}, set(outcomes), (outcomes, sidecar.log()))
        self.assertGreaterEqual(sidecar.metric("tulle_ejections_total", cluster="service"), 1)

    def test_the_budget_bounds_what_failing_requests_cost(self):
        origins = self.flaky(2)
        for origin in origins:
            origin.failing = 1
        sidecar = self.sidecar([one.port for one in origins], RETRIES)
        load = self.load(callers=30)
        wait_for(lambda: load.count() > 1500, lambda: "load", PATIENCE)
        outcomes = load.stop()
        self.assertEqual({503}, set(outcomes), outcomes)
        asked, made = sum(outcomes.values()), sum(origin.hits for origin in origins)
        self.assertGreater(made, asked)
        self.assertLess(made, asked * 1.5, "a fifth of what runs may be retries; they rest and so run longer")
        self.assertGreater(sidecar.metric("tulle_retries_refused_total", cluster="service"), 0)
        # An attempt whose connection came to nothing is one that no instance has seen.
        self.assertAlmostEqual(made - asked, sidecar.metric("tulle_retries_total", cluster="service"), delta=asked * 0.01)
        flags = {entry.get("flags") for entry in sidecar.log()}
        self.assertEqual({"URX"}, flags)

    def test_attempts_that_take_too_long(self):
        origin = self.mesh.origin()
        sidecar = self.sidecar([origin.port], {"retry_on": "reset", "num_retries": 1, "per_try_timeout": "0.2s"})
        answer = probes.get(self.port, "/hold/a", {"host": "service"})
        self.assertEqual((504, "attempt_timeout"), (answer.status, answer.headers["tulle-error"]))
        entry = sidecar.wait_log(lambda entry: entry["path"] == "/hold/a")[0]
        self.assertEqual((2, "UT,URX"), (entry["attempts"], entry["flags"]))

    def test_requests_that_take_too_long_in_all(self):
        origin = self.mesh.origin()
        self.sidecar([origin.port], {"retry_on": "reset", "num_retries": 10, "per_try_timeout": "0.2s"}, timeout="0.5s")
        began = time.monotonic()
        answer = probes.get(self.port, "/hold/a", {"host": "service"})
        # The latter when less is left than the pause before another attempt.
        self.assertIn((answer.status, answer.headers["tulle-error"]),
                      [(504, "request_timeout"), (504, "attempt_timeout")])
        self.assertLess(time.monotonic() - began, 5)
        self.assertLessEqual(len(origin.requests("/hold/a")), 3)


if __name__ == "__main__":
    import unittest
    unittest.main()
