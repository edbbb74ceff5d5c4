"""The configuration file changes while requests run: nothing is lost, and nothing half done is used."""
import concurrent.futures
import json
import os
import unittest

from mesh import (PATIENCE, Authority, MeshCase, bootstrap, client_tls, cluster, host, identity_files, listener, probes,
                  replace_file, route, says, server_tls, spiffe, wait_for)


class Reload(MeshCase):
    def document(self, text="one", *more_routes, clusters=(), **options):
        return bootstrap(listener("outbound", host("all", ["*"], *more_routes, says(text))), *clusters, **options)

    def says(self, sidecar, path="/"):
        answer = probes.get(sidecar.port("outbound"), path, {"host": "x"})
        return answer.body.decode()

    def wait_says(self, sidecar, text):
        sidecar.wait_for(lambda: self.says(sidecar) == text, "the sidecar says " + text, PATIENCE)

    # -- ways to change a file

    def test_replaced_by_rename(self):
        sidecar = self.mesh.sidecar("s", self.document("one"))
        self.assertEqual("one", self.says(sidecar))
        for text in ("two", "three", "four"):
            sidecar.rewrite(self.document(text))
            self.wait_says(sidecar, text)

    def test_written_in_place_in_two_parts(self):
        sidecar = self.mesh.sidecar("s", self.document("one"))
        text = json.dumps(self.document("two"))
        with open(sidecar.config_path, "w") as out:
            out.write(text[:200])
            out.flush()
            os.fsync(out.fileno())
            out.write(text[200:])
        self.wait_says(sidecar, "two")

    def test_a_symbolic_link_that_moves_on(self):
        """How Kubernetes changes a mounted ConfigMap."""
        for name in ("one", "two"):
            os.makedirs(self.mesh.path("volume/.." + name))
            replace_file(self.mesh.path("volume/..%s/sidecar.json" % name), json.dumps(self.document(name)))
        os.symlink("..one", self.mesh.path("volume/..data"))
        os.symlink("..data/sidecar.json", self.mesh.path("volume/sidecar.json"))
        sidecar = self.mesh.sidecar("s", None, config_path=self.mesh.path("volume/sidecar.json"))
        self.assertEqual("one", self.says(sidecar))
        os.symlink("..two", self.mesh.path("volume/..data.new"))
        os.replace(self.mesh.path("volume/..data.new"), self.mesh.path("volume/..data"))
        self.wait_says(sidecar, "two")

    def test_a_hangup_signal_reloads_too(self):
        sidecar = self.mesh.sidecar("s", self.document("one"))
        sidecar.rewrite(self.document("two"))
        sidecar.signal(1)
        self.wait_says(sidecar, "two")

    def test_removed_and_put_back(self):
        sidecar = self.mesh.sidecar("s", self.document("one"))
        os.unlink(sidecar.config_path)
        sidecar.wait_for_line("rejected", PATIENCE)
        self.assertEqual("one", self.says(sidecar))
        sidecar.rewrite(self.document("two"))
        self.wait_says(sidecar, "two")

    # -- requests that are under way

    def test_requests_under_way_finish_on_the_old_route(self):
        old, new = self.mesh.origin("old"), self.mesh.origin("new")

        def document(origin):
            return bootstrap(listener("outbound", host("all", ["*"], route(origin.name))),
                             cluster(origin.name, origin.port))
        sidecar = self.mesh.sidecar("s", document(old))
        port = sidecar.port("outbound")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            held = [pool.submit(probes.get, port, "/hold/a", {"host": "x"}, seconds=120) for _ in range(3)]
            sidecar.wait_for(lambda: len(old.requests("/hold/a")) == 3, "3 held requests", PATIENCE)
            sidecar.rewrite(document(new))
            sidecar.wait_for(lambda: probes.get(port, "/", {"host": "x"}).headers.get("x-origin") == "new",
                             "the new route is used", PATIENCE)
            self.assertFalse(any(future.done() for future in held))
            old.release("a")
            for future in held:
                answer = future.result()
                self.assertEqual((200, b"held a", "old"), (answer.status, answer.body, answer.headers["x-origin"]))
        self.assertEqual(0, len(new.requests("/hold/a")))

    def test_a_removed_listener_finishes_what_it_has_and_closes(self):
        origin = self.mesh.origin()
        service = [cluster("origin", origin.port)]
        keep = listener("outbound", host("all", ["*"], says("here")))
        gone = listener("gone", host("all", ["*"], route("origin")))
        sidecar = self.mesh.sidecar("s", bootstrap(keep, gone, *service))
        port = sidecar.port("gone")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            held = pool.submit(probes.get, port, "/hold/a", {"host": "x"}, seconds=120)
            origin.wait_held("a")
            sidecar.rewrite(bootstrap(keep, *service))

            def refused():
                try:
                    return probes.get(port, "/", {"host": "x"}).status >= 500
                except OSError:
                    return True
            sidecar.wait_for(refused, "the listener is gone", PATIENCE)
            origin.release("a")
            self.assertEqual(b"held a", held.result().body)
        self.assertEqual("here", self.says(sidecar))

    def test_a_new_listener_opens(self):
        first = listener("outbound", host("all", ["*"], says("one")))
        sidecar = self.mesh.sidecar("s", bootstrap(first))
        before = sidecar.port("outbound")
        sidecar.rewrite(bootstrap(first, listener("second", host("all", ["*"], says("two")))))

        def address():
            return next((entry["address"] for entry in sidecar.config()["listeners"] if entry["name"] == "second"), None)
        port = int(sidecar.wait_for(address, "the second listener", PATIENCE).rsplit(":", 1)[1])
        sidecar.wait_for(lambda: probes.get(port, "/", {"host": "x"}).body == b"two", "the second listener serves", PATIENCE)
        self.assertEqual(b"one", probes.get(before, "/", {"host": "x"}).body, "the first one kept its port")

    def test_a_kept_connection_sees_the_new_routes(self):
        sidecar = self.mesh.sidecar("s", self.document("one"))
        connection = probes.http.client.HTTPConnection("127.0.0.1", sidecar.port("outbound"), timeout=60)
        self.addCleanup(connection.close)

        def ask():
            connection.request("GET", "/", headers={"host": "x"})
            return connection.getresponse().read().decode()
        self.assertEqual("one", ask())
        local = connection.sock.getsockname()
        sidecar.rewrite(self.document("two"))
        sidecar.wait_for(lambda: ask() == "two", "the kept connection sees the new route", PATIENCE)
        self.assertEqual(local, connection.sock.getsockname(), "it is still the same connection")

    def test_a_kept_connection_sees_the_new_limits(self):
        def document(**manager):
            return bootstrap(listener("outbound", host("all", ["*"], says("one")), **manager))
        sidecar = self.mesh.sidecar("s", document())
        connection = probes.http.client.HTTPConnection("127.0.0.1", sidecar.port("outbound"), timeout=60)
        self.addCleanup(connection.close)

        def ask():
            connection.request("GET", "/", headers={"host": "x", **{"x-%d" % number: "1" for number in range(20)}})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        self.assertEqual(200, ask())
        sidecar.rewrite(document(common_http_protocol_options={"max_headers_count": 10}))
        sidecar.wait_for(lambda: ask() == 431, "the kept connection sees the new limit", PATIENCE)

    # -- files that must not be used

    def refused(self, broken, *expected):
        """The file is refused with these words, the old configuration stays, a good one is taken again."""
        sidecar = self.mesh.sidecar("s", self.document("one"))
        version = sidecar.config()["version"]
        replace_file(sidecar.config_path, broken if isinstance(broken, str) else json.dumps(broken))
        for words in expected:
            sidecar.wait_for_line(words, PATIENCE)
        self.assertEqual("one", self.says(sidecar))
        self.assertEqual(version, sidecar.config()["version"])
        self.assertTrue(sidecar.ready())
        self.assertGreaterEqual(sidecar.metric("tulle_config_reloads_total", outcome="rejected"), 1)
        sidecar.rewrite(self.document("two"))
        self.wait_says(sidecar, "two")
        return sidecar

    def test_a_file_that_is_no_json(self):
        self.refused('{"node": {"id": "x"},\n "admin": oops}', r"line 2, column \d+")

    def test_an_empty_file(self):
        self.refused("", "rejected")

    def test_an_unknown_field(self):
        document = self.document("broken")
        document["static_resources"][0]["adress"] = {}
        self.refused(document, "adress", 'did you mean "address"')

    def test_a_route_to_nowhere(self):
        self.refused(bootstrap(listener("outbound", host("all", ["*"], route("nowhere")))), "nowhere")

    def test_every_problem_is_named(self):
        self.refused(bootstrap(listener("outbound", host("all", ["*"], route("nowhere"), route("nobody"))),
                               cluster("web", 70000)), "nowhere", "nobody", "web.*65535")

    def test_a_port_that_is_taken(self):
        taken = self.mesh.origin().port
        self.refused(bootstrap(listener("outbound", host("all", ["*"], says("broken"))),
                               listener("second", host("all", ["*"], says("two")), port=taken)), str(taken))

    def test_a_message_has_no_line_break_tricks(self):
        sidecar = self.refused('{"node": {"id": "x\\nforged line"}, "nope": 1}', "nope")
        self.assertFalse([line for line in sidecar.err.splitlines() if line.startswith("forged")])


class Rotation(MeshCase):
    def setUp(self):
        super().setUp()
        self.origin = self.mesh.origin()
        self.live = self.mesh.authority.issue("live", spiffe("callee"))
        self.caller = self.mesh.leaf("caller")
        self.trust = self.mesh.path("trust.pem")
        with open(self.mesh.authority.certificate) as source:
            replace_file(self.trust, source.read())
        self.sidecar = self.mesh.sidecar("callee", bootstrap(
            listener("inbound", host("application", ["*"], route("application")), inbound=True, tls=server_tls()),
            cluster("application", self.origin.port), node="callee", identity=identity_files(self.live, self.trust)))

    def serial(self, trust=None, leaf=None):
        """The serial number of the certificate that a new connection meets; None when it is refused."""
        context = probes.tls_context(trust or self.trust, leaf or self.caller)
        try:
            with probes.socket.create_connection(("127.0.0.1", self.sidecar.port("inbound")), timeout=30) as raw:
                with context.wrap_socket(raw, server_hostname="callee") as stream:
                    stream.sendall(probes.request_bytes("/", "callee"))
                    served = stream.recv(100).startswith(b"HTTP/1.1 200")
                    return stream.getpeercert()["serialNumber"] if served else None
        except OSError:
            return None

    def replace(self, leaf):
        for source, target in ((leaf.certificate, self.live.certificate), (leaf.key, self.live.key)):
            with open(source) as content:
                replace_file(target, content.read())

    def test_a_renewed_certificate_is_used_by_new_connections(self):
        before = self.serial()
        self.assertIsNotNone(before)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            held = pool.submit(probes.exchange, self.sidecar.port("inbound"),
                               probes.request_bytes("/hold/a", "callee"), probes.tls_context(self.trust, self.caller),
                               "callee", 120)
            self.origin.wait_held("a")
            self.replace(self.mesh.authority.issue("next", spiffe("callee")))
            self.sidecar.wait_for(lambda: self.serial() not in (None, before), "the new certificate", PATIENCE)
            self.origin.release("a")
            self.assertIn(b"held a", held.result().answer, "the old connection finishes its request")

    def test_a_certificate_without_its_key_changes_nothing(self):
        before = self.serial()
        fresh = self.mesh.authority.issue("next", spiffe("callee"))
        with open(fresh.certificate) as content:
            replace_file(self.live.certificate, content.read())
        self.sidecar.wait_for_line("does not belong to the certificate", PATIENCE)
        self.assertEqual(before, self.serial())
        with open(fresh.key) as content:
            replace_file(self.live.key, content.read())
        self.sidecar.wait_for(lambda: self.serial() not in (None, before), "the new pair", PATIENCE)

    def test_a_new_authority_is_trusted_beside_the_old_one(self):
        second = Authority(self.mesh.path("second"), "second-ca")
        stranger = second.issue("stranger", spiffe("caller"))
        self.assertIsNone(self.serial(leaf=stranger))
        with open(self.mesh.authority.certificate) as one, open(second.certificate) as two:
            replace_file(self.trust, one.read() + two.read())
        self.sidecar.wait_for(lambda: self.serial(leaf=stranger), "the new authority is trusted", PATIENCE)
        self.assertIsNotNone(self.serial(), "and the old one still is")

    def test_no_request_fails_while_both_sides_rotate(self):
        caller_live = self.mesh.authority.issue("caller-live", spiffe("caller"))
        outbound = self.mesh.sidecar("caller", bootstrap(
            listener("outbound", host("service", ["*"], route("service"))),
            cluster("service", self.sidecar.port("inbound"), protocol="auto", tls=client_tls(spiffe("callee"))),
            node="caller", identity=identity_files(caller_live, self.trust)))
        port, stop = outbound.port("outbound"), []

        def drive():
            done = 0
            while not stop:
                answer = probes.get(port, "/", {"host": "service"})
                if answer.status != 200:
                    return "%d %r" % (answer.status, answer.body)
                done += 1
            return done
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            driving = [pool.submit(drive) for _ in range(3)]
            try:
                for turn in range(5):
                    before = self.sidecar.config()["generation"], outbound.config()["generation"]
                    fresh = self.mesh.authority.issue("turn%d" % turn, spiffe("callee"))
                    self.replace(fresh)
                    fresh = self.mesh.authority.issue("caller-turn%d" % turn, spiffe("caller"))
                    for source, target in ((fresh.certificate, caller_live.certificate), (fresh.key, caller_live.key)):
                        with open(source) as content:
                            replace_file(target, content.read())
                    wait_for(lambda: self.sidecar.config()["generation"] != before[0] and
                             outbound.config()["generation"] != before[1], "both have rotated", PATIENCE)
            finally:
                stop.append(True)
            for future in driving:
                self.assertIsInstance(future.result(), int, future.result())
                self.assertGreater(future.result(), 0)


if __name__ == "__main__":
    unittest.main()
