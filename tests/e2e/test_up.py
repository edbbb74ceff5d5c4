"""`tulle up` and the commands beside it: a mesh comes up, is looked at and changed, and goes away entirely."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

from mesh import BUILD, PATIENCE, SANITIZER, Process, probes, wait_for
from tulle_up import alive, end_all

TULLE = os.path.join(BUILD, "bin", "tulle")

# Answers /health, /die (ends with status 3), /say?WORD, and /ask, which asks what ASK_URL names.
SERVICE = '''
import http.server, os, sys, urllib.request
class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = "hello from " + os.environ.get("TULLE_INSTANCE", "?")
        if self.path == "/die":
            print("I have had enough", flush=True)
            os._exit(3)
        if self.path == "/ask":
            text = urllib.request.urlopen(os.environ["HELLO_URL"] + "/").read().decode()
        if self.path.startswith("/say"):
            print(self.path[5:], flush=True)
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
'''


def listening(port):
    return probes.exchange(port, b"", seconds=1).error != "connection refused"


class UpCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(os.path.join(BUILD, "bin", "tulle-control-plane")):
            raise unittest.SkipTest("tulle-control-plane is not built")

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tulle-up-")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.folder, NO_COLOR="1")
        for name in ("TULLE_API", "TULLE_TOKEN_FILE", "TULLE_CA_FILE"):
            self.env.pop(name, None)
        self.ups = []
        with open(self.path("service.py"), "w") as out:
            out.write(SERVICE)

    def tearDown(self):
        evidence = end_all(self.ups)
        self.tulle("down")
        for folder, _, files in os.walk(self.folder):
            for name in files:
                if name.endswith(".log"):
                    with open(os.path.join(folder, name), errors="replace") as content:
                        text = content.read()
                    if SANITIZER.search(text):
                        evidence += name + ":\n" + text[-4000:]
        shutil.rmtree(self.folder)
        self.assertEqual("", evidence)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as out:
            out.write(textwrap.dedent(text))
        return self.path(name)

    def mesh_file(self, name="hello", more=""):
        python = json.dumps([sys.executable, "service.py"])
        return self.write(name + ".yaml", """
            name: %s
            services:
              hello: {command: %s, port: 80, replicas: 2, health: /health}
              front: {command: %s, port: 8080, health: /health, calls: [hello]}
            %s
            """ % (name, python, python, more))

    def tulle(self, *arguments, stdin=None):
        done = subprocess.run([TULLE, *arguments], env=self.env, input=stdin, stdout=subprocess.PIPE, cwd=self.folder,
                              stderr=subprocess.PIPE, text=True, timeout=90)
        self.assertIsNone(SANITIZER.search(done.stderr), done.stderr)
        return done

    def up(self, file, *arguments, ready=True):
        up = Process("up-%d" % len(self.ups), [TULLE, "up", file, *arguments], self.folder, self.env, own_session=True)
        self.ups.append(up)
        if ready:
            up.wait_for_line(r"(\d+) of \1 instances are up", 60, "out")
        return up

    def status(self, mesh=""):
        return json.loads(self.tulle("status", *([mesh] if mesh else []), "--output", "json").stdout)

    def instance(self, name, mesh=""):
        return next(one for one in self.status(mesh)["instances"] if one["name"] == name)

    def wait_synced(self, mesh=""):
        wait_for(lambda: all(one["sync"] == "synced" for one in self.status(mesh)["instances"]),
                 lambda: "synced: %s" % self.status(mesh), PATIENCE)

    def everything(self, mesh=""):
        """All processes and ports of a mesh, for when it is gone."""
        self.wait_synced(mesh)  # inbound ports open with the configuration
        status = self.status(mesh)
        instances = status["instances"]
        pids = [one[key] for one in instances for key in ("pid", "sidecarPid")] + [status["controlPlane"]["pid"]]
        ports = [one[key] for one in instances for key in ("port", "inboundPort", "outboundPort", "adminPort")]
        ports += [int(status["controlPlane"][key].rpartition(":")[2]) for key in ("api", "xds")]
        self.assertTrue(all(alive(pid) for pid in pids), status)
        self.assertTrue(all(listening(port) for port in ports), status)
        return pids, ports

    def assert_gone(self, everything):
        pids, ports = everything
        wait_for(lambda: not any(alive(pid) for pid in pids), lambda: "still there: %r" % [p for p in pids if alive(p)], PATIENCE)
        # A killed process closes its sockets when the last of its threads has ended.
        wait_for(lambda: not any(listening(port) for port in ports),
                 lambda: "still open: %r" % [port for port in ports if listening(port)], PATIENCE)


class Up(UpCase):
    def test_a_mesh_comes_up_serves_and_goes_away(self):
        up = self.up(self.mesh_file())
        self.wait_synced()
        front = self.instance("front-1")
        answer = wait_for(lambda: probes.get(front["port"], "/ask"), "an answer", PATIENCE)
        self.assertEqual(200, answer.status, answer.body)
        self.assertRegex(answer.body.decode(), "hello from hello-[12]")
        self.assertNotIn("\033", up.out, "colour and cursor movements belong on a terminal")
        everything = self.everything()
        self.assertEqual("spiffe://mesh.local/ns/default/sa/front", front["identity"])
        table = self.tulle("status")
        self.assertEqual(0, table.returncode, table.stdout)
        self.assertRegex(table.stdout, r"front-1 +up +synced +127.0.0.1:\d+ +0 +\d+\w left +spiffe://")
        up.signal(signal.SIGINT)
        self.assertEqual(0, up.wait(60), up.evidence())
        self.assertIn("mesh hello is down", up.out)
        self.assert_gone(everything)
        self.assertEqual(["lock", "logs"], sorted(os.listdir(self.path(".tulle/hello"))))
        self.assertEqual(3, self.tulle("status").returncode)

    def test_in_the_background_until_down(self):
        done = self.tulle("up", self.mesh_file(), "--detach")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn("mesh hello: 3 of 3 instances are up", done.stdout)
        everything = self.everything()
        down = self.tulle("down", "hello.yaml")
        self.assertEqual((0, "mesh hello is down\n"), (down.returncode, down.stdout), down.stderr)
        self.assert_gone(everything)
        again = self.tulle("down")
        self.assertEqual(3, again.returncode)
        self.assertIn("no mesh is up", again.stderr)

    def test_a_second_one_says_so_and_one_beside_it_works(self):
        file = self.mesh_file()
        self.up(file)
        second = self.tulle("up", file)
        self.assertEqual(1, second.returncode)
        self.assertIn("mesh hello is already up", second.stderr)
        self.assertIn("tulle down hello", second.stderr)
        self.up(file, "--name", "other")
        which = self.tulle("status")
        self.assertEqual(3, which.returncode)
        self.assertIn("several meshes are up", which.stderr)
        self.assertEqual("up", self.status("hello")["phase"])
        self.assertEqual("up", self.status("other")["phase"])

    def test_killed_it_leaves_nothing(self):
        up = self.up(self.mesh_file())
        everything = self.everything()
        up.signal(signal.SIGKILL)
        up.wait()
        self.assert_gone(everything)
        self.up(self.mesh_file())

    def test_what_dies_is_reported_and_started_again(self):
        up = self.up(self.mesh_file())
        before = self.instance("hello-1")
        with self.assertRaises(OSError):
            probes.get(before["port"], "/die")
        up.wait_for_line(r"hello-1 +\| died: status 3; starts again in 0.5 s; its last lines:", PATIENCE, "out")
        up.wait_for_line(r"hello-1 +\|   \| I have had enough", PATIENCE, "out")
        after = wait_for(lambda: (lambda one: one if one["state"] == "up" and one["restarts"] == 1 else None)
                         (self.instance("hello-1")), "hello-1 is up again", PATIENCE)
        self.assertNotEqual(before["pid"], after["pid"])
        self.assertEqual(before["port"], after["port"])

    def test_control_plane_and_sidecars_are_started_again_too(self):
        up = self.up(self.mesh_file())
        self.wait_synced()
        status = self.status()
        os.kill(status["controlPlane"]["pid"], signal.SIGKILL)
        up.wait_for_line(r"control-plane +\| up again", PATIENCE, "out")
        os.kill(self.instance("front-1")["sidecarPid"], signal.SIGKILL)
        up.wait_for_line(r"front-1.sidecar +\| up again", PATIENCE, "out")
        self.wait_synced()
        wait_for(lambda: probes.get(self.instance("front-1")["port"], "/ask").status == 200, "an answer", PATIENCE)

    def test_restart_never_and_a_port_in_use(self):
        other = json.dumps([sys.executable, "-c", "print('once'); raise SystemExit(4)"])
        busy = json.dumps([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(self.busy_port())])
        file = self.write("odd.yaml", """
            name: odd
            services:
              once: {command: %s, port: 80, restart: never}
              busy: {command: %s, port: 81}
            """ % (other, busy))
        up = self.up(file, ready=False)
        up.wait_for_line(r"once-1 +\| died: status 4; is not started again \(restart: never\)", 60, "out")
        up.wait_for_line(r"busy-1 +\| died: status 1; starts again", 60, "out")
        self.assertRegex(up.out, r"Address already in use")
        self.assertEqual(1, self.tulle("status").returncode)

    def busy_port(self):
        import socket
        holder = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        return holder.getsockname()[1]

    def test_nothing_is_started_from_a_file_with_problems(self):
        file = self.write("bad.yaml", """
            name: bad
            services:
              a: {command: [no-such-program-anywhere], port: 80}
              b: {command: [python3], ports: 80}
            polices: []
            """)
        done = self.tulle("up", file)
        self.assertEqual(2, done.returncode)
        for text in ("services.b.port: is missing", 'ports: is not a field here; did you mean "port"?',
                     'did you mean "policies"?', "bad.yaml:5:"):
            self.assertIn(text, done.stderr)
        file = self.write("missing.yaml", """
            name: missing
            services:
              a: {command: [no-such-program-anywhere], port: 80}
              b: {command: [python3], port: 80, directory: nowhere}
            policies: [nowhere.yaml]
            """)
        done = self.tulle("up", file)
        self.assertEqual(2, done.returncode)
        for text in ("services.a.command: no-such-program-anywhere: no such program in PATH", "nowhere: no such directory",
                     "nowhere.yaml: No such file"):
            self.assertIn(text, done.stderr)
        self.assertFalse(os.path.exists(self.path(".tulle")))


ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s}
spec:
  parentRefs: [{kind: Service, group: "", name: hello}]
  rules:
    - backendRefs: [{name: %s, port: 80}]
"""


class Documents(UpCase):
    def test_apply_get_and_delete(self):
        self.up(self.mesh_file())
        self.assertRegex(self.tulle("get", "services").stdout, r"NAME +PORTS +SELECTOR +AGE\nfront +http:8080")
        self.write("routes/one.yaml", ROUTE % ("one", "hello"))
        done = self.tulle("apply", "-f", "routes")
        self.assertEqual((0, "HTTPRoute default/one created\n"), (done.returncode, done.stdout), done.stderr)
        done = self.tulle("apply", "-f", "routes")
        self.assertEqual((0, "HTTPRoute default/one unchanged\n"), (done.returncode, done.stdout), done.stderr)
        self.assertRegex(self.tulle("get", "httproutes").stdout, r"one +hello +-> hello")
        shown = self.tulle("get", "route", "one", "-o", "json")
        self.assertEqual("one", json.loads(shown.stdout)["metadata"]["name"])
        back = self.tulle("apply", "-f", "-", stdin=shown.stdout)
        self.assertEqual(0, back.returncode, back.stderr)
        self.assertRegex(self.tulle("get", "workloads").stdout, r"hello\S* +hello +127.0.0.1")
        done = self.tulle("delete", "route", "one")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(1, self.tulle("delete", "route", "one").returncode)

    def test_refusals_name_what_is_wrong(self):
        self.up(self.mesh_file())
        self.write("bad/a.yaml", ROUTE.replace("parentRefs", "parentRef") % ("a", "hello"))
        self.write("bad/b.yaml", ROUTE % ("b", "hello") + "---\nkind: Service\n")
        done = self.tulle("apply", "-f", "bad")
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, r"a\.yaml.*parentRef\b")
        self.assertRegex(done.stderr, r"b\.yaml.*document 2")
        dangling = self.tulle("apply", "-f", "-", stdin=ROUTE % ("c", "nobody"))
        self.assertEqual(1, dangling.returncode, dangling.stdout)
        self.assertRegex(dangling.stderr, r"HTTPRoute default/c is refused(.|\n)*backendRefs\[0\]")
        self.assertEqual(2, self.tulle("get", "rotes").returncode)

    def test_a_policy_that_is_refused_ends_the_start(self):
        self.write("policies/route.yaml", ROUTE % ("c", "nobody"))
        up = self.up(self.mesh_file(more="policies: [policies]"), ready=False)
        self.assertEqual(1, up.wait(60))
        self.assertRegex(up.out, r"HTTPRoute default/c: (.|\n)*backendRefs\[0\]")


class Looking(UpCase):
    def test_logs(self):
        self.up(self.mesh_file())
        probes.get(self.instance("hello-2")["port"], "/say?something")
        wait_for(lambda: "something" in self.tulle("logs", "hello").stdout, "the line", PATIENCE)
        self.assertRegex(self.tulle("logs", "hello").stdout, r"hello-2 \| something")
        self.assertNotIn("something", self.tulle("logs", "front").stdout)
        self.assertRegex(self.tulle("logs", "--sidecars", "front").stdout, r"front-1.sidecar \| .*listening")
        follow = Process("logs", [TULLE, "logs", "-f"], self.folder, self.env)
        try:
            probes.get(self.instance("front-1")["port"], "/say?later")
            follow.wait_for_line(r"front-1 \| later", PATIENCE, "out")
        finally:
            follow.stop()
        self.assertEqual(1, self.tulle("logs", "nobody").returncode)

    def test_help_version_and_wrong_usage(self):
        self.assertRegex(self.tulle("--version").stdout, r"^tulle \d+\.\d+\.\d+\n$")
        text = self.tulle("--help").stdout
        for command in ("up", "down", "status", "apply", "get", "delete", "logs"):
            self.assertRegex(text, r"\n  %s +\S" % command)
            one = self.tulle(command, "--help")
            self.assertEqual(0, one.returncode)
            self.assertRegex(one.stdout, r"Example")
        self.assertIn("Exit codes", text)
        for arguments in ([], ["nonsense"], ["up"], ["get", "services", "--output", "xml"]):
            self.assertEqual(2, self.tulle(*arguments).returncode, arguments)

    def test_nobody_to_ask(self):
        done = self.tulle("get", "services")
        self.assertEqual(3, done.returncode)
        self.assertIn("tulle up FILE", done.stderr)
        self.write("token", "x\n")
        self.env.update(TULLE_API="http://127.0.0.1:1", TULLE_TOKEN_FILE=self.path("token"))
        done = self.tulle("get", "services")
        self.assertEqual(3, done.returncode)
        self.assertIn("cannot be reached", done.stderr)
        self.env["TULLE_API"] = "http://192.0.2.1:80"
        self.assertRegex(self.tulle("get", "services").stderr, "would travel in clear")


if __name__ == "__main__":
    unittest.main()
