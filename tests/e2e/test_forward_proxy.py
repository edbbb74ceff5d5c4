"""The outbound listener as an explicit proxy: what http_proxy, curl -x and absolute targets need."""
import os
import socket
import subprocess
import unittest

from mesh import H1, SharedMeshCase, bootstrap, cluster, curl, host, listener, program, route


class ForwardProxy(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        cls.orders, cls.users = mesh.origin("orders"), mesh.origin("users")
        cls.sidecar = mesh.sidecar("outbound", bootstrap(
            listener("outbound",
                     host("orders", ["orders", "orders.default", "orders:8080"], route("orders")),
                     host("users", ["users"], route("users"))),
            cluster("orders", cls.orders.port), cluster("users", cls.users.port)))
        cls.port = cls.sidecar.port("outbound")
        cls.proxy = ("-x", "http://127.0.0.1:%d" % cls.port)

    def test_curl_through_the_proxy(self):
        for url, origin in (("http://orders/a?b=c", "orders"), ("http://users/a?b=c", "users"),
                            ("http://ORDERS.default/a?b=c", "orders"), ("http://orders:8080/a?b=c", "orders")):
            answer = curl(url, *H1, *self.proxy)
            self.assertEqual((200, origin), (answer.status, answer.json().get("origin")), answer)
            self.assertEqual("/a?b=c", answer.json()["path"], "the application gets the origin form")

    def test_what_belongs_to_the_proxy_stays_there(self):
        answer = curl("http://orders/", *H1, *self.proxy, "-U", "somebody:secret", "--proxy-basic")
        names = [name.lower() for name, _ in answer.json()["headers"]]
        for name in ("proxy-connection", "proxy-authorization"):
            self.assertNotIn(name, names)
        self.assertEqual(["orders"], self.orders.received[-1].values("host"))

    def test_the_environment_variable_is_enough(self):
        env = dict(os.environ, http_proxy=self.proxy[1], no_proxy="")
        done = subprocess.run([program("curl"), "-q", "-sS", "http://users/env"], env=env, stdout=subprocess.PIPE,
                              timeout=60)
        self.assertIn(b'"origin": "users"', done.stdout)

    def test_an_unknown_host(self):
        answer = curl("http://nobody/", *H1, *self.proxy)
        self.assertEqual((404, "no_route"), (answer.status, answer["tulle-error"]), answer)
        self.assertIn("nobody", answer.json()["detail"])

    def test_connect_is_refused(self):
        answer = curl("http://orders/", *H1, *self.proxy, "-p")
        self.assertNotEqual(0, answer.exit_status, answer)
        self.assertRegex(answer.head, r"^HTTP/1.1 403", answer)

    def raw(self, request):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def test_the_target_decides_and_a_lying_host_field_is_refused(self):
        good = self.raw(b"GET http://orders/x HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n")
        self.assertTrue(good.startswith(b"HTTP/1.1 200"), good)
        before = self.orders.hits() + self.users.hits()
        bad = self.raw(b"GET http://orders/x HTTP/1.1\r\nHost: users\r\nConnection: close\r\n\r\n")
        self.assertTrue(bad.startswith(b"HTTP/1.1 400"), bad)
        self.assertEqual(before, self.orders.hits() + self.users.hits())

    def test_targets_that_are_no_urls(self):
        before = self.orders.hits() + self.users.hits()
        for target in (b"http:///x", b"http://user@orders/", b"ftp://orders/", b"http://orders:99999/",
                       b"http://[::1/", b"//orders/\x00"):
            answer = self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n")
            self.assertRegex(answer[:12], rb"^HTTP/1.1 4", target)
        self.assertEqual(before, self.orders.hits() + self.users.hits())


if __name__ == "__main__":
    unittest.main()
