"""`tulle intercept` in network namespaces: what the kernel does with its rules, no sidecar involved.

Two namespaces joined by a veth pair: `pod`, where the rules are, and `far`. Listeners stand where a
sidecar would and say which destination a connection had before it was redirected.
"""
import json
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mesh  # noqa: E402

TULLE = os.path.join(mesh.BUILD, "bin", "tulle")
PROXY = 2102
APPLICATION = 1000

# Listens on each port given and tells every caller, in one JSON line, what it knows of the connection.
LISTENERS = r"""
import json, selectors, socket, struct, sys
selector = selectors.DefaultSelector()
for port in sys.argv[1].split(","):
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "transparent" in sys.argv[2:]:
        listener.setsockopt(socket.IPPROTO_IPV6, 75, 1)  # IPV6_TRANSPARENT
    listener.bind(("::", int(port)))
    listener.listen(64)
    selector.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
def original(taken):
    try:
        raw = taken.getsockopt(socket.SOL_IP, 80, 16)
        return "%s:%d" % (socket.inet_ntoa(raw[4:8]), struct.unpack("!H", raw[2:4])[0])
    except OSError:
        pass
    try:
        raw = taken.getsockopt(socket.IPPROTO_IPV6, 80, 28)
        return "[%s]:%d" % (socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0])
    except OSError:
        return None
while True:
    for key, _ in selector.select():
        taken, caller = key.fileobj.accept()
        here = taken.getsockname()
        taken.sendall(json.dumps({"port": key.fileobj.getsockname()[1], "original": original(taken),
                                  "caller": caller[0].replace("::ffff:", ""),
                                  "local": here[0].replace("::ffff:", "")}).encode() + b"\n")
        taken.close()
"""
CALL = r"""
import socket, sys
source = (sys.argv[3], 0) if len(sys.argv) > 3 else None
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, source) as call:
    print(call.makefile().readline(), end="")
"""


# Our chains, ::6, and table 133 or mark 1337; not the link's own address, which is random and may have these
# digits within.
OURS = re.compile(r"TULLE|tulle|(?<![\w:])::6\b|(?<![\w:])133\d?\b")


def needs():
    if os.geteuid() != 0:
        raise unittest.SkipTest("network namespaces need root")
    for program in ("ip", "nft", "iptables", "setpriv"):
        mesh.program(program)
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        raise unittest.SkipTest("network namespaces cannot be made here")


def run(*command, check=True):
    end = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and end.returncode != 0:
        raise AssertionError("%s: %s%s" % (" ".join(command), end.stdout, end.stderr))
    return end


class Namespaces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        needs()
        cls.pod = "tulle-pod-%d" % os.getpid()
        cls.far = "tulle-far-%d" % os.getpid()
        cls.children = []
        for name in (cls.pod, cls.far):
            run("ip", "netns", "add", name)
            cls.addClassCleanup(run, "ip", "netns", "del", name, check=False)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", cls.pod, "type", "veth", "peer", "name", "eth0", "netns", cls.far)
        for name, last in ((cls.pod, 2), (cls.far, 3)):
            run("ip", "-n", name, "address", "add", "10.9.0.%d/24" % last, "dev", "eth0")
            run("ip", "-n", name, "address", "add", "fd99::%d/64" % last, "dev", "eth0", "nodad")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        cls.listen(cls.pod, "8080,9090,15001,15006,15021")
        cls.listen(cls.far, "7000,7001")

    @classmethod
    def listen(cls, where, ports, *options):
        child = subprocess.Popen(["ip", "netns", "exec", where, sys.executable, "-c", LISTENERS, ports, *options],
                                 stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(child.stdout.close)
        cls.addClassCleanup(child.wait)
        cls.addClassCleanup(child.kill)
        if child.stdout.readline() != "ready\n":
            raise AssertionError("no listeners")

    def tulle(self, *arguments, check=True):
        return run("ip", "netns", "exec", self.pod, TULLE, "intercept", *arguments, check=check)

    def tearDown(self):
        self.tulle("remove")

    def call(self, where, user, address, port, *source):
        end = run("ip", "netns", "exec", where, "setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups",
                  sys.executable, "-c", CALL, address, str(port), *source)
        return json.loads(end.stdout)

    def state(self):
        """All that removal has to restore, without counters."""
        said = [run("ip", "netns", "exec", self.pod, *command).stdout for command in
                (["nft", "list", "ruleset"], ["ip", "rule"], ["ip", "-6", "rule"], ["ip", "address", "show", "lo"],
                 ["ip", "route", "show", "table", "all"], ["ip", "-6", "route", "show", "table", "all"])]
        # What iptables-nft has used once stays behind as empty base chains; they do nothing.
        lines = [line for text in said for line in text.splitlines()]
        return [line for line in lines if OURS.search(line)]


class Redirect(Namespaces):
    def everything(self):
        pod, far = self.pod, self.far
        for own, other in (("10.9.0.2", "10.9.0.3"), ("fd99::2", "fd99::3")):
            def written(address, port):
                return ("[%s]:%d" if ":" in address else "%s:%d") % (address, port)
            with self.subTest(own=own):
                taken = self.call(far, APPLICATION, own, 8080)
                self.assertEqual((15006, written(own, 8080)), (taken["port"], taken["original"]), "inbound is taken")
                self.assertEqual(15021, self.call(far, APPLICATION, own, 15021)["port"], "health is not")
                taken = self.call(pod, APPLICATION, other, 7000)
                self.assertEqual((15001, written(other, 7000)), (taken["port"], taken["original"]), "outbound is taken")
                self.assertEqual(7000, self.call(pod, PROXY, other, 7000)["port"], "the sidecar's own calls are not")
                loopback = "::1" if ":" in own else "127.0.0.1"
                self.assertEqual(8080, self.call(pod, APPLICATION, loopback, 8080)["port"], "loopback is not")
                self.assertEqual(8080, self.call(pod, APPLICATION, own, 8080)["port"], "nor the application to itself")
                self.assertEqual(8080, self.call(pod, PROXY, loopback, 8080)["port"])
                self.assertEqual(15006, self.call(pod, PROXY, own, 8080)["port"],
                                 "a sidecar that chose its own instance passes its inbound side")
                delivery = "::6" if ":" in own else "127.0.0.6"
                self.assertEqual(8080, self.call(pod, PROXY, own, 8080, delivery)["port"], "delivery reaches the application")
                direct = self.call(far, APPLICATION, own, 15006)
                self.assertIn(direct["original"], (None, written(own, 15006)), "a direct call names the proxy itself")

    def test_nft(self):
        self.assertIn("installed", self.tulle("install", "--backend", "nft").stdout)
        self.everything()

    def test_iptables(self):
        self.tulle("install", "--backend", "iptables")
        self.everything()

    def test_twice_is_once_and_removal_restores(self):
        before = self.state()
        self.assertEqual([], before)
        for backend in ("nft", "iptables", "nft"):
            with self.subTest(backend=backend):
                self.tulle("install", "--backend", backend)
                once = self.state()
                self.assertNotEqual([], once)
                self.assertIn("already in place", self.tulle("install", "--backend", backend).stdout)
                self.assertEqual(once, self.state())
        shown = json.loads(self.tulle("show", "--output", "json").stdout)
        self.assertTrue(shown["installed"])
        self.assertEqual("", shown["iptables"], "the other backend's rules are gone")
        self.tulle("remove")
        self.assertEqual(before, self.state())
        self.assertIn("nothing to remove", self.tulle("remove").stdout)
        self.assertIn("nothing is intercepted", self.tulle("show").stdout)

    def test_exclusions(self):
        for backend in ("nft", "iptables"):
            with self.subTest(backend=backend):
                self.tulle("install", "--backend", backend, "--exclude-inbound-ports", "22,9000-9100",
                           "--exclude-outbound-ports", "7001", "--exclude-user", "1001",
                           "--exclude-outbound-ranges", "fd99::/16")
                self.assertEqual(9090, self.call(self.far, APPLICATION, "10.9.0.2", 9090)["port"])
                self.assertEqual(15006, self.call(self.far, APPLICATION, "10.9.0.2", 8080)["port"])
                self.assertEqual(7001, self.call(self.pod, APPLICATION, "10.9.0.3", 7001)["port"])
                self.assertEqual(15001, self.call(self.pod, APPLICATION, "10.9.0.3", 7000)["port"])
                self.assertEqual(7000, self.call(self.pod, 1001, "10.9.0.3", 7000)["port"])
                self.assertEqual(7000, self.call(self.pod, APPLICATION, "fd99::3", 7000)["port"])

    def test_dry_run_changes_nothing(self):
        for backend, program in (("nft", "nft -f -"), ("iptables", "iptables-restore --noflush")):
            said = self.tulle("install", "--backend", backend, "--dry-run").stdout
            self.assertIn(program, said)
        self.assertEqual([], self.state())
        self.tulle("install")
        before = self.state()
        self.assertIn("delete table inet tulle", self.tulle("remove", "--dry-run").stdout)
        self.assertEqual(before, self.state())

    def test_wrong_options_are_all_named(self):
        end = self.tulle("install", "--proxy-user", "0", "--exclude-inbound-ports", "99999", check=False)
        self.assertEqual(2, end.returncode)
        self.assertIn("root", end.stderr)
        self.assertIn("99999", end.stderr)
        self.assertEqual([], self.state())


class Tproxy(Namespaces):

    def test_callers_keep_their_address(self):
        # A second pair of ports, because a listener is transparent or it is not.
        self.listen(self.pod, "16006", "transparent")
        for backend in ("nft", "iptables"):
            with self.subTest(backend=backend):
                self.tulle("install", "--tproxy", "--backend", backend, "--inbound-port", "16006")
                for own, other in (("10.9.0.2", "10.9.0.3"), ("fd99::2", "fd99::3")):
                    taken = self.call(self.far, APPLICATION, own, 8080)
                    self.assertEqual((16006, other, own), (taken["port"], taken["caller"], taken["local"]))
                    self.assertEqual(15001, self.call(self.pod, APPLICATION, other, 7000)["port"])
                    self.assertEqual(7000, self.call(self.pod, PROXY, other, 7000)["port"])
                    self.assertEqual(8080, self.call(self.pod, APPLICATION, own, 8080)["port"])
                self.assertIn("already in place",
                              self.tulle("install", "--tproxy", "--backend", backend, "--inbound-port", "16006").stdout)
                self.tulle("remove")
                self.assertEqual([], self.state())

    def test_delivery_with_the_callers_address(self):
        """The sidecar may connect to the application as the caller; the answer comes back to it."""
        speak = ("import socket,sys\ns=socket.socket()\ns.setsockopt(0,19,1)\ns.settimeout(5)\ns.bind(('10.9.0.3',0))\n"
                 "s.connect(('10.9.0.2',8080))\nprint(s.makefile().readline(),end='')")
        for backend in ("nft", "iptables"):
            with self.subTest(backend=backend):
                self.tulle("install", "--tproxy", "--backend", backend)
                end = run("ip", "netns", "exec", self.pod, "setpriv", "--reuid", str(PROXY), "--clear-groups",
                          "--inh-caps", "+net_admin", "--ambient-caps", "+net_admin", sys.executable, "-c", speak)
                seen = json.loads(end.stdout)
                self.assertEqual((8080, "10.9.0.3"), (seen["port"], seen["caller"]))


if __name__ == "__main__":
    unittest.main()
