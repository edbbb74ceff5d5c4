"""Starting with something wrong: exit status 1, one clear message, nothing else."""
import json
import os
import re
import subprocess
import unittest

from mesh import (SANITIZER, SIDECAR, Mesh, MeshCase, bootstrap, client_tls, cluster, host, identity_files, listener,
                  program, route, says, server_tls, spiffe)


def run(*arguments, cwd=None, through=()):
    return subprocess.run([*through, SIDECAR, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, cwd=cwd)


GOOD = bootstrap(listener("outbound", host("all", ["*"], says("hello"))))


class BadInput(MeshCase):
    def refused(self, document, *expected, most_lines=1, through=()):
        """Starting and checking both refuse the file with the same words."""
        path = document if isinstance(document, str) and document.startswith("/") else self.mesh.write("bad.json", document)
        texts = []
        for extra in ((), ("--check",)):
            done = run("--config", path, *extra, through=through)
            self.assertEqual(1, done.returncode, done)
            self.assertEqual("", done.stdout)
            for words in expected:
                self.assertRegex(done.stderr, words)
            self.assertIsNone(SANITIZER.search(done.stderr), done.stderr)
            self.assertNotRegex(done.stderr, r"(?m)^\s*#\d|what\(\)|\[json\.exception")
            lines = done.stderr.strip().splitlines()
            self.assertLessEqual(len(lines), most_lines, done.stderr)
            self.assertTrue(lines[0].startswith("tulle-sidecar: "), done.stderr)
            texts.append(done.stderr)
        self.assertEqual(texts[0], texts[1])
        return texts[0]

    def only_starting_refuses(self, document, *expected):
        """What --check cannot know."""
        done = run("--config", self.mesh.write("bad.json", document))
        self.assertEqual((1, ""), (done.returncode, done.stdout), done)
        for words in expected:
            self.assertRegex(done.stderr, words)
        self.assertEqual(1, len([line for line in done.stderr.splitlines() if line.startswith("tulle-sidecar: ")]), done.stderr)
        self.assertIsNone(SANITIZER.search(done.stderr), done.stderr)

    # -- the file

    def test_no_such_file(self):
        self.refused(self.mesh.path("nothing.json"), "nothing.json", "No such file")

    def test_a_folder_instead_of_a_file(self):
        self.refused(self.mesh.folder, re.escape(self.mesh.folder))

    def test_malformed_json_names_line_and_column(self):
        self.refused('{\n  "node": {"id": "x"},\n  "admin": nonsense\n}\n', r"line 3, column \d+")

    def test_a_file_that_ends_early(self):
        self.refused('{"node": {"id": "x"}', r"line 1, column \d+")

    def test_an_empty_file(self):
        self.refused("", "tulle-sidecar: .")

    def test_a_binary_file(self):
        path = self.mesh.path("binary.json")
        with open(path, "wb") as out:
            out.write(bytes(range(256)) * 20)
        self.refused(path, r"line 1, column \d+")

    def test_json_of_the_wrong_kind(self):
        for text in ("[]", "17", '"text"', "null"):
            self.refused(text, "object")

    def test_a_key_twice(self):
        self.refused('{"node": {"id": "a"}, "node": {"id": "b"}}', "node")

    def test_deep_nesting(self):
        self.refused("[" * 100000, "tulle-sidecar: .")

    # -- fields

    def test_an_unknown_field_with_a_suggestion(self):
        self.refused(dict(GOOD, acces_log={}), "acces_log", 'did you mean "access_log"')

    def test_an_unknown_field_inside_a_resource(self):
        document = json.loads(json.dumps(GOOD))
        document["static_resources"][0]["filter_chains"][0]["filter"] = []
        self.refused(document, r"static_resources\[0\]", "outbound", r"filter_chains\[0\]", 'did you mean "filters"')

    def test_a_wrong_type(self):
        self.refused(dict(GOOD, workers="many"), "workers")
        self.refused(dict(GOOD, drain={"grace_seconds": -1}), r"drain\.grace_seconds")
        self.refused(dict(GOOD, static_resources={}), "static_resources")

    def test_admin_for_everybody(self):
        self.refused(dict(GOOD, admin={"address": "0.0.0.0", "port": 0}), r"admin\.address", "loopback")

    def test_an_unknown_type_of_resource(self):
        self.refused(bootstrap({"@type": "type.googleapis.com/envoy.config.nonsense.v3.Thing", "name": "x"}), "nonsense")

    def test_a_route_to_nowhere(self):
        self.refused(bootstrap(listener("outbound", host("all", ["*"], route("wbe"))), cluster("web", 1)),
                     'wbe', r"routes\[0\]")

    def test_every_problem_at_once(self):
        """First everything that cannot be read, then everything that does not fit together."""
        document = bootstrap(listener("outbound", host("all", ["*"], route("nowhere"))),
                             cluster("web", 1, connect_timeout="soon"), cluster("api", -1))
        self.refused(document, "connect_timeout", "api", most_lines=2)
        document = bootstrap(listener("outbound", host("all", ["*"], route("nowhere"))), cluster("api", 70000))
        self.refused(document, "nowhere", "api.*65535", most_lines=2)

    def test_what_is_not_enforced_is_refused(self):
        rbac = {"name": "rbac", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": {}}}
        document = bootstrap(listener("outbound", host("all", ["*"], says("x"))))
        manager = document["static_resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"].insert(0, rbac)
        self.refused(document, "(?i)rbac", most_lines=3)

    # -- certificates

    def secure(self, leaf, trust=None):
        return bootstrap(listener("inbound", host("all", ["*"], says("x")), inbound=True, tls=server_tls()),
                         identity=identity_files(leaf, trust or self.mesh.authority.certificate))

    def test_a_missing_certificate(self):
        leaf = self.mesh.leaf("a")
        os.unlink(leaf.certificate)
        self.refused(self.secure(leaf), re.escape(leaf.certificate), "No such file", most_lines=2)

    def test_a_folder_instead_of_a_key(self):
        leaf = self.mesh.leaf("a")
        os.unlink(leaf.key)
        os.mkdir(leaf.key)
        self.refused(self.secure(leaf), re.escape(leaf.key), most_lines=2)

    def test_a_key_that_may_not_be_read(self):
        through = []
        if os.geteuid() == 0:
            # Root without the capability to read what it may not.
            through = [program("setpriv"), "--bounding-set", "-dac_override,-dac_read_search"]
            if subprocess.run([*through, "true"], stderr=subprocess.DEVNULL).returncode != 0:
                self.skipTest("root may read every file, and cannot give that up here")
        leaf = self.mesh.leaf("a")
        os.chmod(leaf.key, 0)
        self.refused(self.secure(leaf), re.escape(leaf.key), "Permission denied", through=through)

    def test_the_key_of_somebody_else(self):
        one, other = self.mesh.leaf("one"), self.mesh.leaf("other")
        message = self.refused(self.secure(one._replace(key=other.key)), "does not belong")
        self.assertIn(other.key, message)

    def test_files_that_are_no_pem(self):
        leaf = self.mesh.leaf("a")
        for name in ("certificate", "key"):
            path = self.mesh.write(name + ".txt", "this is no PEM\n")
            self.refused(self.secure(leaf._replace(**{name: path})), re.escape(path), most_lines=3)
        self.refused(self.secure(leaf, trust=self.mesh.write("trust.txt", "")), "trust.txt", most_lines=3)

    def test_key_material_never_appears_in_a_message(self):
        leaf = self.mesh.leaf("a")
        with open(leaf.key) as key:
            secret = key.read().splitlines()[1]
        message = self.refused(self.secure(leaf._replace(certificate=leaf.key)), re.escape(leaf.key), most_lines=3)
        self.assertNotIn(secret[:30], message)

    def test_mutual_tls_without_an_identity(self):
        self.refused(bootstrap(listener("inbound", host("all", ["*"], says("x")), inbound=True, tls=server_tls())),
                     "identity|default", most_lines=3)
        self.refused(bootstrap(listener("outbound", host("all", ["*"], route("web"))),
                               cluster("web", 1, tls=client_tls(spiffe("web")))), "identity|default", most_lines=3)

    # -- ports

    def test_a_port_in_use_by_another_program(self):
        port = self.mesh.origin().port
        self.only_starting_refuses(bootstrap(listener("outbound", host("all", ["*"], says("x")), port=port)),
                                   "outbound", "127.0.0.1:%d" % port, "in use")

    def test_a_port_in_use_by_another_sidecar(self):
        first = self.mesh.sidecar("first", GOOD)
        port = first.port("outbound")
        self.only_starting_refuses(bootstrap(listener("outbound", host("all", ["*"], says("x")), port=port)),
                                   "outbound", "127.0.0.1:%d" % port, "in use")
        self.assertTrue(first.ready())

    def test_an_admin_port_in_use(self):
        first = self.mesh.sidecar("first", GOOD)
        self.only_starting_refuses(dict(GOOD, admin={"address": "127.0.0.1", "port": first.admin}),
                                   "admin", str(first.admin), "in use")

    def test_an_address_that_is_not_ours(self):
        self.only_starting_refuses(bootstrap(listener("outbound", host("all", ["*"], says("x")), address="192.0.2.1")),
                                   "outbound", "192.0.2.1")

    def test_an_access_log_that_cannot_be_written(self):
        self.only_starting_refuses(dict(GOOD, access_log={"path": self.mesh.path("no/such/folder/log")}),
                                   "access_log", "No such file")


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)

    def test_help(self):
        done = run("--help")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        for words in ("--config", "--check", "--version"):
            self.assertIn(words, done.stdout)

    def test_version(self):
        done = run("--version")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertRegex(done.stdout, r"^tulle-sidecar \d+\.\d+\.\d+\n$")

    def test_check_of_a_good_file(self):
        path = self.mesh.write("good.json", GOOD)
        done = run("--config", path, "--check")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("valid", done.stdout)

    def test_check_opens_no_port_and_leaves_nothing(self):
        first = self.mesh.sidecar("first", GOOD)
        taken = bootstrap(listener("outbound", host("all", ["*"], says("x")), port=first.port("outbound")))
        self.assertEqual(0, run("--check", "--config", self.mesh.write("good.json", taken)).returncode)

    def test_the_examples_in_the_repository_are_valid(self):
        # Paths in a bootstrap are relative to the working directory.
        leaf = self.mesh.authority.issue("certificate", "spiffe://example.org/ns/default/sa/web")
        for source, name in ((leaf.certificate, "certificate.pem"), (leaf.key, "key.pem"),
                             (self.mesh.authority.certificate, "ca.pem")):
            os.replace(source, self.mesh.path(name))
        sample = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                              "sidecar", "config", "testdata", "mesh.json")
        done = run("--check", "--config", sample, cwd=self.mesh.folder)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_wrong_usage(self):
        for arguments in ((), ("--config",), ("--nonsense",), ("--config", "x", "more")):
            done = run(*arguments)
            self.assertEqual((2, ""), (done.returncode, done.stdout), done)
            self.assertLessEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)


if __name__ == "__main__":
    unittest.main()
