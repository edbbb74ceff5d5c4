"""Captured traffic, for real: two instances in network namespaces of their own, with the rules of `tulle intercept` and
a sidecar each, under a control plane. The applications know nothing of any of it.
"""
import ctypes
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from control_plane import ControlPlane, document  # noqa: E402
from mesh import BUILD, PATIENCE, SIDECAR, Process, SharedMeshCase, program  # noqa: E402

TULLE = os.path.join(BUILD, "bin", "tulle")
PROXY = 2102
APPLICATION = 1000
CLONE_NEWNET = 0x40000000

# HTTP on 8080, a server that speaks first on 6379, one that nobody has declared on 9999.
SERVER = r"""
import http.server, json, socket, socketserver, threading
class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"caller": self.client_address[0].replace("::ffff:", ""), "host": self.headers["host"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *ignored):
        pass
class Greets(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"hello " + self.client_address[0].replace("::ffff:", "").encode() + b"\n")
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True
for port, what in ((8080, Pages), (6379, Greets), (9999, Greets)):
    threading.Thread(target=Server(("::", port), what).serve_forever).start()
print("ready", flush=True)
"""
# Says the words given, if any, and prints all that comes back, or how it ended.
CALL = r"""
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as call:
        if len(sys.argv) > 3:
            call.sendall(sys.argv[3].encode())
            call.shutdown(socket.SHUT_WR)
        else:
            print(call.makefile().readline(), end="")
            call.sendall(b"and back")
            call.shutdown(socket.SHUT_WR)
        while data := call.recv(65536):
            print(data.decode(), end="")
except OSError as problem:
    print("ended:", type(problem).__name__)
"""
REQUEST = "GET / HTTP/1.1\r\nHost: whatever\r\nConnection: close\r\n\r\n"


def run(*command, check=True):
    end = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and end.returncode != 0:
        raise AssertionError("%s: %s%s" % (" ".join(command), end.stdout, end.stderr))
    return end


def enter_new_namespace(case):
    """This process moves to a network of its own until the tests are over; children begin there."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("network namespaces need root")
    for name in ("ip", "nft", "setpriv"):
        program(name)
    libc = ctypes.CDLL(None, use_errno=True)
    former = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) != 0:
        os.close(former)
        raise unittest.SkipTest("network namespaces cannot be made here")
    case.addClassCleanup(os.close, former)
    case.addClassCleanup(libc.setns, former, CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "hub", "type", "bridge")
    run("ip", "address", "add", "10.9.0.1/24", "dev", "hub")
    run("ip", "address", "add", "fd99::1/64", "dev", "hub", "nodad")
    run("ip", "link", "set", "hub", "up")


class Instance:
    """A network namespace with a sidecar, and the rules that bring its traffic there."""

    def __init__(self, case, mesh, control_plane, name, last, ports=(), **capture):
        self.name, self.mesh = name, mesh
        self.namespace = "tulle-%s-%d" % (name, os.getpid())
        self.ip, self.ip6 = "10.9.0.%d" % last, "fd99::%d" % last
        run("ip", "netns", "add", self.namespace)
        case.addClassCleanup(run, "ip", "netns", "del", self.namespace, check=False)
        near = "to-" + name
        run("ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        run("ip", "link", "set", near, "master", "hub", "up")
        for words in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                      ["address", "add", self.ip + "/24", "dev", "eth0"],
                      ["address", "add", self.ip6 + "/64", "dev", "eth0", "nodad"],
                      ["route", "add", "default", "via", "10.9.0.1"],
                      ["-6", "route", "add", "default", "via", "fd99::1"]):
            run("ip", "-n", self.namespace, *words)
        self.start_sidecar(control_plane, ports, capture)
        tproxy = ["--tproxy"] if capture.get("transparent") else []
        run(*self.inside(), TULLE, "intercept", "install", *tproxy)

    def inside(self, user=None):
        command = ["ip", "netns", "exec", self.namespace]
        if user is not None:
            command += ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
        return command

    def start_sidecar(self, control_plane, ports, capture):
        folder = self.mesh.path(self.name)
        os.makedirs(folder)
        answer = control_plane.ask("POST", "/v1/tokens", {"namespace": "default", "service": self.name})
        with open(os.path.join(folder, "token"), "w", encoding="utf-8") as out:
            out.write(answer.json["token"])
        with open(control_plane.trust_bundle, encoding="utf-8") as trust, \
                open(os.path.join(folder, "root.pem"), "w", encoding="utf-8") as out:
            out.write(trust.read())
        config = os.path.join(folder, "sidecar.json")
        with open(config, "w", encoding="utf-8") as out:
            json.dump({
                "node": {"id": self.name}, "admin": {"address": "127.0.0.1", "port": 15000}, "workers": 1,
                "access_log": {"filter": "all"},
                "control_plane": {"address": control_plane.endpoints["xds"].split("//")[-1], "trust_bundle": "root.pem"},
                "identity": {"trust_domain": "mesh.local", "directory": "identity", "join_token_file": "token"},
                "workload": {"service": self.name, "address": self.ip, "capture": capture,
                             "ports": [{"name": name, "port": port, "app_protocol": protocol}
                                       for name, port, protocol in ports]}}, out)
        for entry in (folder, *(os.path.join(folder, each) for each in os.listdir(folder))):
            os.chown(entry, PROXY, PROXY)
        os.chmod(self.mesh.folder, 0o711)
        # TPROXY needs a capability for its sockets.
        rights = ["--inh-caps", "+net_admin", "--ambient-caps", "+net_admin"] if capture.get("transparent") else []
        self.sidecar = Process(self.name + ".sidecar", [*self.inside(PROXY), *rights, SIDECAR, "--config", config], folder)
        self.sidecar.may_end_with = (0,)
        self.mesh.processes.append(self.sidecar)
        self.sidecar.wait_for(self.ready, "the sidecar is ready", PATIENCE)

    def ready(self):
        asked = run(*self.inside(), sys.executable, "-c",
                    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:15000/ready', timeout=2).status)", check=False)
        return asked.stdout == "200\n"

    def log(self):
        return [json.loads(line) for line in self.sidecar.out.splitlines() if line.startswith("{")]

    def call(self, address, port, *words):
        return run(*self.inside(APPLICATION), sys.executable, "-c", CALL, address, str(port), *words).stdout


class Captured(SharedMeshCase):
    callee_capture = {}

    @classmethod
    def start(cls, mesh):
        enter_new_namespace(cls)
        cls.control_plane = ControlPlane("control-plane", mesh.folder, xds={"address": "10.9.0.1:0"}).wait_ready()
        mesh.processes.append(cls.control_plane)
        ports = [("http", 8080, "http"), ("redis", 6379, "redis")]
        cls.kitchen = Instance(cls, mesh, cls.control_plane, "kitchen", 3, ports, **cls.callee_capture)
        cls.web = Instance(cls, mesh, cls.control_plane, "web", 2)
        server = mesh.process("server", [*cls.kitchen.inside(APPLICATION), sys.executable, "-c", SERVER])
        server.wait_for_line("ready", PATIENCE, "out")
        answer = cls.control_plane.put(document("Service", "kitchen", {
            "clusterIPs": ["10.96.0.7", "fd00:96::7"],
            "ports": [{"name": "http", "port": 80, "appProtocol": "http"},
                      {"name": "redis", "port": 6379, "appProtocol": "redis"}]}))
        if answer.status >= 300:
            raise AssertionError(answer.body)

    def outside(self, address, port, *words):
        return run(sys.executable, "-c", CALL, address, str(port), *words).stdout

    def assert_mutual(self, **wanted):
        """Either side has a line with these members that names the other side."""
        for instance, member, service in ((self.web, "upstream_peer", "kitchen"), (self.kitchen, "peer", "web")):
            named = dict(wanted, **{member: "spiffe://mesh.local/ns/default/sa/" + service})
            instance.sidecar.wait_for(lambda: any(named.items() <= entry.items() for entry in instance.log()),
                                      "a line with %s" % named, PATIENCE)

    def test_requests_to_a_service(self):
        for address in ("10.96.0.7", "fd00:96::7"):
            with self.subTest(address):
                answer = self.web.call(address, 80, REQUEST)
                self.assertTrue(answer.startswith("HTTP/1.1 200"), answer)
                self.assertEqual({"caller": "127.0.0.6", "host": "whatever"}, json.loads(answer.splitlines()[-1]))

    def test_a_server_that_speaks_first(self):
        for address in ("10.96.0.7", "fd00:96::7"):
            with self.subTest(address):
                self.assertEqual("hello 127.0.0.6\nand back", self.web.call(address, 6379))
        self.assert_mutual(protocol="tcp")

    def test_an_instance_by_its_own_address(self):
        answer = self.web.call(self.kitchen.ip, 8080, REQUEST)
        self.assertTrue(answer.startswith("HTTP/1.1 200"), answer)
        self.assertEqual("hello 127.0.0.6\nand back", self.web.call(self.kitchen.ip, 6379))

    def test_an_instance_to_its_own_service(self):
        answer = self.kitchen.call("10.96.0.7", 80, REQUEST)
        self.assertTrue(answer.startswith("HTTP/1.1 200"), answer)
        self.assertIn('"caller": "127.0.0.6"', answer)

    def test_strict_refuses_what_comes_without_the_mesh(self):
        for address in (self.kitchen.ip, self.kitchen.ip6):
            for port in (8080, 6379, 9999):
                with self.subTest(address=address, port=port):
                    answer = self.outside(address, port, REQUEST)
                    self.assertTrue(answer.startswith("ended: "), answer)

    def test_outside_of_the_mesh(self):
        def serve(listening):
            return subprocess.Popen([sys.executable, "-c", SERVER.replace("8080", "8081").replace("6379", "6380")],
                                    stdout=listening, text=True)
        child = serve(subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual("ready\n", child.stdout.readline())
        self.assertIn('"caller": "10.9.0.2"', self.web.call("10.9.0.1", 8081, REQUEST))
        self.assertIn('"caller": "fd99::2"', self.web.call("fd99::1", 8081, REQUEST))
        self.assertEqual("hello 10.9.0.2\nand back", self.web.call("10.9.0.1", 6380))
        preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        self.assertEqual("hello 10.9.0.2\n" + preface.replace("\r\n", "\n"), self.web.call("10.9.0.1", 6380, preface),
                         "HTTP/2 is not translated on its way out")

    def test_a_direct_connection_does_not_loop(self):
        for port in (15001, 15006):
            for caller in (self.outside, self.web.call):
                for address in (self.kitchen.ip, self.kitchen.ip6):
                    answer = caller(address, port, REQUEST)
                    self.assertTrue(answer.startswith("ended: ") or answer == "" or "502" in answer, answer)
        for address in ("127.0.0.1", "::1", self.web.ip):
            self.assertTrue(self.web.call(address, 15001, REQUEST).startswith("ended: "), address)
        self.test_requests_to_a_service()


class Permissive(Captured):
    callee_capture = {"mtls": "permissive"}

    test_strict_refuses_what_comes_without_the_mesh = None

    def test_plaintext_is_let_through(self):
        for address, source in ((self.kitchen.ip, "127.0.0.6"), (self.kitchen.ip6, "::6")):
            with self.subTest(address):
                self.assertIn('"caller": "%s"' % source, self.outside(address, 8080, REQUEST))
                self.assertEqual("hello %s\nand back" % source, self.outside(address, 6379))
                self.assertEqual("hello %s\nand back" % source, self.outside(address, 9999), "nobody has declared it")


class Transparent(Captured):
    callee_capture = {"transparent": True}


if __name__ == "__main__":
    unittest.main()
