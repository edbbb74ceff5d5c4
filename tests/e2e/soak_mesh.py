"""A mesh under steady load while everything about it changes, and a sidecar kept away from its control plane.

    ./tests/run --only soak                       ten minutes each
    TULLE_SOAK_SECONDS=60 ./tests/run --only soak
"""
import collections
import http.client
import json
import os
import signal
import ssl
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

from mesh import wait_for
from test_up import UpCase

SECONDS = float(os.environ.get("TULLE_SOAK_SECONDS", "600"))

SERVICE = '''
import http.server, os
class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        text = ("%s %s" % (os.environ["TULLE_INSTANCE"], self.headers.get("route", "-"))).encode() + body
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = answer
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
'''

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: hello}
spec:
  parentRefs: [{group: "", kind: Service, name: hello}]
  rules:
    - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: route, value: "%d"}]}}]
      backendRefs: [{name: hello, port: 80}]
"""

Outcome = collections.namedtuple("Outcome", "when method status error body")


class Callers:
    """Ask hello through the sidecar of front, at a rate: nine GETs to one POST, on kept connections."""

    THREADS = 10

    def __init__(self, port, rate):
        self.port, self.pause = port, self.THREADS / rate
        self.outcomes = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.call, args=(number,), daemon=True) for number in range(self.THREADS)]
        for thread in self.threads:
            thread.start()

    def call(self, number):
        connection, due = None, time.monotonic() + number * self.pause / self.THREADS
        turn = number
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.pause, time.monotonic() - 1)  # what is more than a second late is left out
            turn += 1
            method = "POST" if turn % 10 == 0 else "GET"
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request(method, "http://hello/", body=b"x" if method == "POST" else None)
                response = connection.getresponse()
                body = response.read()
                self.outcomes.append(Outcome(time.monotonic(), method, response.status, response.headers.get("tulle-error"), body))
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as problem:
                self.outcomes.append(Outcome(time.monotonic(), method, 0, repr(problem), b""))
                connection = None
        if connection is not None:
            connection.close()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)

    def failures(self, method):
        return [outcome for outcome in self.outcomes if outcome.method == method and outcome.status != 200]


class MeshCase(UpCase):
    def setUp(self):
        super().setUp()
        with open(self.path("service.py"), "w") as out:
            out.write(SERVICE)

    def start(self, more=""):
        python = json.dumps([sys.executable, "service.py"])
        self.up(self.write("soak.yaml", """
            name: soak
            %s
            services:
              hello: {command: %s, port: 80, replicas: 4}
              front: {command: %s, port: 8080, calls: [hello]}
            """ % (more, python, python)))
        self.wait_synced()

    def api(self, method, path):
        state = self.path(".tulle/soak/control-plane/state")
        with open(state + "/admin.token") as token, open(state + "/endpoints.json") as endpoints:
            request = urllib.request.Request(json.load(endpoints)["api"] + path, method=method, headers={
                "authorization": "Bearer " + token.read().strip()})
        context = ssl.create_default_context(cafile=state + "/ca/root.pem")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def tell(self, text):
        print("    %s" % text, flush=True)


class Changes(MeshCase):
    ROUTES, KILLS, RATE = 50, 10, 500

    def test_nothing_is_lost_while_everything_changes(self):
        self.start("certificate_lifetime_seconds: 60")
        roots = self.api("GET", "/v1/ca")[1]
        callers = Callers(self.instance("front-1")["outboundPort"], self.RATE)
        began = time.monotonic()
        plan = [(SECONDS * (n + 0.5) / self.ROUTES, "route", n) for n in range(self.ROUTES)]
        plan += [(SECONDS * (n + 0.7) / self.KILLS, "kill", n) for n in range(self.KILLS)]
        plan += [(SECONDS * 0.2, "prepare", 0), (SECONDS * 0.2 + 35, "activate", 0), (SECONDS * 0.5, "control plane", 0)]
        done = collections.Counter()
        for at, what, number in sorted(plan):
            time.sleep(max(0.0, began + at - time.monotonic()))
            getattr(self, what.replace(" ", "_"))(number)
            done[what] += 1
        time.sleep(max(0.0, began + SECONDS - time.monotonic()))
        callers.stop()
        elapsed = time.monotonic() - began
        gets, posts = callers.failures("GET"), callers.failures("POST")
        self.tell("%d requests in %.0f s (%.0f/s), %r; GET failures %d, others %d" % (
            len(callers.outcomes), elapsed, len(callers.outcomes) / elapsed, dict(done), len(gets), len(posts)))
        self.assertEqual([], gets[:20])
        self.assertLessEqual(len(posts), 10 * self.KILLS, posts[:20])
        self.assertEqual([], [one for one in posts if not one.error or one.status == 0][:20], "each failure is told by the mesh")
        self.assertGreater(len(callers.outcomes), 0.8 * self.RATE * SECONDS)
        self.assertNotEqual(roots, self.api("GET", "/v1/ca")[1], "the slot has been switched")
        self.assertTrue(any(outcome.body.endswith(b" %d" % (self.ROUTES - 1)) for outcome in callers.outcomes[-200:]))

    def route(self, number):
        applied = self.tulle("apply", "-f", "-", stdin=ROUTE % number)
        self.assertEqual(0, applied.returncode, applied.stderr)

    def kill(self, number):
        name = "hello-%d" % (1 + number % 4)
        former = self.instance(name)["pid"]
        os.kill(former, signal.SIGKILL)
        wait_for(lambda: (lambda one: one["state"] == "up" and one["pid"] != former)(self.instance(name)), name + " is up again", 60)

    def prepare(self, _):
        status, answer = self.api("POST", "/v1/ca/prepare")
        self.assertEqual(200, status, answer)

    def activate(self, _):
        wait_for(lambda: self.api("POST", "/v1/ca/activate")[0] == 200, "the next root signs", 60)

    def control_plane(self, _):
        former = self.status()["controlPlane"]["pid"]
        os.kill(former, signal.SIGKILL)

        def back():
            try:
                return self.status()["controlPlane"]["pid"] != former and self.api("GET", "/v1/status")[0] == 200
            except (OSError, KeyError, ValueError):
                return False
        wait_for(back, "another control plane", 60)
        self.wait_synced()


class Away(MeshCase):
    def test_a_sidecar_kept_away_and_restarted_serves_what_it_knew(self):
        self.start()
        front = self.instance("front-1")
        callers = Callers(front["outboundPort"], 100)
        wait_for(lambda: len(callers.outcomes) > 100, "load", 60)
        control_plane = self.status()["controlPlane"]["pid"]
        os.kill(control_plane, signal.SIGSTOP)  # it takes connections, and never answers
        try:
            time.sleep(SECONDS / 2)
            self.assertEqual([], callers.failures("GET")[:10])
            callers.stop()
            os.kill(front["sidecarPid"], signal.SIGKILL)

            def answered():
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", front["outboundPort"], timeout=5)
                    connection.request("GET", "http://hello/")
                    return connection.getresponse().status == 200
                except OSError:
                    return False
            wait_for(answered, "the restarted sidecar serves", 60)
            again = Callers(front["outboundPort"], 100)
            time.sleep(SECONDS / 2)
            again.stop()
            self.tell("%d requests before and %d after the restart, without the control plane" % (
                len(callers.outcomes), len(again.outcomes)))
            self.assertEqual([], (again.failures("GET") + again.failures("POST"))[:10])
        finally:
            os.kill(control_plane, signal.SIGCONT)


if __name__ == "__main__":
    unittest.main()
