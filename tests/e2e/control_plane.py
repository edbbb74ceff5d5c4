"""tulle-control-plane as the end-to-end stories use it: started on port 0, asked over its API."""
import http.client
import json
import os
import ssl
import unittest

from mesh import BUILD, PATIENCE, Mesh, Process

CONTROL_PLANE = os.path.join(BUILD, "bin", "tulle-control-plane")
VERSIONS = {"Service": "v1", "Workload": "tulle.dev/v1alpha1", "HTTPRoute": "gateway.networking.k8s.io/v1"}
PLURALS = {"Service": "services", "Workload": "workloads", "HTTPRoute": "httproutes"}


def document(kind, name, spec, namespace=None, **metadata):
    metadata["name"] = name
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": spec}


def service(name, *ports, **more):
    ports = ports or (80,)
    return document("Service", name, {"ports": [{"name": "p%d" % port, "port": port} for port in ports]}, **more)


def workload(name, of, port=8080, inbound="127.0.0.1:9001", **more):
    return document("Workload", name, {"service": of, "address": "127.0.0.1",
                                       "ports": [{"name": "http", "port": port, "inbound": inbound}]}, **more)


def http_route(name, parent, backends, rule=None, **more):
    """`backends`: {service: weight}, all on port 80."""
    rules = dict(rule or {}, backendRefs=[{"name": backend, "port": 80, "weight": weight}
                                          for backend, weight in backends.items()])
    return document("HTTPRoute", name, {"parentRefs": [{"group": "", "kind": "Service", "name": parent}],
                                        "rules": [rules]}, **more)


def path_of(entry):
    return "/v1/namespaces/%s/%s/%s" % (entry["metadata"].get("namespace", "default"), PLURALS[entry["kind"]],
                                        entry["metadata"]["name"])


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def problems(self):
        """{path: message} of a refusal."""
        return {problem["path"]: problem["message"] for problem in self.json.get("problems", [])}


class ControlPlane(Process):
    """Process of the control plane; `config` is merged over a configuration with port 0 everywhere."""

    def __init__(self, name, folder, arguments=(), **config):
        self.data = os.path.join(folder, name + ".data")
        self.config_path = os.path.join(folder, name + ".json")
        document = {"data_dir": self.data, "xds": {"address": "127.0.0.1:0"},
                    "api": {"address": "127.0.0.1:0"}, "metrics": {"address": "127.0.0.1:0"}}
        document.update(config)
        with open(self.config_path, "w") as out:
            json.dump(document, out)
        log = os.path.join(folder, name + ".err")
        self.former = os.path.getsize(log) if os.path.exists(log) else 0  # of a former run of this name
        super().__init__(name, [CONTROL_PLANE, "--config", self.config_path, *arguments], folder)
        self.may_end_with = (0,)

    def wait_ready(self):
        self.wait_for(lambda: " ready revision=" in self.err[self.former:], "a line: ready", PATIENCE)
        return self

    @property
    def endpoints(self):
        with open(os.path.join(self.data, "endpoints.json")) as content:
            return json.load(content)

    @property
    def token(self):
        with open(os.path.join(self.data, "admin.token")) as content:
            return content.read().strip()

    @property
    def trust_bundle(self):
        return os.path.join(self.data, "ca", "root.pem")

    def connect(self, timeout=PATIENCE):
        scheme, _, address = self.endpoints["api"].partition("://")
        if scheme == "http":
            return http.client.HTTPConnection(address, timeout=timeout)
        context = ssl.create_default_context(cafile=self.trust_bundle)
        return http.client.HTTPSConnection(address, timeout=timeout, context=context)

    def ask(self, method, path, body=None, headers=None, token=True):
        connection = self.connect()
        try:
            fields = {} if headers is None else dict(headers)
            if token:
                fields.setdefault("Authorization", "Bearer " + (self.token if token is True else token))
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            if body is not None:
                fields.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, fields)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def put(self, entry, query="", **more):
        return self.ask("PUT", path_of(entry) + query, entry, **more)

    def delete(self, entry, query="", **more):
        return self.ask("DELETE", path_of(entry) + query, **more)

    def ask_metrics(self, path):
        connection = http.client.HTTPConnection(self.endpoints["metrics"], timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return Answer(connection.getresponse())
        finally:
            connection.close()


def start(mesh, name="control-plane", ready=True, **config):
    control_plane = ControlPlane(name, mesh.folder, **config)
    mesh.processes.append(control_plane)
    return control_plane.wait_ready() if ready else control_plane


class ControlPlaneCase(unittest.TestCase):
    """A mesh of its own for every test."""

    def setUp(self):
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)
