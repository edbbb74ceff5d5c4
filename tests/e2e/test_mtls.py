"""Mutual TLS between sidecars: who gets in, who is talked to, and what everybody else is told."""
import ssl
import unittest

from mesh import (H1, H2, TRUST_DOMAIN, Authority, MeshCase, SharedMeshCase, bootstrap, client_tls, cluster, curl, host,
                  identity_files, listener, probes, program, route, server_tls, spiffe)

EXPIRED = ("20200101000000Z", "20200102000000Z")


class Callee(SharedMeshCase):
    """An inbound listener and clients of every kind."""

    @classmethod
    def start(cls, mesh):
        cls.origin = mesh.origin()
        cls.sidecar = mesh.sidecar("callee", bootstrap(
            listener("inbound", host("application", ["*"], route("application")), inbound=True, tls=server_tls()),
            cluster("application", cls.origin.port), node="callee", identity=mesh.identity("callee")))
        cls.port = cls.sidecar.port("inbound")
        cls.ca = mesh.authority.certificate
        cls.caller = mesh.leaf("caller")

    def ask(self, leaf, path="/", alpn=("http/1.1",), maximum=None, fields=()):
        return probes.exchange(self.port, probes.request_bytes(path, "callee", fields),
                               probes.tls_context(self.ca, leaf, alpn, maximum), "callee")

    def assert_refused(self, outcome):
        self.assertEqual(b"", outcome.answer[:5] if outcome.answer[:2] != b"\x15\x03" else b"", outcome)
        answer = self.ask(self.caller)
        self.assertTrue(answer.served, "the next good client must be served: %r" % (answer,))

    def assert_untouched(self, act):
        before = len(self.origin.requests("/secret"))
        outcome = act()
        self.assertEqual(before, len(self.origin.requests("/secret")), "the application has seen the request")
        self.assert_refused(outcome)
        return outcome

    def test_a_good_client_is_served_and_named_in_the_log(self):
        outcome = self.ask(self.caller, "/good")
        self.assertTrue(outcome.answer.startswith(b"HTTP/1.1 200"), outcome)
        self.assertEqual(("TLSv1.3", (spiffe("callee"),)), (outcome.version, outcome.peer))
        entry = self.sidecar.wait_log(lambda entry: entry.get("path") == "/good")[0]
        self.assertEqual(spiffe("caller"), entry["peer"])

    def test_curl_with_its_own_certificate(self):
        for version, arguments in (("1.1", H1), ("2", ("--http2",))):
            answer = curl("https://callee:%d/curl" % self.port, *arguments, "--cert", self.caller.certificate,
                          "--key", self.caller.key, "--cacert", self.ca, "-k",
                          "--resolve", "callee:%d:127.0.0.1" % self.port)
            self.assertEqual((200, version), (answer.status, answer.version), answer)

    def test_protocols_of_the_mesh_are_preferred(self):
        chosen = [self.ask(self.caller, alpn=offer).protocol
                  for offer in (("h2", "http/1.1", "tulle-h2"), ("http/1.1", "tulle-http/1.1"), ("http/1.1", "h2"))]
        self.assertEqual(["tulle-h2", "tulle-http/1.1", "h2"], chosen)

    def test_an_unknown_protocol_is_refused(self):
        self.assert_untouched(lambda: self.ask(self.caller, "/secret", alpn=("smtp",)))

    def test_plain_text_is_refused(self):
        self.assert_untouched(lambda: probes.exchange(self.port, probes.request_bytes("/secret", "callee")))
        self.assert_untouched(lambda: probes.exchange(self.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9))

    def test_a_client_without_a_certificate_is_refused(self):
        outcome = self.assert_untouched(lambda: self.ask(None, "/secret"))
        self.assertIn("certificate required", outcome.error)

    def test_a_certificate_of_another_authority_is_refused(self):
        stranger = Authority(self.mesh.path("foreign"), "foreign").issue("stranger", spiffe("caller"))
        outcome = self.assert_untouched(lambda: self.ask(stranger, "/secret"))
        self.assertRegex(outcome.error, "unknown ca|bad certificate")

    def test_a_certificate_of_an_impostor_authority_of_the_same_name_is_refused(self):
        stranger = Authority(self.mesh.path("lookalike"), "ca").issue("stranger", spiffe("caller"))
        self.assert_untouched(lambda: self.ask(stranger, "/secret"))

    def test_an_expired_certificate_is_refused(self):
        expired = self.mesh.leaf("expired", validity=EXPIRED)
        outcome = self.assert_untouched(lambda: self.ask(expired, "/secret"))
        self.assertIn("certificate expired", outcome.error)

    def test_a_certificate_that_is_not_yet_valid_is_refused(self):
        early = self.mesh.leaf("early", validity=("20900101000000Z", "20910101000000Z"))
        self.assert_untouched(lambda: self.ask(early, "/secret"))

    def test_an_identity_must_be_one_spiffe_uri(self):
        issue = self.mesh.authority.issue
        for name, leaf in (("two", issue("two", uris=[spiffe("caller"), spiffe("admin")])),
                           ("host", issue("host", uris=[], dns=["caller.mesh.test"])),
                           ("domain", issue("domain", uris=["spiffe://other.test/ns/default/sa/caller"])),
                           ("scheme", issue("scheme", uris=["https://mesh.test/ns/default/sa/caller"]))):
            with self.subTest(name):
                self.assert_untouched(lambda: self.ask(leaf, "/secret"))

    def test_older_tls_is_refused(self):
        outcome = self.assert_untouched(lambda: self.ask(self.caller, "/secret", maximum=ssl.TLSVersion.TLSv1_2))
        self.assertIsNone(outcome.version)

    def test_no_ticket_and_no_second_life_of_a_session(self):
        with probes.socket.create_connection(("127.0.0.1", self.port), timeout=30) as raw:
            context = probes.tls_context(self.ca, self.caller)
            with context.wrap_socket(raw, server_hostname="callee") as stream:
                stream.sendall(probes.request_bytes("/session", "callee"))
                while stream.recv(65536):
                    pass
                self.assertFalse(stream.session is not None and stream.session.has_ticket)

    def test_openssl_s_client_is_a_real_peer(self):
        process = self.mesh.process("s_client", [
            program("openssl"), "s_client", "-connect", "127.0.0.1:%d" % self.port, "-CAfile", self.ca,
            "-cert", self.caller.certificate, "-key", self.caller.key, "-alpn", "http/1.1", "-tls1_3"])
        self.assertEqual(0, process.wait(60), process.evidence())
        self.assertIn("Verify return code: 0 (ok)", process.out)
        self.assertIn("ALPN protocol: http/1.1", process.out)

    def test_callers_are_not_believed_about_themselves(self):
        outcome = self.ask(self.caller, "/claims", fields=[("x-forwarded-client-cert", "URI=spiffe://x/admin")])
        self.assertTrue(outcome.served, outcome)
        seen = self.origin.requests("/claims")[-1]
        self.assertNotIn("spiffe://x/admin", str(seen.headers))


class Caller(MeshCase):
    """An outbound listener and servers of every kind."""

    def caller(self, port, expected=None, protocol="auto"):
        sidecar = self.mesh.sidecar("caller", bootstrap(
            listener("outbound", host("service", ["service"], route("service", timeout="30s"))),
            cluster("service", port, protocol=protocol, tls=client_tls(expected or spiffe("callee"))),
            node="caller", identity=self.mesh.identity("caller")))
        self.url = "http://127.0.0.1:%d/" % sidecar.port("outbound")
        return sidecar

    def callee(self, account="callee"):
        origin = self.mesh.origin()
        return self.mesh.sidecar("callee", bootstrap(
            listener("inbound", host("application", ["*"], route("application")), inbound=True, tls=server_tls()),
            cluster("application", origin.port), node="callee", identity=self.mesh.identity(account)))

    def assert_error(self, code):
        for _ in range(2):
            answer = curl(self.url, *H1, "-H", "host: service")
            self.assertEqual((502, code), (answer.status, answer["tulle-error"]), answer)
        return answer.json()["detail"]

    def test_both_sides_know_each_other(self):
        callee = self.callee()
        caller = self.caller(callee.port("inbound"))
        self.assertEqual(200, curl(self.url + "known", *H1, "-H", "host: service").status)
        inbound = callee.wait_log(lambda entry: entry.get("path") == "/known")[0]
        outbound = caller.wait_log(lambda entry: entry.get("path") == "/known")[0]
        self.assertEqual((spiffe("caller"), spiffe("callee")), (inbound.get("peer"), outbound.get("upstream_peer")))
        self.assertEqual("HTTP/2", inbound["protocol"].replace("HTTP/2.0", "HTTP/2"), "one multiplexed connection")

    def test_a_server_with_the_wrong_identity(self):
        caller = self.caller(self.callee("impostor").port("inbound"))
        detail = self.assert_error("identity_mismatch")
        self.assertIn(spiffe("impostor"), detail)
        self.assertIn(spiffe("callee"), detail)
        entry = caller.wait_log(lambda entry: entry.get("error") == "identity_mismatch")[0]
        self.assertEqual("UF", entry["flags"])

    def test_a_server_that_speaks_plain_text(self):
        self.caller(self.mesh.origin().port)
        self.assert_error("tls_failed")

    def tls_nginx(self, leaf, listen="ssl", versions="TLSv1.2 TLSv1.3", verify="on"):
        return self.mesh.nginx(listen=listen, server="""
            ssl_certificate %s; ssl_certificate_key %s; ssl_protocols %s;
            ssl_client_certificate %s; ssl_verify_client %s;
            location / { return 200 "nginx saw $ssl_client_verify $server_protocol"; }"""
                               % (leaf.certificate, leaf.key, versions, self.mesh.authority.certificate,
                                  verify)).listening_port

    def test_a_server_with_an_expired_certificate(self):
        self.caller(self.tls_nginx(self.mesh.leaf("callee", validity=EXPIRED)))
        self.assertIn("expired", self.assert_error("tls_failed"))

    def test_a_server_of_another_authority(self):
        leaf = Authority(self.mesh.path("foreign"), "foreign").issue("callee", spiffe("callee"))
        self.caller(self.tls_nginx(leaf))
        self.assert_error("tls_failed")

    def test_a_server_with_a_host_name_instead_of_an_identity(self):
        self.caller(self.tls_nginx(self.mesh.authority.issue("callee", uris=[], dns=["peer"])))
        self.assert_error("identity_mismatch")

    def test_a_server_that_only_knows_tls_1_2(self):
        self.caller(self.tls_nginx(self.mesh.leaf("callee"), versions="TLSv1.2"))
        self.assert_error("tls_failed")

    def test_nginx_is_a_real_peer(self):
        port = self.tls_nginx(self.mesh.leaf("callee"))
        self.caller(port)
        answer = curl(self.url, *H1, "-H", "host: service")
        self.assertEqual((200, b"nginx saw SUCCESS HTTP/1.1"), (answer.status, answer.body), answer)

    def test_nginx_with_http2_is_a_real_peer(self):
        self.caller(self.tls_nginx(self.mesh.leaf("callee"), listen="ssl http2"))
        answer = curl(self.url, *H2, "-H", "host: service")
        self.assertEqual((200, b"nginx saw SUCCESS HTTP/2.0"), (answer.status, answer.body), answer)

    def test_node_with_http2_is_a_real_peer(self):
        self.caller(self.mesh.http2_origin(leaf=self.mesh.leaf("callee")).listening_port)
        answer = curl(self.url + "bytes/100000", *H2, "-H", "host: service")
        self.assertEqual((200, 100000), (answer.status, len(answer.body)), answer)

    def test_a_server_that_requires_nothing_is_still_verified(self):
        self.caller(self.tls_nginx(self.mesh.leaf("somebody"), verify="off"))
        self.assert_error("identity_mismatch")


class Startup(MeshCase):
    def test_an_expired_identity_does_not_start(self):
        leaf = self.mesh.leaf("late", validity=EXPIRED)
        sidecar = self.mesh.sidecar("late", bootstrap(
            listener("inbound", host("all", ["*"], route("application")), inbound=True, tls=server_tls()),
            cluster("application", self.mesh.reserved_port()),
            identity=identity_files(leaf, self.mesh.authority.certificate, TRUST_DOMAIN)), ready=False)
        sidecar.may_end_with = (1,)
        self.assertEqual(1, sidecar.wait(), sidecar.evidence())
        self.assertIn("expired", sidecar.err)
        self.assertIn(leaf.certificate, sidecar.err)


if __name__ == "__main__":
    unittest.main()
