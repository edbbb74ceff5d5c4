"""Real clients through a pair of sidecars with mutual TLS: what they get is what they get without a mesh.

curl, nghttp and h2load; Node.js (http, http2, fetch); Python (http.client, requests, httpx, aiohttp).
"""
import hashlib
import os
import re
import subprocess
import sys
import unittest

from mesh import (H1, H2, HERE, PATIENCE, SharedMeshCase, bootstrap, client_tls, cluster, curl, host, listener, pattern,
                  program, route, server_tls, spiffe)

MIB = 1 << 20
STATIC = 200000
# What belongs to one hop, or is another each time.
OF_A_HOP = ("connection", "keep-alive", "transfer-encoding", "date", "via", "content-length")


def python_with(module):
    """An interpreter that has the module: this one or the distribution's."""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([interpreter, "-c", "import " + module], stderr=subprocess.DEVNULL).returncode == 0:
            return interpreter
    raise unittest.SkipTest("the Python module %s is not installed" % module)


class RealClients(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()
        folder = mesh.path("static")
        os.makedirs(os.path.join(folder, "static"))
        with open(os.path.join(folder, "static", "file"), "wb") as out:
            out.write(pattern(STATIC))
        for path in (mesh.folder, folder, os.path.join(folder, "static")):
            os.chmod(path, 0o711)  # nginx serves as nobody
        nginx = mesh.nginx(server="location / { root %s; }" % folder)
        routes = (route("nginx", prefix="/static/"), route("application"))
        inbound = mesh.sidecar("inbound", bootstrap(
            listener("inbound", host("all", ["*"], *routes), inbound=True, tls=server_tls()),
            cluster("application", cls.origin.port), cluster("nginx", nginx.listening_port),
            node="callee", identity=mesh.identity("callee")))
        outbound = mesh.sidecar("outbound", bootstrap(
            listener("outbound", host("all", ["*"], route("service"))),
            cluster("service", inbound.port("inbound"), protocol="auto", tls=client_tls(spiffe("callee"))),
            node="caller", identity=mesh.identity("caller")))
        cls.port = outbound.port("outbound")
        cls.direct = {"static": nginx.listening_port}

    def both_ways(self, path, *arguments, client=H1, stdin=None):
        """The answer through the mesh, which is the same as the answer without it."""
        direct_port = self.direct.get(path.split("/")[1], self.origin.port)
        direct = curl("http://127.0.0.1:%d%s" % (direct_port, path), *H1, "-H", "host: service", *arguments, stdin=stdin)
        meshed = curl("http://127.0.0.1:%d%s" % (self.port, path), *client, "-H", "host: service", *arguments, stdin=stdin)
        self.assertEqual((direct.exit_status, direct.status), (meshed.exit_status, meshed.status), meshed)
        if "-I" not in arguments:
            self.assertEqual(hashlib.sha256(direct.body).digest(), hashlib.sha256(meshed.body).digest(), meshed)

        def fields(answer):
            return sorted((name, value) for name, value in answer.fields if name not in OF_A_HOP)
        self.assertEqual(fields(direct), fields(meshed))
        return meshed

    # -- curl

    def test_curl_ranges(self):
        for client in (H1, H2):
            for wanted, size in (("0-0", 1), ("100-199", 100), ("-500", 500), ("199990-", 10), ("150000-250000", 50000)):
                with self.subTest(client=client, wanted=wanted):
                    answer = self.both_ways("/static/file", "-r", wanted, client=client)
                    self.assertEqual((206, size), (answer.status, len(answer.body)), answer)
            with self.subTest(client=client, wanted="two at once"):
                answer = self.both_ways("/static/file", "-r", "300000-", client=client)
                self.assertEqual(416, answer.status, answer)
            several = curl("http://127.0.0.1:%d/static/file" % self.port, *client, "-r", "0-9,100-109")
            self.assertEqual(206, several.status, several)
            self.assertIn(pattern(STATIC)[100:110], several.body)

    def test_curl_conditions(self):
        tag = curl("http://127.0.0.1:%d/static/file" % self.port, "-I")["etag"]
        for client in (H1, H2):
            with self.subTest(client=client):
                self.assertEqual(304, self.both_ways("/static/file", "-H", "if-none-match: " + tag, client=client).status)
                self.assertEqual(412, self.both_ways("/static/file", "-H", 'if-match: "other"', client=client).status)

    def test_curl_methods(self):
        for client in (H1, H2):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
                with self.subTest(client=client, method=method):
                    self.both_ways("/echo", "-X", method, "-H", "expect:", "--data-binary", "@-", client=client,
                                   stdin=pattern(5000))
                    self.assertEqual((method, pattern(5000)),
                                     (self.origin.requests("/echo")[-1].method, self.origin.requests("/echo")[-1].body))
            self.both_ways("/bytes/1234", "-I", client=client)
            self.both_ways("/chunked", "-H", "te: trailers", client=client)
            for status in (201, 204, 304, 404, 500):
                self.both_ways("/status/%d" % status, client=client)

    def test_curl_uploads(self):
        data = pattern(MIB)
        for client in (H1, H2):
            for name, arguments in (("length", ("--data-binary", "@-", "-H", "expect:")),
                                    ("unknown length", ("-X", "POST", "-T", "-", "-H", "expect:")),
                                    ("expect", ("--data-binary", "@-", "-H", "expect: 100-continue",
                                                "--expect100-timeout", "120")),
                                    ("put", ("-T", "-"))):
                with self.subTest(client=client, name=name):
                    answer = self.both_ways("/echo", *arguments, client=client, stdin=data)
                    self.assertEqual(200, answer.status, answer.error)
                    self.assertTrue(answer.body == data, "%d bytes came back" % len(answer.body))

    def test_curl_many_at_once(self):
        # With HTTP/2 curl 7.88 fails at this without any proxy; nghttp and h2load do it below.
        folder = self.mesh.path("parallel")
        os.makedirs(folder)
        done = subprocess.run(
            [program("curl"), "-q", "-sS", "--noproxy", "*", *H1, "--parallel", "--parallel-max", "20",
             "-o", os.path.join(folder, "#1"), "http://127.0.0.1:%d/bytes/[100-5000:100]" % self.port],
            stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        for size in range(100, 5001, 100):
            with open(os.path.join(folder, str(size)), "rb") as got:
                self.assertEqual(pattern(size), got.read(), size)

    # -- nghttp and h2load

    def test_nghttp(self):
        for more in ((), ("--no-dep",), ("-w", "20", "-W", "24")):
            with self.subTest(more):
                done = subprocess.run([program("nghttp"), *more, "http://127.0.0.1:%d/bytes/%d" % (self.port, MIB)],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
                self.assertEqual(b"", done.stderr)
                self.assertTrue(done.stdout == pattern(MIB), "%d bytes" % len(done.stdout))

    def test_h2load(self):
        data = self.mesh.write("upload", pattern(50000).decode())
        for name, arguments in (("h2", ("-c", "10", "-m", "20")), ("h1", ("--h1", "-c", "16")),
                                ("uploads", ("-c", "4", "-m", "8", "-d", data)), ("one stream", ("-c", "20", "-m", "1"))):
            with self.subTest(name):
                path = "/echo" if "-d" in arguments else "/bytes/2000"
                process = self.mesh.process("h2load " + name, [program("h2load"), "-n", "2000", *arguments,
                                                               "http://127.0.0.1:%d%s" % (self.port, path)])
                self.assertEqual(0, process.wait(4 * PATIENCE), process.evidence())
                self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", process.out)
                self.assertIn("status codes: 2000 2xx", process.out)
                size = 50000 if "-d" in arguments else 2000
                self.assertIn("(%d) data" % (2000 * size), process.out)

    # -- programs around libraries

    def play(self, name, command):
        process = self.mesh.process(name, command)
        status = process.wait(4 * PATIENCE)
        self.assertEqual(0, status, process.evidence())
        self.assertGreaterEqual(len(re.findall(r"^ok \w+$", process.out, re.M)), 4, process.out)

    def node(self, library):
        self.play("node-" + library, [program("node"), os.path.join(HERE, "peers", "client.js"), str(self.port), library])

    def python(self, library, *modules):
        interpreter = python_with(", ".join(modules))
        self.play("python-" + library, [interpreter, os.path.join(HERE, "peers", "client.py"), str(self.port), library])

    def test_node_http(self):
        self.node("http")

    def test_node_http2(self):
        self.node("http2")

    def test_node_fetch(self):
        major = int(subprocess.run([program("node"), "-p", "process.versions.node.split('.')[0]"],
                                   stdout=subprocess.PIPE).stdout)
        if major < 18:
            self.skipTest("Node.js %d has no fetch" % major)
        self.node("fetch")

    def test_python_http_client(self):
        self.python("http.client", "http.client")

    def test_python_requests(self):
        self.python("requests", "requests")

    def test_python_httpx(self):
        self.python("httpx", "httpx")

    def test_python_httpx_http2(self):
        self.python("httpx2", "httpx", "h2")

    def test_python_aiohttp(self):
        self.python("aiohttp", "aiohttp")


if __name__ == "__main__":
    unittest.main()
