"""HTTP through a pair of sidecars: client -> outbound -> inbound -> application.

The same stories for HTTP/1.1 and HTTP/2 clients, HTTP/1.1 and HTTP/2 applications, with plain text
and with mutual TLS between the sidecars. The client is curl, the HTTP/2 application is Node.js.
"""
import hashlib
import re
import socket
import subprocess
import unittest

from mesh import (H1, H2, SharedMeshCase, bootstrap, client_tls, cluster, curl, host, listener, pattern, program,
                  route, server_tls, spiffe)

MIB = 1 << 20


class Stories:
    """The stories; the classes below say between whom they play."""

    client = H1
    application = "http1"
    secure = False

    @classmethod
    def start(cls, mesh):
        if cls.application == "http1":
            cls.origin = mesh.origin()
            application_port = cls.origin.port
        else:
            application_port = mesh.http2_origin().listening_port
        inbound = mesh.sidecar("inbound", bootstrap(
            listener("inbound", host("application", ["*"], route("application")), inbound=True,
                     tls=server_tls() if cls.secure else None),
            cluster("application", application_port, protocol="http2" if cls.application == "http2" else None),
            node="callee", identity=mesh.identity("callee") if cls.secure else None))
        outbound = mesh.sidecar("outbound", bootstrap(
            listener("outbound",
                     host("service", ["service"], route("service", timeout="60s")),
                     host("dead", ["dead"], route("dead")),
                     host("empty", ["empty"], route("empty"))),
            cluster("service", inbound.port("inbound"), protocol="auto" if cls.secure else "http2",
                    tls=client_tls(spiffe("callee")) if cls.secure else None),
            cluster("dead", mesh.reserved_port()),
            cluster("empty"),
            node="caller", identity=mesh.identity("caller") if cls.secure else None))
        cls.inbound, cls.outbound = inbound, outbound
        cls.port = outbound.port("outbound")

    def curl(self, path, *arguments, to="service", client=None, **more):
        return curl("http://127.0.0.1:%d%s" % (self.port, path), *(client or self.client),
                    "-H", "host: " + to, *arguments, **more)

    def assert_problem(self, answer, status, code):
        """An answer of the mesh itself says so, for programs and for people."""
        self.assertEqual((status, code), (answer.status, answer["tulle-error"]), answer)
        self.assertEqual("application/problem+json", answer["content-type"], answer)
        problem = answer.json()
        self.assertEqual((status, code), (problem["status"], problem["code"]), answer)
        for name in ("type", "title", "detail", "hop"):
            self.assertTrue(problem.get(name), "%s is missing: %r" % (name, problem))

    # -- what passes through

    def test_a_request_and_its_answer(self):
        answer = self.curl("/hello?x=1&y=%20", "-H", "x-custom: a, b")
        self.assertEqual(200, answer.status, answer)
        self.assertEqual("2" if self.client == H2 else "1.1", answer.version)
        seen = answer.json()
        fields = {name.lower(): value for name, value in seen["headers"]}
        self.assertEqual(("GET", "/hello?x=1&y=%20"), (seen["method"], seen["path"]))
        self.assertEqual("a, b", fields["x-custom"])
        self.assertEqual("service", fields.get("host") or fields.get(":authority"))
        self.assertIsNone(answer["tulle-error"])

    def test_head_has_the_length_and_no_body(self):
        answer = self.curl("/bytes/12345", "-I")
        self.assertEqual((200, "12345"), (answer.status, answer["content-length"]), answer)

    def test_a_mebibyte_down(self):
        answer = self.curl("/bytes/%d" % MIB)
        self.assertEqual(str(MIB), answer["content-length"])
        self.assertEqual(hashlib.sha256(pattern(MIB)).digest(), hashlib.sha256(answer.body).digest())

    def test_a_mebibyte_up_and_down(self):
        answer = self.curl("/echo", "-H", "expect:", "--data-binary", "@-", stdin=pattern(MIB))
        self.assertEqual((200, MIB), (answer.status, len(answer.body)), answer)
        self.assertEqual(hashlib.sha256(pattern(MIB)).digest(), hashlib.sha256(answer.body).digest())

    def test_an_upload_of_unknown_length(self):
        answer = self.curl("/echo", "-X", "POST", "-T", "-", "-H", "expect:", stdin=pattern(300000))
        self.assertEqual((200, pattern(300000)), (answer.status, answer.body), answer.error)

    def test_an_upload_that_waits_for_100_continue(self):
        # Without a 100 the client waits for longer than it has time.
        answer = self.curl("/echo", "-H", "expect: 100-continue", "--expect100-timeout", "120",
                           "--data-binary", "@-", stdin=pattern(70000), seconds=60)
        self.assertEqual((200, pattern(70000)), (answer.status, answer.body), answer.error)

    def test_an_empty_post(self):
        answer = self.curl("/echo", "-X", "POST", "-H", "content-length: 0")
        self.assertEqual((200, b""), (answer.status, answer.body), answer)

    def test_chunks_and_trailers_down(self):
        answer = self.curl("/chunked", "-H", "te: trailers")
        self.assertEqual(b"first second third", answer.body)
        self.assertEqual(("12345", "yes"), (answer["x-checksum"], answer["x-finished"]), answer)

    def test_early_hints_come_first(self):
        answer = self.curl("/interim")
        self.assertEqual(200, answer.status, answer)
        self.assertRegex(answer.head, r"^HTTP/[12.]+ 103[\s\S]*preload[\s\S]*HTTP/[12.]+ 200", answer)

    def test_statuses_of_the_application_are_its_own(self):
        for status in (201, 204, 304, 404, 418, 500, 503):
            answer = self.curl("/status/%d" % status)
            self.assertEqual(status, answer.status, answer)
            self.assertIsNone(answer["tulle-error"], answer)

    def test_an_answer_that_breaks_off_is_not_completed(self):
        answer = self.curl("/cut/100")
        # What breaks before any of it was passed on can still become an honest answer.
        if answer["tulle-error"] == "upstream_reset":
            return self.assertEqual(502, answer.status, answer)
        self.assertNotEqual(0, answer.exit_status, answer)
        self.assertLess(len(answer.body), 1000)

    def test_the_next_request_after_a_broken_one(self):
        for _ in range(3):
            self.curl("/cut/10")
            self.assertEqual(200, self.curl("/hello").status)

    def test_nobody_can_assert_an_identity(self):
        answer = self.curl("/", "-H", "x-forwarded-client-cert: URI=spiffe://mesh.test/ns/default/sa/admin",
                           "-H", "tulle-peer: admin")
        names = [name.lower().replace("_", "-") for name, _ in answer.json()["headers"]]
        self.assertNotIn("x-forwarded-client-cert", names)
        self.assertNotIn("tulle-peer", names)
        for name in ("X_Forwarded_Client_Cert", "x-forwarded_client-cert"):
            answer = self.curl("/", "-H", name + ": By=me")
            self.assertTrue(answer.status == 400 or "By=me" not in answer.body.decode(), answer)

    def test_fields_of_one_hop_stay_there(self):
        answer = self.curl("/", "-H", "connection: x-private", "-H", "x-private: 1", "-H", "keep-alive: timeout=9",
                           client=H1)
        names = [name.lower() for name, _ in answer.json()["headers"]]
        for name in ("x-private", "keep-alive"):
            self.assertNotIn(name, names)

    def test_many_at_once(self):
        command = [program("h2load"), "-n", "1000", "-c", "8", "-m", "10" if self.client == H2 else "1",
                   "--connect-to=127.0.0.1:%d" % self.port, "http://service/bytes/1000"]
        if self.client == H1:
            command.insert(1, "--h1")
        process = self.mesh.process("h2load-" + type(self).__name__, command)
        self.assertEqual(0, process.wait(120), process.evidence())
        self.assertIn("1000 succeeded, 0 failed, 0 errored, 0 timeout", process.out)
        self.assertIn("status codes: 1000 2xx", process.out)

    # -- what the mesh answers itself

    def test_no_route(self):
        answer = self.curl("/", to="nobody")
        self.assert_problem(answer, 404, "no_route")
        self.assertIn("nobody", answer.json()["detail"])

    def test_no_route_for_head_has_no_body(self):
        answer = self.curl("/", "-I", to="nobody")
        self.assertEqual((404, "no_route", b""), (answer.status, answer["tulle-error"],
                                                  answer.body.split(b"\r\n\r\n", 1)[-1]), answer)

    def test_connect_failed(self):
        self.assert_problem(self.curl("/", to="dead"), 502, "connect_failed")

    def test_connect_failed_with_a_large_upload(self):
        if self.client == H2:
            # curl 7.88 does not look at an answer that comes before it has sent everything.
            data = self.mesh.write("upload", pattern(MIB).decode())
            text = self.nghttp("/", "dead", "-d", data)
            self.assertIn(":status: 502", text)
            self.assertIn("tulle-error: connect_failed", text)
        else:
            answer = self.curl("/", "-H", "expect:", "--data-binary", "@-", to="dead", stdin=pattern(MIB))
            self.assertEqual(502, answer.status, answer)

    def nghttp(self, path, to, *arguments):
        """One request by nghttp; what it says about the frames it got and sent."""
        done = subprocess.run([program("nghttp"), "-nv", "--no-dep", "-H", ":authority: " + to, *arguments,
                               "http://127.0.0.1:%d%s" % (self.port, path)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
        return done.stdout.decode(errors="replace")

    def test_no_endpoint(self):
        self.assert_problem(self.curl("/", to="empty"), 503, "no_endpoint")

    def test_grpc_gets_its_own_form_of_errors(self):
        for to, code, grpc_status in (("nobody", "no_route", "12"), ("dead", "connect_failed", "14"),
                                      ("empty", "no_endpoint", "14")):
            answer = self.curl("/package.Service/Method", "-X", "POST", "-H", "content-type: application/grpc",
                               "-H", "te: trailers", to=to)
            self.assertEqual((200, grpc_status, code), (answer.status, answer["grpc-status"], answer["tulle-error"]), answer)
            self.assertEqual("application/grpc", answer["content-type"], answer)
            self.assertTrue(answer["grpc-message"], answer)
            self.assertEqual(b"", answer.body)


class Http1Application(Stories):
    def test_request_trailers_reach_the_application(self):
        if self.client == H2:
            self.nghttp("/echo?trailers", "service", "-H", ":method: POST", "-H", "te: trailers", "--no-content-length",
                        "--trailer", "x-check: 42", "-d", __file__)
        else:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
                client.sendall(b"POST /echo?trailers HTTP/1.1\r\nhost: service\r\ntransfer-encoding: chunked\r\n"
                               b"trailer: x-check\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx-check: 42\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(65536), b""))
            self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
        seen = [one for one in self.origin.requests() if one.target == "/echo?trailers"][-1]
        self.assertIn(("x-check", "42"), [(name.lower(), value) for name, value in seen.trailers])

    def test_bytes_of_a_chunked_upload_arrive_exactly_once(self):
        data = pattern(200000)
        self.curl("/echo?once", "-H", "transfer-encoding: chunked", "-H", "expect:", "--data-binary", "@-",
                  stdin=data, client=H1)
        seen = [one for one in self.origin.requests() if one.target == "/echo?once"]
        self.assertEqual([data], [one.body for one in seen])
        self.assertEqual(1, len(seen[0].values("transfer-encoding")) + len(seen[0].values("content-length")))


class PlainHttp1ToHttp1(Http1Application, SharedMeshCase):
    pass


class PlainHttp2ToHttp1(Http1Application, SharedMeshCase):
    client = H2


class PlainHttp1ToHttp2(Stories, SharedMeshCase):
    application = "http2"


class PlainHttp2ToHttp2(Stories, SharedMeshCase):
    client, application = H2, "http2"


class SecureHttp1ToHttp1(Http1Application, SharedMeshCase):
    secure = True


class SecureHttp2ToHttp2(Stories, SharedMeshCase):
    client, application, secure = H2, "http2", True


class Http1OnTheWire(SharedMeshCase):
    """What only a hand-written HTTP/1.1 client does."""

    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()
        cls.sidecar = mesh.sidecar("one", bootstrap(
            listener("outbound", host("all", ["*"], route("application"))), cluster("application", cls.origin.port)))
        cls.port = cls.sidecar.port("outbound")

    def talk(self, *parts):
        """Sends the parts and reads until the sidecar closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def test_requests_in_one_packet_are_answered_in_order(self):
        # The client then says that it will send no more; what it has sent is answered all the same.
        answers = self.talk(b"".join(b"GET /?n=%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(5)))
        self.assertEqual(5, answers.count(b"HTTP/1.1 200"), answers)
        self.assertEqual([str(n) for n in range(5)], re.findall(r'"/\?n=(\d)"', answers.decode()), answers)

    def test_a_connection_is_kept_and_reused_upstream(self):
        before = self.origin.connections_seen
        for _ in range(5):
            self.assertIn(b"HTTP/1.1 200", self.talk(b"GET /reuse HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
        # Workers do not share connections, so one for each of them is right.
        self.assertLessEqual(self.origin.connections_seen - before, 4)

    def test_http_1_0_gets_no_chunks(self):
        answer = self.talk(b"GET /chunked HTTP/1.0\r\nhost: a\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertNotIn(b"transfer-encoding", head.lower())
        self.assertEqual(b"first second third", body, answer)

    def test_an_ambiguous_length_is_refused_and_never_forwarded(self):
        before = self.origin.hits()
        for fields in (b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
                       b"content-length: 5\r\ncontent-length: 6\r\n",
                       b"transfer-encoding: chunked, identity\r\n", b"content-length: 5, 5x\r\n",
                       b"transfer-encoding:\r\ncontent-length: 5\r\n"):
            answer = self.talk(b"POST /smuggle HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: a\r\n\r\n")
            self.assertRegex(answer, rb"^HTTP/1.1 (400|501)", fields)
            self.assertEqual(1, answer.count(b"HTTP/1.1 "), answer)
        self.assertEqual(before, self.origin.hits())

    def test_a_head_that_is_too_large(self):
        answer = self.talk(b"GET / HTTP/1.1\r\nhost: a\r\nx-large: " + b"x" * 100000 + b"\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 431"), answer[:200])

    def test_connect_and_trace_are_not_forwarded(self):
        before = self.origin.hits()
        for request in (b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", b"TRACE / HTTP/1.1\r\nhost: a\r\n\r\n"):
            self.assertRegex(self.talk(request), rb"^HTTP/1.1 (403|405|501)")
        self.assertEqual(before, self.origin.hits())

    def test_upgrade_to_h2c_is_ignored(self):
        answer = self.talk(b"GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings, close\r\n"
                           b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
        names = [name.lower() for name, _ in self.origin.requests("/upgrade")[-1].headers]
        self.assertNotIn("upgrade", names)
        self.assertNotIn("http2-settings", names)


if __name__ == "__main__":
    unittest.main()
