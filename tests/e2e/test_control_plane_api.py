"""The control plane's API: what it takes, what it refuses, and who may ask."""
import json
import os
import re
import socket
import stat
import subprocess
import threading
import unittest
from pathlib import Path

from control_plane import ControlPlaneCase, http_route, path_of, service, start, workload
from mesh import PATIENCE, ROOT, SANITIZER, Mesh, program, wait_for


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.close)
        cls.it = start(cls.mesh)

    def tearDown(self):
        self.assertIsNone(SANITIZER.search(self.it.err), self.it.err)

    def good(self, answer, *statuses):
        self.assertIn(answer.status, statuses or (200, 201), answer.body)
        return answer.json


class Documents(Shared):
    def test_the_life_of_a_document(self):
        made = self.good(self.it.put(service("life")), 201)
        self.assertEqual(1, made["metadata"]["generation"])
        self.assertRegex(made["metadata"]["creationTimestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        again = self.it.put(service("life"))
        self.assertEqual(made["metadata"]["resourceVersion"], self.good(again, 200)["metadata"]["resourceVersion"])
        changed = self.good(self.it.put(service("life", 80, 81)), 200)
        self.assertEqual(2, changed["metadata"]["generation"])
        self.assertEqual(made["metadata"]["creationTimestamp"], changed["metadata"]["creationTimestamp"])
        seen = self.it.get(path_of(service("life")))
        self.assertEqual('"%s"' % changed["metadata"]["resourceVersion"], seen.headers["etag"])
        self.assertEqual(changed["spec"], seen.json["spec"])
        self.good(self.it.delete(service("life")), 200)
        self.assertEqual(404, self.it.get(path_of(service("life"))).status)
        self.assertEqual(404, self.it.delete(service("life")).status)

    def test_what_was_read_can_be_written(self):
        self.good(self.it.put(service("roundtrip")))
        seen = self.it.get(path_of(service("roundtrip"))).json
        self.assertEqual(200, self.it.put(seen).status)

    def test_yaml(self):
        text = "apiVersion: v1\nkind: Service\nmetadata: {name: yaml, namespace: shop}\nspec:\n  ports: [{port: 80}]\n"
        path = "/v1/namespaces/shop/services/yaml"
        answer = self.it.ask("PUT", path, text, {"Content-Type": "application/yaml"})
        self.assertEqual("shop", self.good(answer)["metadata"]["namespace"])

    def test_lists_by_namespace(self):
        for namespace in ("list-a", "list-b"):
            self.good(self.it.put(service("one", namespace=namespace)))
        self.assertEqual(["list-a"], [item["metadata"]["namespace"] for item in
                                      self.it.get("/v1/services?namespace=list-a").json["items"]])
        every = self.it.get("/v1/services").json
        self.assertEqual("ServiceList", every["kind"])
        self.assertGreaterEqual(len(every["items"]), 2)

    def test_a_route_and_its_status(self):
        for name in ("shop", "shop-v2"):
            self.good(self.it.put(service(name)))
        self.good(self.it.put(http_route("shop", "shop", {"shop": 80, "shop-v2": 20})), 201)
        status = self.it.get("/v1/namespaces/default/httproutes/shop").json["status"]
        conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
        self.assertEqual({"Accepted": "True", "ResolvedRefs": "True", "Programmed": "True"}, conditions)
        self.assertEqual({"using": 0, "acknowledged": 0, "rejected": 0}, status["sidecars"])

    def test_dry_run_writes_nothing(self):
        self.good(self.it.put(service("dry"), "?dryRun=true"), 201)
        self.assertEqual(404, self.it.get(path_of(service("dry"))).status)
        self.good(self.it.put(service("dry")))
        self.good(self.it.delete(service("dry"), "?dryRun=true"), 200)
        self.assertEqual(200, self.it.get(path_of(service("dry"))).status)

    def test_two_editors(self):
        first = self.good(self.it.put(service("edited")))
        version = first["metadata"]["resourceVersion"]
        self.good(self.it.put(service("edited", 81), headers={"If-Match": '"%s"' % version}))
        late = self.it.put(service("edited", 82), headers={"If-Match": '"%s"' % version})
        self.assertEqual((409, "conflict"), (late.status, late.headers["tulle-error"]))
        inside = service("edited", 83)
        inside["metadata"]["resourceVersion"] = version
        self.assertEqual(409, self.it.put(inside).status)
        self.assertEqual(409, self.it.put(service("edited"), headers={"If-None-Match": "*"}).status)
        self.assertEqual(409, self.it.put(service("never"), headers={"If-Match": "*"}).status)
        self.assertEqual(409, self.it.delete(service("edited"), headers={"If-Match": '"%s"' % version}).status)
        self.assertEqual(81, self.it.get(path_of(service("edited"))).json["spec"]["ports"][0]["port"])

    def test_fifty_writers_at_once_lose_nothing(self):
        def write(number):
            answers.append(self.it.put(service("many-%d" % number, namespace="many")).status)
        answers = []
        threads = [threading.Thread(target=write, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([201] * 50, answers)
        items = self.it.get("/v1/services?namespace=many").json["items"]
        self.assertEqual(50, len({item["metadata"]["resourceVersion"] for item in items}))

    def test_watch(self):
        self.good(self.it.put(service("old", namespace="watched")))
        connection = self.it.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/services?watch=true&namespace=watched",
                           headers={"Authorization": "Bearer " + self.it.token})
        stream = connection.getresponse()
        self.assertEqual(200, stream.status)

        def event():
            found = json.loads(stream.readline())
            return found["type"], found.get("object", {}).get("metadata", {}).get("name")
        self.assertEqual(("ADDED", "old"), event())
        self.assertEqual(("BOOKMARK", None), event())
        self.good(self.it.put(service("elsewhere", namespace="unwatched")))
        self.good(self.it.put(service("new", namespace="watched")))
        self.assertEqual(("ADDED", "new"), event())
        self.good(self.it.put(service("new", 81, namespace="watched")))
        self.assertEqual(("MODIFIED", "new"), event())
        self.good(self.it.delete(service("new", namespace="watched")))
        self.assertEqual(("DELETED", "new"), event())

    def test_the_audit_log_says_who_did_what(self):
        self.good(self.it.put(service("audited")))
        bad = service("audited")
        bad["spec"] = {}
        self.it.put(bad)
        self.good(self.it.delete(service("audited")))
        lines = wait_for(lambda: (lambda found: found if len(found) == 3 else None)(
            [line for line in self.it.get("/v1/audit?limit=1000").json["items"] if "audited" in line["object"]]),
            "three lines", PATIENCE)
        self.assertEqual([("remove", "done"), ("put", "refused: 1 problem(s)"), ("put", "done")],
                         [(line["action"], line["outcome"]) for line in lines])
        self.assertEqual({"admin"}, {line["actor"] for line in lines})


class BadInput(Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("bad", "bad-v2"):
            cls.it.put(service(name))

    def refused(self, entry):
        answer = self.it.put(entry)
        self.assertEqual(422, answer.status, answer.body)
        self.assertEqual("application/problem+json", answer.headers["content-type"])
        return answer.problems

    def test_every_problem_with_its_path(self):
        entry = service("bad")
        entry["spec"] = {"ports": [{"port": 0}, {"prot": 80, "name": "Bad!"}], "selector": {"version": "v1"}}
        self.assertEqual({"spec.ports[0].name", "spec.ports[0].port", "spec.ports[1].name", "spec.ports[1].port",
                          "spec.ports[1].prot", "spec.selector"}, set(self.refused(entry)))

    def test_dangling_references(self):
        route = http_route("r", "baad", {"bad": 1, "gone": 1})
        route["spec"]["rules"][0]["backendRefs"][0]["port"] = 81
        found = self.refused(route)
        self.assertEqual({"spec.parentRefs[0].name", "spec.rules[0].backendRefs[0].port",
                          "spec.rules[0].backendRefs[1].name"}, set(found))
        self.assertIn('did you mean "bad"', found["spec.parentRefs[0].name"])
        self.assertIn("it has: 80", found["spec.rules[0].backendRefs[0].port"])

    def test_codes(self):
        route = http_route("r", "bad", {"bad": 1}, {"sessionPersistence": {}})
        answer = self.it.put(route)
        self.assertEqual([("spec.rules[0].sessionPersistence", "unsupported")],
                         [(problem["path"], problem["code"]) for problem in answer.json["problems"]])

    def test_what_others_use_stays(self):
        entry = service("used")
        self.it.put(entry)
        self.assertEqual(201, self.it.put(http_route("user", "used", {"used": 1})).status)
        removed = self.it.delete(entry)
        self.assertEqual(409, removed.status)
        self.assertIn('HTTPRoute "default/user"', removed.json["detail"])
        narrowed = self.it.put(service("used", 81))
        self.assertEqual(422, narrowed.status)
        self.assertIn("spec.ports", narrowed.problems)

    def test_names_must_agree_with_the_path(self):
        for entry, path in ((service("a"), "/v1/namespaces/default/services/b"),
                            (service("a", namespace="x"), "/v1/namespaces/default/services/a"),
                            (service("a"), "/v1/namespaces/default/workloads/a")):
            with self.subTest(path):
                self.assertEqual(422, self.it.ask("PUT", path, entry).status)

    def test_a_workload_cannot_claim_to_be_registered(self):
        entry = workload("w", "bad")
        entry["spec"].update(source="registration", node="x")
        self.assertEqual({"spec.source", "spec.node"}, set(self.refused(entry)))

    def test_bodies(self):
        path = path_of(service("bad"))
        deep = '{"apiVersion":' + "[" * 100000
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            "%s: &%s [%s]\n" % (name, name, ",".join(["*" + chr(ord(name) - 1)] * 9)) for name in "bcdefghij")
        for body, kind, status in (("", "application/json", 422), ("{", "application/json", 422),
                                   ("[]", "application/json", 422), (deep, "application/json", 422),
                                   (bomb, "application/yaml", 422), (b"\xff\xfe", "application/json", 422),
                                   ("kind: a\0b", "application/yaml", 422),
                                   ('{"kind":"Service","kind":"Service"}', "application/json", 422),
                                   ("{}", "text/plain", 415), ("{}", "application/x-www-form-urlencoded", 415),
                                   ("x" * (1024 * 1024 + 1), "application/json", 413)):
            with self.subTest(body=body[:40], kind=kind):
                answer = self.it.ask("PUT", path, body, {"Content-Type": kind})
                self.assertEqual(status, answer.status, answer.body)
                self.assertEqual(status, answer.json["status"])

    def test_paths_and_queries(self):
        for method, path, status in (
                ("GET", "/", 404), ("GET", "/v1/nothing", 404), ("GET", "/v1/services/", 404),
                ("GET", "/v1/namespaces/default/services/..%2f..%2fetc%2fpasswd", 400),
                ("GET", "/v1/namespaces/default/services/a'%20OR%201=1", 400),
                ("GET", "/v1/namespaces/a_b/services/x", 400), ("POST", "/v1/services", 405),
                ("PATCH", "/v1/namespaces/default/services/x", 405), ("GET", "/v1/services?limit=1", 400),
                ("GET", "/v1/services?namespace=%25", 400), ("GET", "/v1/services?watch", 400),
                ("GET", "/v1/services?watch=true&watch=true", 400), ("GET", "/v1/audit?limit=-1", 400),
                ("DELETE", "/v1/namespaces/default/services/nothing", 404)):
            with self.subTest(path=path, method=method):
                answer = self.it.ask(method, path)
                self.assertEqual(status, answer.status, answer.body)
                self.assertTrue(answer.headers["tulle-error"])
        self.assertEqual("GET, PUT, DELETE", self.it.ask("PATCH", path_of(service("x"))).headers["allow"])

    def test_tokens(self):
        for body, paths in (({}, {"service"}), ({"service": "a b"}, {"service"}),
                            ({"service": "a", "ttlSeconds": 0}, {"ttlSeconds"}),
                            ({"service": "a", "namespace": 1, "x": 1}, {"namespace", "x"})):
            with self.subTest(body=body):
                answer = self.it.ask("POST", "/v1/tokens", body)
                self.assertEqual((422, paths), (answer.status, set(answer.problems)), answer.body)
        made = self.good(self.it.ask("POST", "/v1/tokens", {"service": "bad", "ttlSeconds": 60}), 201)
        self.assertEqual({"token", "expires"}, set(made))
        audit = json.dumps(self.it.get("/v1/audit").json)
        self.assertNotIn(made["token"], audit)
        for folder, _, names in os.walk(self.it.data):
            for name in names:
                self.assertNotIn(made["token"].encode(), Path(os.path.join(folder, name)).read_bytes(), name)

    def test_the_rotation_by_hand(self):
        before = self.good(self.it.get("/v1/ca"))
        self.assertEqual("mesh.local", before["trustDomain"])
        self.assertEqual(409, self.it.ask("POST", "/v1/ca/activate").status)
        prepared = self.good(self.it.ask("POST", "/v1/ca/prepare"))
        self.assertIsNotNone(prepared["next"])
        self.assertEqual(2, prepared["trustBundle"].count("BEGIN CERTIFICATE"))
        self.assertNotIn("PRIVATE", json.dumps(prepared))
        self.assertEqual(200, self.it.get("/v1/status").status)


class Access(ControlPlaneCase):
    def test_nothing_without_the_token(self):
        it = start(self.mesh)
        for method, path in (("GET", "/v1/services"), ("GET", "/openapi.json"), ("GET", "/v1/ca"), ("GET", "/"),
                             ("POST", "/v1/tokens")):
            answer = it.ask(method, path, token=None)
            self.assertEqual((401, "Bearer"), (answer.status, answer.headers["www-authenticate"]), path)
        for wrong in ("x", it.token[:-1], it.token + "x", it.token.upper() + "Z"):
            self.assertEqual(401, it.get("/v1/services", token=wrong).status)
        statuses = [it.get("/v1/services", token="wrong").status for _ in range(20)]
        self.assertIn(429, statuses)
        self.assertEqual(200, it.get("/v1/services").status)
        self.assertNotIn(it.token, it.err)

    def test_browsers_are_kept_out(self):
        it = start(self.mesh)
        for headers, status in (({"Host": "evil.example"}, 403), ({"Origin": "https://evil.example"}, 403),
                                ({"Host": "localhost:1"}, 200), ({"Origin": "null"}, 403)):
            with self.subTest(headers=headers):
                self.assertEqual(status, it.get("/v1/services", headers=headers).status)

    def test_files_are_for_their_owner(self):
        it = start(self.mesh)
        for name in ("admin.token", "tulle.db"):
            mode = stat.S_IMODE(os.stat(os.path.join(it.data, name)).st_mode)
            self.assertEqual(0o600, mode, name)

    def test_plaintext_on_loopback_when_asked_for(self):
        it = start(self.mesh, api={"address": "127.0.0.1:0", "plaintext_loopback": True})
        self.assertTrue(it.endpoints["api"].startswith("http://"))
        self.assertEqual(200, it.get("/v1/status").status)

    def test_plaintext_is_not_served_otherwise(self):
        it = start(self.mesh)
        address, port = it.endpoints["api"].rpartition("/")[2].rsplit(":", 1)
        with socket.create_connection((address, int(port)), timeout=PATIENCE) as raw:
            raw.sendall(b"GET /v1/services HTTP/1.1\r\nhost: localhost\r\n\r\n")
            self.assertNotIn(b"HTTP/", raw.recv(4096))


class OpenApi(Shared):
    def test_it_describes_what_is_served(self):
        self.good(self.it.put(service("described")))
        described = self.it.get("/openapi.json").json
        self.assertEqual("3.1.0", described["openapi"])
        for path, operations in described["paths"].items():
            real = path.replace("{namespace}", "default").replace("{name}", "described")
            for method in ("get", "put", "post", "delete", "patch"):
                with self.subTest(path=path, method=method):
                    body = None
                    if "requestBody" in operations.get(method, {}):
                        body = {}
                    if path.startswith("/v1/ca/") and method == "post":
                        continue  # would change what other cases look at; see BadInput
                    answer = self.it.ask(method.upper(), real, body)
                    if method not in operations:
                        self.assertEqual(405, answer.status)
                        continue
                    responses = operations[method]["responses"]
                    self.assertIn(str(answer.status), responses, answer.body)
                    kind = answer.headers["content-type"]
                    self.assertIn(kind, responses[str(answer.status)]["content"])
        references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
        self.assertEqual(set(), references - set(described["components"]["schemas"]))

    def test_metrics_and_ready(self):
        self.assertEqual((200, b"ready\n"), (lambda a: (a.status, a.body))(self.it.ask_metrics("/ready")))
        text = self.it.ask_metrics("/metrics").body.decode()
        for name in ("tulle_store_revision", "tulle_api_requests_total", "tulle_certificate_not_after_seconds"):
            self.assertIn(name, text)
        self.assertEqual(404, self.it.ask_metrics("/v1/services").status)


class Documentation(ControlPlaneCase):
    def test_every_line_of_the_document_works(self):
        it = start(self.mesh)
        lines = [line[4:] for line in Path(os.path.join(ROOT, "docs", "api.md")).read_bytes().decode().splitlines()
                 if line.startswith(("    mesh ", "    export AUTH", "    alias "))]
        self.assertGreater(len([line for line in lines if line.startswith("mesh ")]), 15)
        script = "shopt -s expand_aliases\nset -e\nexport API=%s DATA=%s\n" % (it.endpoints["api"], it.data)
        done = subprocess.run([program("bash"), "-c", script + "set -x\n" + "\n".join(lines)], capture_output=True,
                              text=True, timeout=PATIENCE)
        self.assertEqual(0, done.returncode, done.stdout[-2000:] + done.stderr[-2000:])
        described = it.get("/openapi.json").json["paths"]
        for path in described:
            words = re.escape(path).replace(r"\{namespace\}", r"[\w-]+").replace(r"\{name\}", r"[\w-]+")
            if "httproutes" not in path and "workloads" not in path:  # as services
                self.assertRegex("\n".join(lines) + "\n", r"\$API" + words + r"[?\" \n]", path)


if __name__ == "__main__":
    unittest.main()
