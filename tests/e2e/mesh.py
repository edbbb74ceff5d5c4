"""What the end-to-end stories are told with: sidecars, their configuration, and origins.

A Mesh owns a folder and everything started in it. close() ends all of it by process id and fails
when a sidecar did not end as it should: an exit status other than 0 after SIGTERM, or a report of a
sanitizer on its stderr.
"""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
if os.path.join(ROOT, "examples") not in sys.path:
    sys.path.insert(0, os.path.join(ROOT, "examples"))

from meshkit import capture, probes  # noqa: E402,F401
from meshkit.certificates import Authority  # noqa: E402,F401
from meshkit.processes import Failure, Process, SidecarProcess, unused_port, wait_for  # noqa: E402,F401

BUILD = os.environ.get("TULLE_BUILD", os.path.join(ROOT, "build", "dev"))
SIDECAR = os.path.join(BUILD, "bin", "tulle-sidecar")
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r"terminate called|assertion|Assertion")
TRUST_DOMAIN = "mesh.test"
# Bounds a wait for something that takes milliseconds when nothing is wrong; a sanitizer build on a
# busy machine is slow.
PATIENCE = 30.0


def spiffe(account):
    return "spiffe://%s/ns/default/sa/%s" % (TRUST_DOMAIN, account)


def program(name):
    """The path of a real peer, or a skip with the reason."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        raise unittest.SkipTest(name + " is not installed")
    return path


# ---- configuration ------------------------------------------------------------------------------

TYPE = "type.googleapis.com/envoy."
MANAGER = TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(*resources, node="test", identity=None, log="all", workers=None, grace=5, admin_port=0, **more):
    document = {
        "node": {"id": node, "cluster": node},
        "admin": {"address": "127.0.0.1", "port": admin_port},
        "drain": {"grace_seconds": grace},
        "access_log": {"filter": log},
        "static_resources": list(resources),
    }
    if identity is not None:
        document["identity"] = identity
    if workers is not None:
        document["workers"] = workers
    document.update(more)
    return document


def identity_files(leaf, trust, trust_domain=TRUST_DOMAIN):
    return {"certificate": leaf.certificate, "key": leaf.key, "trust_bundle": trust, "trust_domain": trust_domain}


def route(cluster=None, prefix="/", path=None, timeout=None, **more):
    match = {"path": path} if path is not None else {"prefix": prefix}
    entry = {"match": match}
    if cluster is not None:
        entry["route"] = {"cluster": cluster}
        if timeout is not None:
            entry["route"]["timeout"] = timeout
    entry.update(more)
    return entry


def says(text, prefix="/", status=200):
    """A route that answers by itself."""
    return {"match": {"prefix": prefix}, "direct_response": {"status": status, "body": {"inline_string": text}}}


def host(name, domains, *routes):
    return {"name": name, "domains": list(domains), "routes": list(routes)}


def listener(name, *hosts, port=0, inbound=False, tls=None, codec=None, address="127.0.0.1", **manager):
    document = {
        "@type": MANAGER,
        "stat_prefix": name,
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router"}}],
        "route_config": {"name": name, "virtual_hosts": list(hosts)},
    }
    if codec is not None:
        document["codec_type"] = codec
    document.update(manager)
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": document}]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {
        "@type": TYPE + "config.listener.v3.Listener",
        "name": name,
        "traffic_direction": "INBOUND" if inbound else "OUTBOUND",
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [chain],
    }


def cluster(name, *ports, protocol=None, tls=None, **more):
    """`protocol`: None (HTTP/1.1), "http2" or "auto" (by ALPN)."""
    endpoints = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                 for port in ports]
    document = {
        "@type": TYPE + "config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}] if endpoints else []},
    }
    if protocol is not None:
        chosen = {"auto_config": {}} if protocol == "auto" else \
            {"explicit_http_config": {"http2_protocol_options": {}}}
        document["typed_extension_protocol_options"] = {
            PROTOCOL_OPTIONS: {"@type": "type.googleapis.com/" + PROTOCOL_OPTIONS, **chosen}}
    if tls is not None:
        document["transport_socket"] = tls
    document.update(more)
    return document


TCP_PROXY = TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy"
INSPECTORS = [{"name": kind, "typed_config": {"@type": TYPE + "extensions.filters.listener.%s_inspector.v3.%sInspector"
                                              % (kind, kind.capitalize())}} for kind in ("tls", "http")]


def tcp_chain(to, match=None, tls=None, **proxy):
    """A filter chain that carries connections as they are, to a cluster."""
    document = {"@type": TCP_PROXY, "stat_prefix": to, "cluster": to, **proxy}
    chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": document}]}
    if match is not None:
        chain["filter_chain_match"] = match
    if tls is not None:
        chain["transport_socket"] = tls
    return chain


def tcp_listener(name, *chains, port=0, inbound=False, address="127.0.0.1", **more):
    document = {
        "@type": TYPE + "config.listener.v3.Listener",
        "name": name,
        "traffic_direction": "INBOUND" if inbound else "OUTBOUND",
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": list(chains),
    }
    document.update(more)
    return document


def sniffing_listener(name, *hosts, to, port=0, **more):
    """HTTP is routed to the hosts; all else is carried to the cluster `to` as it is."""
    document = listener(name, *hosts, port=port)
    document["filter_chains"][0]["filter_chain_match"] = {"application_protocols": ["http/1.0", "http/1.1", "h2c"]}
    document["default_filter_chain"] = tcp_chain(to)
    document["listener_filters"] = INSPECTORS
    document["listener_filters_timeout"] = "0.05s"
    document["continue_on_listener_filters_timeout"] = True
    document.update(more)
    return document


def _transport_socket(kind, document):
    return {"name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": TYPE + "extensions.transport_sockets.tls.v3." + kind, **document}}


def server_tls():
    """Mutual TLS with the workload's own identity, for a listener."""
    return _transport_socket("DownstreamTlsContext", {
        "require_client_certificate": True,
        "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "default"}],
                               "validation_context_sds_secret_config": {"name": "ROOTCA"}}})


def client_tls(expected, sni="peer"):
    """Mutual TLS with the workload's own identity, towards a peer of exactly that SPIFFE ID."""
    return _transport_socket("UpstreamTlsContext", {
        "sni": sni,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "default"}],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": expected}}]},
                "validation_context_sds_secret_config": {"name": "ROOTCA"}}}})


# ---- sidecars -----------------------------------------------------------------------------------

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


# ---- an origin in this process --------------------------------------------------------------------

class Received:
    """A request as the origin saw it."""

    def __init__(self, method, target, headers, body, trailers):
        self.method, self.target, self.headers, self.body, self.trailers = method, target, headers, body, trailers

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name):
        return next(iter(self.values(name)), None)


def pattern(size):
    """Bytes that show every loss, repetition and exchange of blocks."""
    block = b"".join(b"%07d\n" % number for number in range(0, size // 8 + 1))
    return block[:size]


class Origin:
    """An HTTP/1.1 server, one thread per connection. It answers with what it was asked for:

    /echo          the body it received
    /bytes/N       N bytes of pattern()
    /chunked       three chunks and two trailers
    /status/N      that status (no body for 204 and 304)
    /hold/KEY      answers when release(KEY) is called, which may come first
    /cut/N         promises 1000 bytes, sends N and closes the connection
    /interim       a 103 response before the final one
    anything else  JSON: method, path, headers and the name of this origin
    """

    def __init__(self, name, port=0):
        self.name = name
        self.received = []
        self.closing = False
        self._lock = threading.Lock()
        self._holds = {}
        self._arrived = {}
        self._connections = set()
        self.connections_seen = 0
        self._listening = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # -- the test's side

    def requests(self, path=None):
        with self._lock:
            return [one for one in self.received if path is None or one.target.split("?")[0] == path]

    def hits(self):
        with self._lock:
            return len(self.received)

    def release(self, key):
        self._event(self._holds, key).set()

    def wait_held(self, key):
        """Until a request for /hold/KEY has arrived."""
        if not self._event(self._arrived, key).wait(PATIENCE):
            raise Failure("no request for /hold/%s arrived" % key)

    def close(self):
        self.closing = True
        with self._lock:
            holds, connections = list(self._holds.values()), list(self._connections)
        for event in holds:
            event.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # -- the server

    def _event(self, events, key):
        with self._lock:
            event = events.setdefault(key, threading.Event())
            if self.closing:
                event.set()
            return event

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
                self.connections_seen += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as reader:
                while self._one(connection, reader):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _one(self, connection, reader):
        line = reader.readline(65536)
        if not line.strip():
            return False
        method, target, _ = line.decode("latin-1").split()
        headers = self._fields(reader)
        lower = {name.lower(): value for name, value in headers}
        if lower.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers = self._body(reader, lower)
        with self._lock:
            self.received.append(Received(method, target, headers, body, trailers))
        self._answer(connection, method, target, headers, body)
        return "close" not in lower.get("connection", "").lower() and not target.startswith("/cut/")

    @staticmethod
    def _fields(reader):
        fields = []
        while True:
            line = reader.readline(65536)
            if not line:
                raise OSError("the connection ended within a head")
            text = line.decode("latin-1").rstrip("\r\n")
            if not text:
                return fields
            name, _, value = text.partition(":")
            fields.append((name, value.strip()))

    def _body(self, reader, headers):
        if "chunked" in headers.get("transfer-encoding", "").lower():
            parts = []
            while True:
                size = int(reader.readline(1024).split(b";")[0], 16)
                if size == 0:
                    return b"".join(parts), self._fields(reader)
                parts.append(self._exactly(reader, size))
                reader.readline(8)
        return self._exactly(reader, int(headers.get("content-length", "0"))), []

    @staticmethod
    def _exactly(reader, size):
        data = reader.read(size)
        if len(data) != size:
            raise OSError("the connection ended within a body")
        return data

    def _answer(self, connection, method, target, headers, body):
        path = target.split("?")[0]
        kind, _, rest = path[1:].partition("/")
        status, fields, answer = 200, [("content-type", "application/octet-stream"), ("x-origin", self.name)], b""
        if kind == "chunked":
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-origin: %s\r\ntransfer-encoding: chunked\r\n"
                               b"trailer: x-checksum\r\n\r\n" % self.name.encode())
            for part in (b"first ", b"second ", b"third"):
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            connection.sendall(b"0\r\nx-checksum: 12345\r\nx-finished: yes\r\n\r\n")
            return
        if kind == "cut":
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * int(rest))
            return
        if kind == "interim":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")
        if kind == "hold":
            self._event(self._arrived, rest).set()
            self._event(self._holds, rest).wait(120)
            answer = b"held " + rest.encode()
        elif kind == "echo":
            answer = body
        elif kind == "bytes":
            answer = pattern(int(rest))
        elif kind == "status":
            status, answer = int(rest), b"" if rest in ("204", "304") else b"status " + rest.encode()
        else:
            fields[0] = ("content-type", "application/json")
            answer = json.dumps({"origin": self.name, "method": method, "path": target,
                                 "headers": headers, "body": len(body)}).encode()
        if status != 204:
            fields.append(("content-length", str(len(answer))))
        head = "HTTP/1.1 %d %s\r\n" % (status, http.client.responses.get(status, "Status"))
        head += "".join("%s: %s\r\n" % field for field in fields) + "\r\n"
        connection.sendall(head.encode() + (b"" if method == "HEAD" else answer))


# ---- clients --------------------------------------------------------------------------------------

class CurlAnswer:
    """What curl saw: status, version ("1.1", "2"), header fields (trailers too), body, exit status."""

    def __init__(self, status, version, head, body, exit_status, error):
        self.status, self.version, self.head, self.body = status, version, head, body
        self.exit_status, self.error = exit_status, error
        # The last block; curl writes trailers below it.
        self.fields = []
        for line in head.splitlines():
            if line.startswith("HTTP/"):
                self.fields = []
            elif ":" in line:
                name, _, value = line.partition(":")
                self.fields.append((name.strip().lower(), value.strip()))

    def values(self, name):
        return [value for key, value in self.fields if key == name]

    def __getitem__(self, name):
        return next(iter(self.values(name)), None)

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "curl: exit %d %s\n%s%r" % (self.exit_status, self.error, self.head, self.body[:600])


def curl(url, *arguments, stdin=None, seconds=60):
    with tempfile.TemporaryDirectory() as folder:
        head, body = os.path.join(folder, "head"), os.path.join(folder, "body")
        command = [program("curl"), "-q", "-sS", "--noproxy", "", "-m", str(seconds), "-D", head, "-o", body,
                   "-w", "%{http_code} %{http_version}", *map(str, arguments), url]
        env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                              timeout=seconds + 30)
        status, version = (done.stdout.decode().split() + ["0", "0"])[:2]

        def content(path):
            if not os.path.exists(path):
                return b""
            with open(path, "rb") as data:
                return data.read()

        return CurlAnswer(int(status), version, content(head).decode("latin-1"), content(body), done.returncode,
                          done.stderr.decode(errors="replace").strip())


H1 = ("--http1.1",)
H2 = ("--http2-prior-knowledge",)
