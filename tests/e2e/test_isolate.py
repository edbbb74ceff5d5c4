"""`tulle up --isolate`: a network namespace per instance, with nothing configured in the applications."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import isolated  # noqa: E402
import mesh  # noqa: E402
from isolated import Isolated, TULLE, namespaces, run  # noqa: E402
from tulle_up import alive  # noqa: E402

PYTHON = ["/usr/bin/python3", "service.py"]  # one that every user may start
SERVICES = {
    "hello": {"command": PYTHON, "port": 80, "replicas": 2, "health": "/"},
    "front": {"command": PYTHON, "port": 8080, "health": "/", "user": "1000"},
}


class Refusals(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)

    def up(self, services, *arguments, before=(), **environment):
        file = os.path.join(self.folder.name, "mesh.yaml")
        with open(file, "w") as out:
            json.dump({"name": "apart", "services": services}, out)
        return run(*before, TULLE, "up", file, *arguments, check=False,
                   env=dict(os.environ, XDG_RUNTIME_DIR=self.folder.name, **environment))

    def test_not_root(self):
        isolated.needs()
        before = ("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups")
        end = self.up({"a": {"command": ["true"], "port": 80}}, "--isolate", before=before)
        self.assertEqual(2, end.returncode, end.stderr)
        self.assertIn("root is needed: try sudo", end.stderr)
        self.assertNotIn(".tulle", os.listdir(self.folder.name))

    def test_users_that_cannot_be(self):
        isolated.needs()
        end = self.up({"a": {"command": ["true"], "port": 80, "user": "no-such-user"},
                       "b": {"command": ["true"], "port": 81, "user": "2102"}}, "--isolate")
        self.assertEqual(2, end.returncode)
        self.assertIn("services.a.user: \"no-such-user\" is no user", end.stderr)
        self.assertIn("services.b.user: 2102 is the sidecars' user", end.stderr)

    def test_a_user_without_isolation(self):
        end = self.up({"a": {"command": ["true"], "port": 80, "user": "root"}})
        self.assertEqual(2, end.returncode)
        self.assertIn("services.a.user: only has a meaning with --isolate", end.stderr)

    def test_ipv6_is_an_option_of_isolation(self):
        end = self.up({"a": {"command": ["true"], "port": 80}}, "--ipv6")
        self.assertEqual(2, end.returncode)
        self.assertIn("--isolate", end.stderr)

    def test_help_says_what_changes(self):
        said = run(TULLE, "up", "--help").stdout
        for word in ("--isolate", "--ipv6", "/etc/hosts", "tulle exec", "user:", "sudo tulle up mesh.yaml --isolate"):
            self.assertIn(word, said)

    def test_exec_without_isolation_or_a_mesh(self):
        end = run(TULLE, "exec", "a-1", "--", "true", check=False, env=dict(os.environ, XDG_RUNTIME_DIR=self.folder.name))
        self.assertEqual(3, end.returncode, end.stderr)
        self.assertIn("no mesh is up", end.stderr)


class Apart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        isolated.needs("curl")
        cls.mesh = Isolated(SERVICES)
        cls.addClassCleanup(cls.mesh.close)

    def test_an_application_calls_by_name_and_is_meshed(self):
        said = json.loads(self.mesh.inside("front-1", "curl", "-sS", "http://hello/").stdout)
        self.assertRegex(said["instance"], "hello-[12]")
        self.assertEqual("127.0.0.6", said["caller"], "delivered by its sidecar")
        asked = json.loads(self.mesh.inside("front-1", "curl", "-sS", "http://front:8080/ask?http://hello/").stdout)
        self.assertRegex(asked["instance"], "hello-[12]")
        calls = [line for line in self.mesh.log("front-1.sidecar").splitlines() if '"hello' in line]
        self.assertTrue(calls, "the caller's sidecar has seen it")

    def test_every_instance_gets_its_share(self):
        said = self.mesh.inside("front-1", "curl", "-sS", "--parallel", "http://hello/?[1-100]").stdout
        self.assertEqual(100, said.count('"instance"'))
        for name in ("hello-1", "hello-2"):
            self.assertIn('"instance": "%s"' % name, said)

    def test_an_instance_can_be_called_by_its_own_name(self):
        for name in ("hello-1", "hello-2"):
            said = json.loads(self.mesh.inside("front-1", "curl", "-sS", "http://%s/" % name).stdout)
            self.assertEqual((name, "127.0.0.6"), (said["instance"], said["caller"]))

    def test_the_application_is_who_the_file_says_and_knows_no_proxy(self):
        said = json.loads(self.mesh.inside("hello-1", "curl", "-sS", "http://front:8080/").stdout)
        self.assertEqual((1000, "front-1", []), (said["user"], said["host"], said["proxy"]))
        self.assertEqual(isolated.SIDECAR_USER, os.stat("/proc/%d" % self.mesh.instance("front-1")["sidecarPid"]).st_uid)

    def test_who_is_no_member_gets_nothing(self):
        """From the wire, and from a member past its sidecar: strict mutual TLS."""
        curl = ("curl", "-sS", "-m", "10", "--noproxy", "*")
        own4, own6 = self.mesh.own_addresses("hello-1")
        for end in (self.mesh.as_sidecar("front-1", *curl, "http://%s/" % own4, check=False),
                    run("ip", "netns", "exec", self.mesh.hub(), *curl, "http://%s/" % own4, check=False),
                    # An address that the mesh does not know it by: captured, passed on as it is, refused.
                    self.mesh.inside("front-1", *curl, "http://[%s]/" % own6, check=False)):
            self.assertNotIn("hello-1", end.stdout)
            self.assertTrue(end.returncode != 0 or "tulle" in end.stdout, end.stdout)

    def test_direct_calls_to_the_sidecars_ports_do_not_loop(self):
        sidecar = self.mesh.instance("hello-1")["sidecarPid"]
        own = self.mesh.own_addresses("hello-1")
        for where, addresses in (("hello-1", ["127.0.0.1", "::1"] + own), ("front-1", own)):
            for address in addresses:
                for port in (15001, 15006):
                    with self.subTest(where=where, address=address, port=port):
                        url = "http://%s:%d/" % ("[%s]" % address if ":" in address else address, port)
                        end = self.mesh.inside(where, "curl", "-sS", "-m", "10", url, check=False)
                        self.assertNotEqual(28, end.returncode, "it is refused, not left waiting")
                        # From elsewhere the caller's own sidecar says what became of it.
                        if end.returncode == 0:
                            self.assertIn('"status":502', end.stdout)
        self.assertEqual(sidecar, self.mesh.instance("hello-1")["sidecarPid"])
        self.assertEqual(200, self.code("front-1", "http://hello/"))

    def code(self, where, url):
        return int(self.mesh.inside(where, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url, check=False).stdout)

    def test_nothing_leads_out(self):
        end = self.mesh.inside("front-1", "curl", "-sS", "-m", "20", "http://192.0.2.1/", check=False)
        self.assertNotEqual("200", end.stdout[:3])
        names = self.mesh.inside("front-1", "getent", "hosts", "nobody.example", check=False)
        self.assertNotEqual(0, names.returncode, "and it says so at once")

    def test_rules_are_there_once_and_come_back_as_they_were(self):
        within = ("ip", "netns", "exec", self.mesh.instance("hello-1")["networkNamespace"])

        def rules():
            return run(*within, "nft", "list", "table", "inet", "tulle", check=False).stdout
        before = rules()
        self.assertEqual(1, before.count("redirect to :15001"))
        self.assertIn("already in place", run(*within, TULLE, "intercept", "install").stdout)
        self.assertEqual(before, rules())
        run(*within, TULLE, "intercept", "remove")
        self.assertEqual("", rules())
        self.assertNotIn("::6", run(*within, "ip", "address", "show", "lo").stdout)
        run(*within, TULLE, "intercept", "install")
        self.assertEqual(before, rules())
        mesh.wait_for(lambda: self.code("front-1", "http://hello-1/") == 200, "it works as before", mesh.PATIENCE)

    def test_the_machine_itself_is_untouched(self):
        for command in (["ip", "-o", "link"], ["ip", "-o", "address"], ["nft", "list", "ruleset"]):
            said = run(*command).stdout
            self.assertNotIn("10.213.", said)
            self.assertNotIn("bridge0", said)
            self.assertNotIn("15006", said)

    def test_status_and_other_commands_reach_the_control_plane(self):
        status = self.mesh.status()
        self.assertEqual({"synced"}, {one["sync"] for one in status["instances"]})
        self.assertEqual(3, len(status["instances"]))
        self.assertIn("10.", self.mesh.tulle("status").stdout)
        self.assertIn("hello", self.mesh.tulle("get", "services").stdout)

    def test_what_dies_comes_back_into_its_namespace(self):
        before = self.mesh.instance("hello-2")
        os.kill(before["pid"], signal.SIGKILL)
        os.kill(before["sidecarPid"], signal.SIGKILL)
        mesh.wait_for(lambda: self.mesh.instance("hello-2")["state"] == "up" and
                      self.mesh.instance("hello-2")["sidecarPid"] not in (0, before["sidecarPid"]),
                      lambda: "up again: %s" % self.mesh.instance("hello-2"), mesh.PATIENCE)
        self.mesh.wait_synced()
        mesh.wait_for(lambda: json.loads(self.mesh.inside("front-1", "curl", "-sS", "http://hello-2/", check=False).stdout or "{}")
                      .get("instance") == "hello-2", "hello-2 answers again", mesh.PATIENCE)


class Leaving(unittest.TestCase):
    def setUp(self):
        isolated.needs("curl")

    def test_everything_goes_with_it_also_what_has_left_its_group(self):
        apart = Isolated({"hello": {"command": PYTHON, "port": 80, "health": "/"}})
        self.addCleanup(apart.close)
        mine = {name for name in namespaces() if name.startswith("tulle-%d-" % apart.up.pid)}
        self.assertEqual(2, len(mine), "the hub and one instance")
        stray = apart.inside("hello-1", "setsid", "--fork", "sh", "-c", "echo $$; exec sleep 600 >/dev/null 2>&1").stdout
        self.assertTrue(alive(int(stray)))
        apart.tulle("down")
        apart.up.wait(60)
        self.assertFalse(mine & namespaces())
        mesh.wait_for(lambda: not alive(int(stray)), "the stray is gone", mesh.PATIENCE)
        self.assertFalse([name for name in os.listdir("/run/tulle") if name == "%d.lock" % apart.up.pid])

    def test_the_next_run_removes_what_a_killed_one_has_left(self):
        apart = Isolated({"hello": {"command": PYTHON, "port": 80, "health": "/"}})
        self.addCleanup(apart.close)
        first = apart.up
        os.kill(first.pid, signal.SIGKILL)
        first.popen.wait()
        left = {name for name in namespaces() if name.startswith("tulle-%d-" % first.pid)}
        self.assertEqual(2, len(left))
        foreign = "tulle-other-%d" % os.getpid()
        run("ip", "netns", "add", foreign)
        self.addCleanup(run, "ip", "netns", "del", foreign)
        apart.start()
        self.assertIn("removed 2 network namespaces", apart.up.out)
        self.assertFalse(left & namespaces())
        self.assertTrue(os.path.exists(os.path.join(isolated.NAMES, foreign)), "others' are others'")
        self.assertEqual("hello-1", json.loads(apart.inside("hello-1", "curl", "-sS", "http://hello/").stdout)["instance"])

    def test_two_beside_each_other(self):
        one = Isolated({"hello": {"command": PYTHON, "port": 80, "health": "/"}}, name="one")
        self.addCleanup(one.close)
        other = Isolated({"hello": {"command": PYTHON, "port": 80, "health": "/"}}, name="other")
        self.addCleanup(other.close)
        for apart in (one, other):
            self.assertIn("hello-1", apart.inside("hello-1", "curl", "-sS", "http://hello/").stdout)

    def test_in_the_background(self):
        apart = Isolated({"hello": {"command": PYTHON, "port": 80, "health": "/"}}, begin=False)
        self.addCleanup(apart.close)
        apart.tulle("up", apart.file, "--isolate", "--detach", seconds=120)
        self.addCleanup(apart.tulle, "down", check=False)
        self.assertIn("hello-1", apart.inside("hello-1", "curl", "-sS", "http://hello/").stdout)
        before = {name for name in namespaces()}
        apart.tulle("down")
        self.assertTrue(before - namespaces())


if __name__ == "__main__":
    unittest.main()
