"""The control plane as a process: what survives, and what it does not start with."""
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import unittest
from pathlib import Path

from control_plane import CONTROL_PLANE, ControlPlane, ControlPlaneCase, path_of, service, start
from mesh import PATIENCE, SANITIZER, program, wait_for


class Durability(ControlPlaneCase):
    def test_what_was_acknowledged_survives_kill_9(self):
        it = start(self.mesh, "killed")
        acknowledged, stop = [], threading.Event()

        def write(worker):
            number = 0
            while not stop.is_set():
                entry = service("s-%d-%d" % (worker, number))
                try:
                    if it.put(entry).status == 201:
                        acknowledged.append(entry["metadata"]["name"])
                except OSError:
                    return
                number += 1
        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(acknowledged) > 40, "40 writes", PATIENCE)
        it.signal(signal.SIGKILL)
        it.wait()
        stop.set()
        for thread in threads:
            thread.join()
        again = start(self.mesh, "killed")
        found = {item["metadata"]["name"] for item in again.get("/v1/services").json["items"]}
        self.assertEqual(set(), set(acknowledged) - found)
        self.assertEqual(again.token, it.token)

    def test_a_restart_keeps_everything(self):
        it = start(self.mesh, "kept")
        made = it.put(service("kept")).json
        self.assertEqual(0, it.stop(PATIENCE))
        again = start(self.mesh, "kept")
        seen = again.get(path_of(service("kept"))).json
        self.assertEqual(made["metadata"], seen["metadata"])
        changed = again.put(service("kept", 81)).json
        self.assertGreater(int(changed["metadata"]["resourceVersion"]), int(made["metadata"]["resourceVersion"]))

    def test_an_open_watch_does_not_hold_up_the_end(self):
        it = start(self.mesh)
        connection = it.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/services?watch=true", headers={"Authorization": "Bearer " + it.token})
        stream = connection.getresponse()
        stream.readline()
        it.signal(signal.SIGTERM)
        self.assertEqual(b"", stream.read())
        connection.close()
        self.assertEqual(0, it.wait(PATIENCE))


class Refusals(ControlPlaneCase):
    """What it does not start with: one message, exit status 1, nothing touched."""

    def refused(self, *expected, name="refused", **config):
        it = start(self.mesh, name, ready=False, **config)
        it.may_end_with = (1,)
        self.assertEqual(1, it.wait(PATIENCE), it.evidence())
        self.assertIsNone(SANITIZER.search(it.err), it.err)
        for words in expected:
            self.assertRegex(it.err, words)
        self.assertRegex(it.err, r"(?m)^tulle-control-plane: ")
        return it

    def data(self, name="refused"):
        folder = os.path.join(self.mesh.folder, name + ".data")
        os.makedirs(folder, exist_ok=True)
        return folder

    def test_a_file_that_is_no_database(self):
        path = os.path.join(self.data(), "tulle.db")
        with open(path, "wb") as out:
            out.write(b"not a database at all\n" * 400)
        before = Path(path).read_bytes()
        self.refused(re.escape(path), "not a database", "Nothing was changed. Restore the file")
        self.assertEqual(before, Path(path).read_bytes())

    def test_the_database_of_something_else(self):
        connection = sqlite3.connect(os.path.join(self.data(), "tulle.db"))
        connection.execute("CREATE TABLE theirs(x)")
        connection.commit()
        connection.close()
        self.refused("is not a database of Tulle", "move it away")

    def test_a_newer_schema(self):
        start(self.mesh, "refused").stop(PATIENCE)
        connection = sqlite3.connect(os.path.join(self.data(), "tulle.db"))
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        self.refused("schema version 99", "run the newer program")

    def test_a_damaged_database(self):
        it = start(self.mesh, "refused")
        for number in range(60):
            it.put(service("s%d" % number))
        it.stop(PATIENCE)
        path = os.path.join(self.data(), "tulle.db")
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            for page in range(1, size // 4096):
                file.seek(page * 4096)
                file.write(b"\xa5" * 2048)
        self.refused(re.escape(path), "Nothing was changed")

    def test_a_document_that_cannot_be_read(self):
        it = start(self.mesh, "refused")
        it.put(service("odd"))
        it.stop(PATIENCE)
        connection = sqlite3.connect(os.path.join(self.data(), "tulle.db"))
        connection.execute("UPDATE documents SET json = '{}'")
        connection.commit()
        connection.close()
        self.refused('Service "default/odd"', "cannot read")

    def test_two_on_one_directory(self):
        it = start(self.mesh, "shared")
        other = ControlPlane("other", self.mesh.folder, data_dir=it.data)
        self.mesh.processes.append(other)
        other.may_end_with = (1,)
        self.assertEqual(1, other.wait(PATIENCE))
        self.assertIn("held by another process", other.err)
        self.assertEqual(200, it.get("/v1/status").status)

    def test_ports_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            for part in ("xds", "api", "metrics"):
                with self.subTest(part):
                    self.refused(part + r"\.address", address, "in use", name="in-use-" + part, **{part: {"address": address}})

    def test_a_directory_that_cannot_be(self):
        path = self.mesh.write("file", "x")
        self.refused("data_dir", re.escape(path), data_dir=path + "/below")

    def test_the_admin_token(self):
        path = self.mesh.write("token", "short\n")
        self.refused("api.token_file", re.escape(path), "16", api={"address": "127.0.0.1:0", "token_file": path})

    def test_the_configuration(self):
        for config, path in (({"data_dir": ""}, "data_dir"), ({"xds": {"adress": "x"}}, r"xds\.adress: unknown field; did you mean \"address\""),
                             ({"xds": {"address": "localhost:1"}}, r"xds\.address"), ({"api": []}, "api"),
                             ({"api": {"address": "0.0.0.0:0", "plaintext_loopback": True}}, r"api\.plaintext_loopback"),
                             ({"ca": {"certificate_lifetime_seconds": 1}}, r"ca\.certificate_lifetime_seconds"),
                             ({"ca": {"key_file": "x"}}, r"ca\.certificate_file"),
                             ({"tracing": {}}, "tracing: needs one of otlp and zipkin"),
                             ({"tracing": {"otlp": "http://collector:4318"}}, r"tracing\.otlp.*names are not looked up"),
                             ({"tracing": {"zipkin": "https://127.0.0.1:1"}}, r"tracing\.zipkin.*http://"),
                             ({"tracing": {"otlp": "http://127.0.0.1:1", "sampling_percent": 101}}, r"tracing\.sampling_percent"),
                             ({"trust_domain": "Mesh_Local/"}, "trust_domain"), ({"metrics": {"address": 1}}, r"metrics\.address"),
                             ({"nonsense": 1}, "nonsense")):
            with self.subTest(config=config):
                self.refused(path, name="config-%d" % len(self.mesh.processes), **config)

    def test_check_and_usage(self):
        def run(*arguments):
            return subprocess.run([CONTROL_PLANE, *arguments], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(2, run().returncode)
        self.assertEqual(0, run("--help").returncode)
        self.assertRegex(run("--version").stdout, r"^tulle-control-plane \d+\.\d+\.\d+\n$")
        good = self.mesh.write("good.json", {"data_dir": self.mesh.path("nothing")})
        checked = run("--config", good, "--check")
        self.assertEqual((0, ""), (checked.returncode, checked.stderr))
        self.assertFalse(os.path.exists(self.mesh.path("nothing")))
        self.assertEqual(1, run("--config", self.mesh.path("none.json")).returncode)


if __name__ == "__main__":
    unittest.main()
