"""Real servers of the distribution behind a sidecar, each telling in `x-seen` what it understood.

Reverse proxies pass on what they understood to a backend of ours, which tells it for them.
"""
import base64
import hashlib
import json
import os

import recorder
import wire
from mesh import PATIENCE, program, reachable, unused_port

HERE = os.path.dirname(os.path.abspath(__file__))


def seen_answer(seen):
    text = base64.b64encode(json.dumps(seen).encode())
    return b"HTTP/1.1 200 OK\r\nx-seen: " + text + b"\r\ncontent-length: 2\r\n\r\nok"


class Backend(recorder.Recorder):
    """Says what it got. `strict`: only what a sidecar writes is good enough."""

    def __init__(self, strict):
        super().__init__(self.serve_all)
        self.strict = strict
        self.count = 0

    def serve_all(self, connection):
        while True:
            if self.strict:
                request = connection.read_request()
            else:
                connection.wait(lambda: len(connection.received) > connection.at, seconds=None)
                head = connection.read(lambda data, at: wire.read_head(data, at, lower_case=False))
                method, target, version = head.line.decode("latin-1").split(" ")
                connection.at += head.size
                request = recorder.Request(connection, method, target, version[5:], head.fields)
            if "100-continue" in (request.fields.values("expect") or ()):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request)
            self.count += 1
            flat = [part for pair in request.fields for part in pair]
            connection.send(seen_answer({"method": request.method, "target": request.target, "fields": flat,
                                         "body": hashlib.sha1(request.body).hexdigest(), "count": self.count}))


class Origin:
    """`port` is what the sidecar talks to; `normalizes`: paths are rewritten on the way."""

    def __init__(self, name, port, normalizes=False):
        self.name, self.port, self.normalizes = name, port, normalizes


def started(mesh, name, command, port):
    process = mesh.process(name, command)
    process.wait_for(lambda: reachable(port), name + " accepts connections", PATIENCE)
    return port


def nginx(mesh, backend):
    return mesh.nginx("seen-nginx", http="ignore_invalid_headers off; underscores_in_headers on;", server="""
        location / {
          proxy_pass http://127.0.0.1:%d; proxy_http_version 1.1;
          proxy_set_header Host $http_host; proxy_set_header Connection "";
        }""" % backend).listening_port


def haproxy(mesh, backend):
    port = unused_port()
    config = mesh.write("haproxy.cfg", """
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend seen
  bind 127.0.0.1:%d
  default_backend seen
backend seen
  server seen 127.0.0.1:%d
""" % (port, backend))
    return started(mesh, "haproxy", [program("haproxy"), "-db", "-f", config], port)


def apache(mesh, backend):
    port = unused_port()
    modules = "/usr/lib/apache2/modules"
    config = mesh.write("apache.conf", """
ServerRoot %(folder)s
PidFile %(folder)s/apache.pid
DefaultRuntimeDir %(folder)s
ErrorLog %(folder)s/apache.log
ServerName a
User www-data
Group www-data
LoadModule mpm_event_module %(modules)s/mod_mpm_event.so
LoadModule authz_core_module %(modules)s/mod_authz_core.so
LoadModule proxy_module %(modules)s/mod_proxy.so
LoadModule proxy_http_module %(modules)s/mod_proxy_http.so
Listen 127.0.0.1:%(port)d
KeepAliveTimeout 60
MaxKeepAliveRequests 0
AllowEncodedSlashes NoDecode
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:%(backend)d/ nocanon
""" % {"folder": mesh.folder, "port": port, "backend": backend, "modules": modules})
    return started(mesh, "apache2", [program("apache2"), "-f", config, "-DFOREGROUND"], port)


def lighttpd(mesh, backend):
    port = unused_port()
    config = mesh.write("lighttpd.conf", """
server.document-root = "%s"
server.bind = "127.0.0.1"
server.port = %d
server.modules = ("mod_proxy")
server.max-keep-alive-requests = 100000
server.http-parseopts = ("url-normalize" => "disable")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => %d)))
""" % (mesh.folder, port, backend))
    return started(mesh, "lighttpd", [program("lighttpd"), "-D", "-f", config], port)


def h2o(mesh, backend):
    port = unused_port()
    config = mesh.write("h2o.yaml", """
listen: {host: 127.0.0.1, port: %d}
num-threads: 1
proxy.preserve-host: ON
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: http://127.0.0.1:%d/
""" % (port, backend))
    return started(mesh, "h2o", [program("h2o"), "-c", config], port)


def nghttpx(mesh, backend):
    port = unused_port()
    config = mesh.write("nghttpx.conf", "")
    return started(mesh, "nghttpx", [program("nghttpx"), "--conf=" + config, "--frontend=127.0.0.1,%d;no-tls" % port,
                                     "--backend=127.0.0.1,%d" % backend, "--workers=1"], port)


def node(mesh):
    process = mesh.process("seen-node", [program("node"), os.path.join(HERE, "peers", "seen.js")])
    return int(process.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))


PROXIES = {"nginx": nginx, "haproxy": haproxy, "apache2": apache, "lighttpd": lighttpd, "h2o": h2o, "nghttpx": nghttpx}
NORMALIZING = {"h2o", "lighttpd", "apache2", "nghttpx"}


def start_all(mesh):
    """All origins, and the backends to close."""
    origins, backends = [Origin("node", node(mesh))], []
    for name, start in PROXIES.items():
        backend = Backend(strict=False)
        backends.append(backend)
        origins.append(Origin(name, start(mesh, backend.port), name in NORMALIZING))
    return origins, backends
