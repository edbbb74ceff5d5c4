"""The admin pages: what an operator asks, and nothing that is nobody's business."""
import json
import re
import socket
import unittest

from mesh import (H1, H2, SharedMeshCase, bootstrap, client_tls, cluster, curl, host, listener, probes, route,
                  server_tls, spiffe)


class Admin(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()
        cls.leaf = mesh.leaf("web")
        cls.sidecar = mesh.sidecar("s", bootstrap(
            listener("inbound", host("all", ["*"], route("application")), inbound=True, tls=server_tls()),
            listener("outbound", host("application", ["application"], route("application"), ),
                     host("peer", ["peer"], route("peer"))),
            cluster("application", cls.origin.port), cluster("peer", mesh.reserved_port(), tls=client_tls(spiffe("peer"))),
            node="web-1", identity={"certificate": cls.leaf.certificate, "key": cls.leaf.key,
                                    "trust_bundle": mesh.authority.certificate, "trust_domain": "mesh.test"}))

    def page(self, path, *arguments):
        return curl("http://127.0.0.1:%d%s" % (self.sidecar.admin, path), *arguments)

    def test_ready(self):
        for version in (H1, H2):
            self.assertEqual(200, self.page("/ready", *version).status)
        self.assertEqual(200, self.page("/ready", "-I").status)

    def test_config_shows_what_is_in_force(self):
        config = self.page("/config").json()
        self.assertEqual("web-1", config["node"]["id"])
        self.assertEqual(["inbound", "outbound"], sorted(entry["name"] for entry in config["listeners"]))
        self.assertEqual(["application", "peer"], sorted(entry["name"] for entry in config["clusters"]))
        for entry in config["listeners"]:
            self.assertEqual("127.0.0.1:%d" % self.sidecar.port(entry["name"]), entry["address"], "the real port")
        inbound = next(entry for entry in config["listeners"] if entry["name"] == "inbound")
        self.assertEqual(spiffe("web"), inbound["tls"]["spiffe_id"])
        self.assertEqual(1, config["generation"])

    def test_no_page_shows_a_key(self):
        with open(self.leaf.key) as key:
            secrets = [line for line in key.read().splitlines() if not line.startswith("-")]
        for path in ("/config", "/metrics", "/ready", "/", "/nothing"):
            text = self.page(path).body.decode()
            self.assertNotIn("PRIVATE KEY", text)
            for secret in secrets:
                self.assertNotIn(secret[:24], text, path)

    def test_metrics_are_prometheus_text_and_count(self):
        before = self.sidecar.metric("http_server_request_duration_seconds_count")
        for _ in range(3):
            curl("http://127.0.0.1:%d/" % self.sidecar.port("outbound"), *H1, "-H", "host: application")
        curl("http://127.0.0.1:%d/" % self.sidecar.port("outbound"), *H1, "-H", "host: peer")
        answer = self.page("/metrics")
        self.assertTrue(answer["content-type"].startswith("text/plain; version=0.0.4"), answer)
        text = answer.body.decode()
        types = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.assertNotIn(name, types, "one TYPE line for each metric")
                types[name] = kind
            elif line and not line.startswith("#"):
                self.assertRegex(line, r'^[a-zA-Z_:][\w:]*(\{(\w+="([^"\\]|\\.)*",?)*\})? [-+0-9.eEinfNa]+$')
                name = re.match(r"[\w:]+", line).group()
                self.assertTrue(any(name == known or name.startswith(known + "_") for known in types), line)
        self.assertEqual(before + 4, self.sidecar.metric("http_server_request_duration_seconds_count"))
        self.assertGreaterEqual(self.sidecar.metric("http_client_request_duration_seconds_count"), 4)
        self.assertGreater(self.sidecar.metric("tulle_certificate_not_after_seconds"), 1.7e9)

    def test_only_on_loopback(self):
        bound = set()
        for table in ("tcp", "tcp6"):
            with open("/proc/net/" + table) as sockets:
                for line in sockets.read().splitlines()[1:]:
                    address, state = line.split()[1], line.split()[3]
                    if state == "0A" and int(address.rsplit(":", 1)[1], 16) == self.sidecar.admin:
                        bound.add(address.rsplit(":", 1)[0])
        self.assertEqual({"0100007F"}, bound)

    def test_unknown_pages_and_methods(self):
        self.assertEqual(404, self.page("/nothing").status)
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(405, self.page("/config", "-X", method).status)

    def test_a_page_of_any_size_reaches_a_slow_reader(self):
        with socket.create_connection(("127.0.0.1", self.sidecar.admin), timeout=60) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(512), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
        self.assertEqual(length, len(body))

    def test_config_is_stable_while_nothing_changes(self):
        self.assertEqual(json.loads(self.page("/config").body), json.loads(probes.get(self.sidecar.admin, "/config").body))


if __name__ == "__main__":
    unittest.main()
