"""The access log: one JSON line per failure by default, per request when asked for."""
import json
import os
import socket
import unittest

from mesh import H1, H2, MeshCase, bootstrap, cluster, curl, host, listener, route


class AccessLog(MeshCase):
    def sidecar(self, access_log):
        self.origin = self.mesh.origin()
        document = bootstrap(
            listener("outbound", host("service", ["service"], route("service")), host("dead", ["dead"], route("dead"))),
            cluster("service", self.origin.port), cluster("dead", self.mesh.reserved_port()))
        if access_log is None:
            del document["access_log"]
        else:
            document["access_log"] = access_log
        sidecar = self.mesh.sidecar("s", document)
        self.url = "http://127.0.0.1:%d" % sidecar.port("outbound")
        return sidecar

    def ask(self, path, to="service", *arguments):
        return curl(self.url + path, *(arguments or H1), "-H", "host: " + to)

    def test_failures_only_by_default(self):
        sidecar = self.sidecar(None)
        for number in range(5):
            self.assertEqual(200, self.ask("/good/%d" % number).status)
        self.assertEqual(404, self.ask("/status/404").status)
        self.assertEqual(500, self.ask("/status/500").status)
        self.assertEqual(404, self.ask("/lost", "nobody").status)
        self.assertEqual(502, self.ask("/dead", "dead").status)
        entries = sidecar.wait_log(lambda entry: entry["path"] == "/dead")
        self.assertEqual(["/status/500", "/lost", "/dead"], [entry["path"] for entry in sidecar.log()])
        dead = entries[0]
        self.assertEqual(("connect_failed", "UF", 502, "dead"),
                         (dead["error"], dead["flags"], dead["status"], dead["cluster"]))
        lost = sidecar.log(lambda entry: entry["path"] == "/lost")[0]
        self.assertEqual(("no_route", "NR", 404), (lost["error"], lost["flags"], lost["status"]))

    def test_everything_when_configured(self):
        sidecar = self.sidecar({"filter": "all"})
        self.ask("/bytes/1000?x=1")
        self.ask("/bytes/10", "service", *H2)
        curl(self.url + "/echo", *H1, "-H", "host: service", "--data-binary", "@-", stdin=b"x" * 77)
        sidecar.wait_log(lambda entry: True, 3)
        one, two, three = sidecar.log()
        self.assertEqual(("GET", "/bytes/1000?x=1", "service", 200, 0, 1000),
                         tuple(one[name] for name in ("method", "path", "authority", "status", "bytes_received", "bytes_sent")))
        self.assertEqual(("outbound", "service", "127.0.0.1:%d" % self.origin.port, 1),
                         tuple(one[name] for name in ("listener", "cluster", "endpoint", "attempts")))
        self.assertNotIn("error", one)
        self.assertRegex(one["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertTrue(one["config_version"])
        self.assertNotEqual(one["protocol"], two["protocol"])
        self.assertEqual(("POST", 77, 77), (three["method"], three["bytes_received"], three["bytes_sent"]))

    def test_off(self):
        sidecar = self.sidecar({"filter": "off"})
        self.assertEqual(404, self.ask("/lost", "nobody").status)
        self.assertEqual(0, sidecar.stop(30))
        self.assertEqual("", sidecar.out)

    def test_a_file(self):
        path = self.mesh.path("access.log")
        sidecar = self.sidecar({"filter": "all", "path": path})
        self.ask("/in-a-file")
        sidecar.wait_for(lambda: os.path.getsize(path) > 0, "a line in the file")
        self.assertEqual(0, sidecar.stop(30))
        with open(path) as lines:
            entries = [json.loads(line) for line in lines]
        self.assertEqual(["/in-a-file"], [entry["path"] for entry in entries])
        self.assertEqual("", sidecar.out)

    def test_the_last_lines_are_written_before_the_end(self):
        sidecar = self.sidecar({"filter": "all"})
        for number in range(20):
            self.ask("/%d" % number)
        self.assertEqual(0, sidecar.stop(30))
        self.assertEqual(["/%d" % number for number in range(20)], [entry["path"] for entry in sidecar.log()])

    def test_what_a_client_sends_cannot_forge_a_line(self):
        sidecar = self.sidecar({"filter": "all"})
        host_and_port = ("127.0.0.1", sidecar.port("outbound"))
        with socket.create_connection(host_and_port, timeout=30) as client:
            client.sendall(b'GET /quote"back\\slash HTTP/1.1\r\nhost: service\r\n'
                           b'x-request-id: {"forged": "\xff\xc3"}\r\nconnection: close\r\n\r\n')
            while client.recv(65536):
                pass
        self.ask("/after")
        sidecar.wait_log(lambda entry: entry.get("path") == "/after")
        for line in sidecar.out.splitlines():
            self.assertNotIn("forged", json.loads(line))

    def test_an_answer_that_breaks_off_is_a_failure(self):
        sidecar = self.sidecar(None)
        self.assertNotEqual(0, self.ask("/cut/10").exit_status)
        entry = sidecar.wait_log(lambda entry: entry["path"] == "/cut/10")[0]
        self.assertEqual(("upstream_reset", "UR", 200), (entry["error"], entry["flags"], entry["status"]))

    def test_a_client_that_leaves_is_a_failure_of_its_own(self):
        sidecar = self.sidecar(None)
        with socket.create_connection(("127.0.0.1", sidecar.port("outbound")), timeout=30) as client:
            client.sendall(b"GET /hold/a HTTP/1.1\r\nhost: service\r\n\r\n")
            self.origin.wait_held("a")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves by a reset
        entry = sidecar.wait_log(lambda entry: entry["path"] == "/hold/a")[0]
        self.assertEqual(("DC", "downstream"), (entry["flags"], entry["origin"]))


if __name__ == "__main__":
    unittest.main()
