"""Meshes of `tulle up --isolate`: what their stories start, ask and look at.

Everything happens in network namespaces that `tulle` makes and removes; nothing here touches the network of
the machine. Needs root, and says so.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mesh  # noqa: E402
from tulle_up import end_all  # noqa: E402

TULLE = os.path.join(mesh.BUILD, "bin", "tulle")
NAMES = "/run/netns"
SIDECAR_USER = 2102

# A service of the tests: says who it is, what reached it, and asks others. Listens on every address.
SERVICE = r'''
import http.server, json, os, socket, sys, urllib.request
class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/ask?"):
            text = urllib.request.urlopen(self.path[5:], timeout=20).read().decode()
        else:
            text = json.dumps({"instance": os.environ["TULLE_INSTANCE"], "caller": self.client_address[0].replace("::ffff:", ""),
                               "user": os.getuid(), "host": socket.gethostname(),
                               "proxy": [name for name in os.environ if name.lower().endswith("_proxy")]})
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", int(os.environ["PORT"])), Service).serve_forever()
'''


def needs(*programs):
    if os.geteuid() != 0:
        raise unittest.SkipTest("network namespaces need root")
    for program in ("ip", "nft", "setpriv", *programs):
        mesh.program(program)
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        raise unittest.SkipTest("network namespaces cannot be made here")


def namespaces():
    """Those that `tulle up` makes, of whichever run."""
    try:
        return {name for name in os.listdir(NAMES) if re.fullmatch(r"tulle-\d+-\d+", name)}
    except FileNotFoundError:
        return set()


def run(*command, check=True, seconds=60, **more):
    end = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds, **more)
    if check and end.returncode != 0:
        raise AssertionError("%s ended with %d\n%s%s" % (" ".join(map(str, command)), end.returncode, end.stdout, end.stderr))
    return end


class Isolated:
    """One mesh. close() ends it and fails when something of it is left, or a sanitizer has spoken."""

    def __init__(self, services, *arguments, name="apart", begin=True):
        self.folder = tempfile.mkdtemp(prefix="tulle-apart-")
        os.chmod(self.folder, 0o755)  # applications have users of their own
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.folder, NO_COLOR="1", http_proxy="http://127.0.0.1:9")
        for variable in ("TULLE_API", "TULLE_TOKEN_FILE", "TULLE_CA_FILE", "SUDO_UID"):
            self.env.pop(variable, None)
        self.write("service.py", SERVICE)
        self.file = self.write("mesh.yaml", json.dumps({"name": name, "access_log": "all", "services": services(self)
                                                        if callable(services) else services}))
        self.ups = []
        if begin:
            self.start(*arguments)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as out:
            out.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def start(self, *arguments):
        up = mesh.Process("up-%d" % len(self.ups), [TULLE, "up", self.file, "--isolate", "--sidecar-logs", *arguments],
                          self.folder, self.env, own_session=True)
        self.ups.append(up)
        self.up = up
        try:
            up.wait_for_line(r"(\d+) of \1 instances are up", 120, "out")
            self.wait_synced()
        except BaseException:
            self.end()
            raise

    def tulle(self, *arguments, check=True, **more):
        return run(TULLE, *arguments, check=check, env=self.env, cwd=self.folder, **more)

    def inside(self, instance, *command, check=True, **more):
        """What an application beside that instance would see: its user, its network, its names."""
        return self.tulle("exec", instance, "--", *command, check=check, **more)

    def as_sidecar(self, instance, *command, check=True):
        return self.tulle("exec", "--sidecar", instance, "--", *command, check=check)

    def status(self):
        return json.loads(self.tulle("status", "--output", "json", check=False).stdout)

    def wait_synced(self):
        mesh.wait_for(lambda: all(one["sync"] == "synced" for one in self.status()["instances"]),
                      lambda: "synced: %s" % self.status(), mesh.PATIENCE)

    def instance(self, name):
        return next(one for one in self.status()["instances"] if one["name"] == name)

    def hub(self):
        return self.status()["controlPlane"]["networkNamespace"]

    def addresses(self, name):
        """IPv4 and IPv6 of a service, as the applications know them."""
        with open(os.path.join(self.folder, ".tulle", self.status()["name"], "instances", "hosts")) as hosts:
            found = [line.split()[0] for line in hosts if name in line.split()[1:]]
        return found

    def own_addresses(self, instance):
        """IPv4 and IPv6 of an instance."""
        where = self.instance(instance)["networkNamespace"]
        links = json.loads(run("ip", "-n", where, "-j", "address", "show", "dev", "eth0", "scope", "global").stdout)
        return sorted((one["local"] for link in links for one in link.get("addr_info", ()) if "local" in one),
                      key=lambda ip: ":" in ip)

    def log(self, process):
        with open(os.path.join(self.folder, ".tulle", "apart", "logs", process + ".log"), errors="replace") as content:
            return content.read()

    def end(self):
        """Ends what runs; returns what sanitizers have said."""
        return end_all(self.ups)

    def close(self):
        said = self.end()
        left = [name for name in namespaces() if int(name.split("-")[1]) in [up.pid for up in self.ups]]
        shutil.rmtree(self.folder)
        if said:
            raise AssertionError(said)
        if left:
            raise AssertionError("left behind: %s" % left)
