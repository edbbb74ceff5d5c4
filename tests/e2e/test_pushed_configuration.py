"""Sidecars under a control plane: registration, mutual TLS, routes that change, and its absence."""
import http.client
import json
import os
import ssl
import unittest

from mesh import BUILD, MeshCase, PATIENCE, Process, SANITIZER, Sidecar, probes, replace_file, wait_for

CONTROL_PLANE = os.path.join(BUILD, "bin", "tulle-control-plane")
TRUST_DOMAIN = "mesh.local"


class ControlPlane:
    """A real control plane; ports are its own choice at the first start and stay when it returns."""

    def __init__(self, mesh):
        self.mesh = mesh
        self.data = mesh.path("control-plane")
        self.addresses = {name: "127.0.0.1:0" for name in ("xds", "api", "metrics")}
        self.process = None
        self.starts = 0

    def start(self):
        self.starts += 1
        endpoints = os.path.join(self.data, "endpoints.json")
        if os.path.exists(endpoints):
            os.unlink(endpoints)
        config = self.mesh.write("control-plane.json", {
            "data_dir": self.data, "trust_domain": TRUST_DOMAIN,
            **{name: {"address": address} for name, address in self.addresses.items()}})
        self.process = self.mesh.process("control-plane-%d" % self.starts, [CONTROL_PLANE, "--config", config])
        self.process.wait_for(lambda: os.path.exists(endpoints), "the control plane listens", PATIENCE)
        with open(endpoints, encoding="utf-8") as file:
            for name, address in json.load(file).items():
                self.addresses[name] = address.split("//")[-1]
        return self

    def kill(self):
        self.process.popen.kill()
        self.process.wait()

    @property
    def root(self):
        return os.path.join(self.data, "ca", "root.pem")

    def call(self, method, path, document=None):
        with open(os.path.join(self.data, "admin.token"), encoding="utf-8") as file:
            token = file.read().strip()
        host, port = self.addresses["api"].rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE,
                                                 context=ssl.create_default_context(cafile=self.root))
        try:
            connection.request(method, path, body=None if document is None else json.dumps(document),
                               headers={"authorization": "Bearer " + token, "content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise AssertionError("%s %s: %d %s" % (method, path, answer.status, body))
        return json.loads(body) if body else None

    def put(self, kind, document):
        name = document["metadata"]["name"]
        return self.call("PUT", "/v1/namespaces/default/%s/%s" % (kind, name), document)

    def service(self, name, port, labels=None):
        spec = {"ports": [{"name": "http", "port": port}]}
        if labels is not None:
            spec["selector"] = labels
        return self.put("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})

    def route(self, service, *backends):
        return self.put("httproutes", {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": service},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": service}],
                     "rules": [{"backendRefs": [{"name": name, "port": port, "weight": weight}
                                                for name, port, weight in backends]}]}})

    def token(self, service):
        return self.call("POST", "/v1/tokens", {"namespace": "default", "service": service})["token"]


class Member:
    """An instance: an origin of this process, and the sidecar that registers it."""

    def __init__(self, mesh, control_plane, name, service, port=8080, labels=None, origin=True, **more):
        self.mesh, self.name = mesh, name
        self.origin = mesh.origin(name) if origin else None
        token = mesh.write(name + ".token", control_plane.token(service))
        ports = [{"name": "http", "port": self.origin.port}] if origin else []
        self.document = {
            "node": {"id": name}, "admin": {"address": "127.0.0.1", "port": 0}, "workers": 1,
            "drain": {"grace_seconds": 5}, "access_log": {"filter": "all"},
            "control_plane": {"address": control_plane.addresses["xds"], "trust_bundle": control_plane.root},
            "identity": {"trust_domain": TRUST_DOMAIN, "directory": mesh.path(name + ".identity"),
                         "join_token_file": token},
            "state_dir": mesh.path(name + ".state"),
            "workload": {"service": service, "labels": labels or {}, "outbound": "127.0.0.1:0", "ports": ports},
            **more}
        self.sidecar = None
        self.starts = 0

    def start(self, ready=True):
        self.starts += 1
        path = self.mesh.write(self.name + ".json", self.document)
        self.sidecar = Sidecar("%s-%d" % (self.name, self.starts), path, self.mesh.folder)
        self.mesh.processes.append(self.sidecar)
        return self.sidecar.wait_ready() if ready else self.sidecar

    def ask(self, authority, path="/"):
        return probes.get(self.sidecar.port("outbound"), path, {"host": authority})

    def origins(self, authority, count):
        names = set()
        for _ in range(count):
            answer = self.ask(authority)
            names.add(answer.headers.get("x-origin") if answer.status == 200
                      else answer.headers.get("tulle-error", answer.status))
        return names


@unittest.skipUnless(os.path.exists(CONTROL_PLANE), "tulle-control-plane is not built")
class PushedConfiguration(MeshCase):
    def setUp(self):
        super().setUp()
        self.control_plane = ControlPlane(self.mesh).start()
        self.addCleanup(self.judge_control_plane)

    def judge_control_plane(self):
        for process in self.mesh.processes:
            if isinstance(process, Process) and not isinstance(process, Sidecar):
                self.assertIsNone(SANITIZER.search(process.err), process.evidence())

    def member(self, name, service, **more):
        return Member(self.mesh, self.control_plane, name, service, **more)

    def two(self):
        self.control_plane.service("kitchen", 8080)
        kitchen = self.member("kitchen-1", "kitchen")
        orders = self.member("orders-1", "orders", origin=False)
        kitchen.start()
        orders.start()
        return kitchen, orders

    def test_two_sidecars(self):
        kitchen, orders = self.two()
        for name in ("kitchen:8080", "kitchen.default:8080", "Kitchen.default.svc.cluster.local:8080"):
            answer = orders.ask(name)
            self.assertEqual(200, answer.status, (name, answer, orders.sidecar.evidence()))
        entry = kitchen.sidecar.wait_log(lambda entry: entry["direction"] == "inbound")[0]
        self.assertEqual("spiffe://mesh.local/ns/default/sa/orders", entry["peer"])
        entry = orders.sidecar.wait_log(lambda entry: entry["direction"] == "outbound")[0]
        self.assertEqual("spiffe://mesh.local/ns/default/sa/kitchen", entry["upstream_peer"])
        view = orders.sidecar.config()["control_plane"]
        self.assertTrue(view["connected"])
        self.assertEqual([], view["rejections"])
        self.assertEqual([], view["held_back"])
        self.assertIn("kitchen:8080", view["destinations"])

    def test_a_route_changes_while_requests_run(self):
        kitchen, orders = self.two()
        self.control_plane.service("kitchen-v2", 8080, {"tulle.dev/service": "kitchen", "version": "v2"})
        second = self.member("kitchen-2", "kitchen", labels={"version": "v2"})
        second.start()
        self.control_plane.route("kitchen", ("kitchen-v2", 8080, 1))
        wait_for(lambda: orders.origins("kitchen:8080", 5) == {"kitchen-2"}, "all requests go to version 2", PATIENCE)
        del kitchen

    def test_policies_outlive_routes_that_nobody_uses(self):
        """Between two requests no exchange holds the former routes; their policies move over all the same."""
        _, orders = self.two()
        self.control_plane.service("kitchen-v2", 8080, {"tulle.dev/service": "kitchen", "version": "v2"})
        self.member("kitchen-2", "kitchen", labels={"version": "v2"}).start()
        for weight in range(1, 7):
            first, second = (0, weight) if weight % 2 else (weight, 0)
            self.control_plane.route("kitchen", ("kitchen", 8080, first), ("kitchen-v2", 8080, second))
            if weight % 2:
                wait_for(lambda: orders.origins("kitchen:8080", 8) == {"kitchen-2"}, "version 2", PATIENCE)
            else:
                wait_for(lambda: orders.origins("kitchen:8080", 8) >= {"kitchen-1"}, "both versions", PATIENCE)

    def test_an_instance_that_ends_is_gone(self):
        kitchen, orders = self.two()
        second = self.member("kitchen-2", "kitchen")
        second.start()
        wait_for(lambda: orders.origins("kitchen:8080", 20) == {"kitchen-1", "kitchen-2"}, "both are used", PATIENCE)
        second.sidecar.stop()
        wait_for(lambda: orders.origins("kitchen:8080", 10) == {"kitchen-1"}, "one is left", PATIENCE)

    def test_a_name_that_nobody_knows(self):
        _, orders = self.two()
        denied = self.member("billing-1", "billing", origin=False, egress="deny")
        denied.start()
        answer = denied.ask("nobody.invalid")
        self.assertEqual((403, "denied"), (answer.status, answer.headers["tulle-error"]))
        view = denied.sidecar.config()["control_plane"]
        self.assertEqual(["nobody.invalid:80"], view["unknown"])
        del orders

    def test_a_service_that_comes_later(self):
        _, orders = self.two()
        orders.document["egress"] = "deny"
        replace_file(self.mesh.path("orders-1.json"), json.dumps(orders.document))
        wait_for(lambda: orders.ask("late:80").headers.get("tulle-error") == "denied", "egress is denied", PATIENCE)
        late = self.member("late-1", "late")
        late.start()
        self.control_plane.service("late", 80)
        wait_for(lambda: orders.ask("late:80").status == 200, "it is found once it exists", PATIENCE)

    def test_the_control_plane_goes_and_a_sidecar_restarts_meanwhile(self):
        kitchen, orders = self.two()
        self.assertEqual({"kitchen-1"}, orders.origins("kitchen:8080", 3))
        before = orders.sidecar.port("outbound")
        # Stored a moment after it was accepted.
        state = os.path.join(self.mesh.path("orders-1.state"), "last-good")
        orders.sidecar.wait_for(lambda: os.path.exists(state) and b"outbound|8080||kitchen" in open(state, "rb").read(),
                                "the configuration is stored", PATIENCE)
        self.control_plane.kill()
        self.assertEqual({"kitchen-1"}, orders.origins("kitchen:8080", 3))
        for member in (orders, kitchen):
            self.assertEqual(0, member.sidecar.stop())
            member.start()
        self.assertEqual(before, orders.sidecar.port("outbound"))
        self.assertEqual({"kitchen-1"}, orders.origins("kitchen:8080", 3))
        answer = orders.ask("never-asked-for:8080")
        self.assertEqual((503, "config_missing"), (answer.status, answer.headers["tulle-error"]))
        self.control_plane.start()
        orders.sidecar.wait_config(lambda config: config["control_plane"]["connected"], "the control plane is back")
        self.assertEqual({"kitchen-1"}, orders.origins("kitchen:8080", 3))

    def test_a_sidecar_waits_for_the_control_plane(self):
        orders = self.member("orders-1", "orders", origin=False)
        self.control_plane.kill()
        orders.start(ready=False)
        orders.sidecar.wait_for_line("cannot join", PATIENCE)
        self.assertFalse(orders.sidecar.ready())
        self.control_plane.start()
        orders.sidecar.wait_ready()

    def test_damaged_state_is_ignored(self):
        _, orders = self.two()
        self.assertEqual({"kitchen-1"}, orders.origins("kitchen:8080", 1))
        self.assertEqual(0, orders.sidecar.stop())
        state = os.path.join(self.mesh.path("orders-1.state"), "last-good")
        with open(state, "r+b") as file:
            file.seek(100)
            file.write(b"damage")
        orders.start()
        self.assertEqual(1, orders.sidecar.err.count("stored configuration ignored"))
        self.assertEqual({"kitchen-1"}, orders.origins("kitchen:8080", 1))


if __name__ == "__main__":
    unittest.main()
