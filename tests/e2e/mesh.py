"""What the end-to-end stories are told with: sidecars, their configuration, and origins.

A Mesh owns a folder and everything started in it. close() ends all of it by process id and fails
when a sidecar did not end as it should: an exit status other than 0 after SIGTERM, or a report of a
sanitizer on its stderr.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import unittest

# What stories need besides is known here as well, so that they name one module.
from configuration import (INSPECTORS, TRUST_DOMAIN, TYPE, bootstrap, client_tls, cluster, host,  # noqa: F401
                           identity_files, listener, route, says, server_tls, sniffing_listener, spiffe, tcp_chain,
                           tcp_listener, transport_socket)
from curl import H1, H2, curl  # noqa: F401
from origin import Origin, pattern  # noqa: F401
from surroundings import BUILD, HERE, PATIENCE, ROOT, program  # noqa: F401
from meshkit import capture, probes  # noqa: F401
from meshkit.certificates import Authority
from meshkit.processes import Failure, Process, SidecarProcess, unused_port, wait_for  # noqa: F401

SIDECAR = os.path.join(BUILD, "bin", "tulle-sidecar")
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r"terminate called|assertion|Assertion")


class Sidecar(SidecarProcess):
    def __init__(self, name, config_path, folder, arguments=()):
        super().__init__(SIDECAR, name, config_path, folder, arguments=arguments)
        self.config_path = config_path
        self.may_end_with = (0,)

    @property
    def admin(self):
        return self.port("admin", PATIENCE)

    def ask_admin(self, path, method="GET", headers=None):
        return probes.get(self.admin, path, headers, method)

    def config(self):
        """The configuration in force, from /config."""
        return json.loads(self.ask_admin("/config").body)

    def wait_config(self, condition, what):
        return self.wait_for(lambda: condition(self.config()), what, PATIENCE)

    def ready(self):
        try:
            return self.ask_admin("/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self):
        self.wait_for(self.ready, "/ready answers 200", PATIENCE)
        return self

    def rewrite(self, document):
        """Replaces the configuration file by rename, as careful programs do."""
        replace_file(self.config_path, document if isinstance(document, str) else json.dumps(document, indent=1))

    def log(self, condition=lambda entry: True):
        """The access log entries on stdout for which the condition holds."""
        entries = []
        for line in self.out.splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    entries.append(json.loads(line))
        return [entry for entry in entries if condition(entry)]

    def wait_log(self, condition, count=1):
        """Access lines are written by a thread of their own, after the answer."""
        return self.wait_for(lambda: len(self.log(condition)) >= count and self.log(condition),
                             "%d access log line(s)" % count, PATIENCE)

    def metric(self, name, **labels):
        """The sum of all samples of a metric that carry the labels."""
        total = 0.0
        for line in self.ask_admin("/metrics").body.decode().splitlines():
            match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", line)
            if match and match.group(1) == name:
                have = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""))
                if all(have.get(key) == str(value) for key, value in labels.items()):
                    total += float(match.group(3))
        return total


def replace_file(path, text):
    temporary = path + ".new"
    with open(temporary, "w") as out:
        out.write(text)
    os.replace(temporary, path)


class Mesh:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tulle-e2e-")
        self.processes = []
        self.closers = []
        self._authority = None

    @property
    def authority(self):
        if self._authority is None:
            program("openssl")
            self._authority = Authority(os.path.join(self.folder, "certificates"))
        return self._authority

    def path(self, name):
        return os.path.join(self.folder, name)

    def leaf(self, account, **more):
        return self.authority.issue(account, spiffe(account), **more)

    def identity(self, account):
        return identity_files(self.leaf(account), self.authority.certificate)

    def write(self, name, document):
        path = self.path(name)
        replace_file(path, document if isinstance(document, str) else json.dumps(document, indent=1))
        return path

    def sidecar(self, name, document, config_path=None, ready=True, arguments=()):
        """Starts a sidecar with the document as its file and waits until it is ready."""
        path = config_path or self.write(name + ".json", document)
        sidecar = Sidecar(name, path, self.folder, arguments)
        self.processes.append(sidecar)
        return sidecar.wait_ready() if ready else sidecar

    def process(self, name, command, env=None, **more):
        process = Process(name, command, self.folder, env, **more)
        self.processes.append(process)
        return process

    def origin(self, name="origin"):
        origin = Origin(name)
        self.closers.append(origin.close)
        return origin

    def http2_origin(self, name="http2-origin", leaf=None):
        """A Node.js server: HTTP/2 without TLS, or with it when given a certificate."""
        arguments = [leaf.certificate, leaf.key, self.authority.certificate] if leaf else []
        process = self.process(name, [program("node"), os.path.join(HERE, "peers", "http2_origin.js"), *arguments])
        process.listening_port = int(process.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))
        return process

    def nginx(self, name="nginx", server="", listen="", http=""):
        """nginx with one server block, on a port that is bound before it starts and handed over."""
        binary = program("nginx")
        folder = self.path(name + ".d")
        os.makedirs(folder, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
            port = listening.getsockname()[1]
            config = self.write(name + ".conf", NGINX.format(folder=folder, port=port, listen=listen,
                                                             server=server, http=http))
            # How nginx receives open sockets when it upgrades itself; port 0 it does not accept.
            env = dict(os.environ, NGINX="%d;" % listening.fileno())
            process = self.process(name, [binary, "-p", folder, "-c", config, "-e", "stderr"], env,
                                   pass_fds=(listening.fileno(),))
            process.listening_port = port
            process.wait_for(lambda: reachable(port) and os.path.exists(os.path.join(folder, "nginx.pid")),
                             "nginx accepts connections", PATIENCE)
        return process

    def reserved_port(self):
        """A port on which connections are refused for as long as the mesh exists."""
        reserved = socket.socket()
        reserved.bind(("127.0.0.1", 0))
        self.closers.append(reserved.close)
        return reserved.getsockname()[1]

    def close(self):
        problems = []
        for closer in reversed(self.closers):
            closer()
        for process in reversed(self.processes):
            process.signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                status = process.wait(PATIENCE)
            except Failure as failure:
                process.popen.kill()
                status = process.wait()
                problems.append(str(failure))
                continue
            if isinstance(process, Sidecar):
                if SANITIZER.search(process.err):
                    problems.append("a report on stderr\n" + process.evidence())
                elif status not in process.may_end_with:
                    problems.append("exit status %s\n%s" % (status, process.evidence()))
        if problems:
            raise Failure("\n".join(problems))
        shutil.rmtree(self.folder, ignore_errors=True)


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  keepalive_timeout 300s;
  {http}
  server {{
    listen 127.0.0.1:{port} {listen};
    {server}
  }}
}}
"""


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


class MeshCase(unittest.TestCase):
    """Each case has a mesh of its own; classes that share one override nothing but setUpClass."""

    def setUp(self):
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)
        self.addCleanup(show_evidence, self, self.mesh)


class SharedMeshCase(unittest.TestCase):
    """One mesh for all cases of the class, made by start(mesh) in the subclass."""

    @classmethod
    def setUpClass(cls):
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.close)
        try:
            cls.start(cls.mesh)
        except Exception:
            print_evidence(cls.mesh)
            raise

    def setUp(self):
        self.addCleanup(show_evidence, self, self.mesh)

    def tearDown(self):
        for process in self.mesh.processes:
            self.assertTrue(process.running() or isinstance(process, Process) and process.popen.returncode == 0,
                            process.evidence())


def print_evidence(mesh):
    for process in mesh.processes:
        if isinstance(process, Sidecar):
            print(process.evidence())


def show_evidence(case, mesh):
    outcome = getattr(case, "_outcome", None)
    if outcome is not None and not outcome.success:
        print_evidence(mesh)
