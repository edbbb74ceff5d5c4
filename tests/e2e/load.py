"""Load through a mutual TLS pair while configuration and certificates change under it."""
import itertools
import re

from mesh import (PATIENCE, MeshCase, bootstrap, client_tls, cluster, host, identity_files, listener, program,
                  replace_file, route, server_tls, spiffe, wait_for)

ANSWER = "x" * 200


class LoadWhileReloading(MeshCase):
    """h2load (both versions) and wrk drive the pair; every answer must be a 200."""

    def start(self):
        names = ("blue", "green")
        self.applications = [self.mesh.nginx(name, 'location / { return 200 "%s"; }' % ANSWER).listening_port
                             for name in names]
        self.leaves = {name: self.mesh.leaf(name) for name in ("caller", "callee")}
        self.trust = self.mesh.authority.certificate
        self.callee = self.mesh.sidecar("callee", self.callee_document(0))
        self.caller = self.mesh.sidecar("caller", self.caller_document(0))
        self.port = self.caller.port("outbound")
        self.reloads = 0

    # Each document differs from the one before in what requests depend on.

    def callee_document(self, turn):
        return bootstrap(
            listener("inbound", host("all", ["*"], route("application%d" % (turn % 2))), inbound=True, tls=server_tls()),
            cluster("application%d" % (turn % 2), self.applications[turn % 2]),
            cluster("unused%d" % turn, 9), node="callee", log="failures", grace=20,
            identity=identity_files(self.leaves["callee"], self.trust))

    def caller_document(self, turn):
        tls = client_tls(spiffe("callee"), sni="turn%d" % (turn % 3))
        return bootstrap(
            listener("outbound", host("service", ["service"], route("service%d" % (turn % 2), timeout="60s")),
                     host("host%d" % turn, ["host%d" % turn], route("service%d" % (turn % 2)))),
            cluster("service%d" % (turn % 2), self.callee.port("inbound"), protocol="auto", tls=tls),
            node="caller", log="failures", grace=20, identity=identity_files(self.leaves["caller"], self.trust))

    def reload_once(self):
        """Changes one thing and waits until it is in force."""
        self.reloads += 1
        turn = self.reloads
        sidecar = (self.caller, self.callee)[turn % 2]
        before = sidecar.config()["generation"]
        if turn % 5 == 0:
            name = ("caller", "callee")[turn % 2]
            fresh = self.mesh.authority.issue("%s-turn%d" % (name, turn), spiffe(name))
            for source, target in ((fresh.certificate, self.leaves[name].certificate), (fresh.key, self.leaves[name].key)):
                with open(source) as content:
                    replace_file(target, content.read())
        else:
            sidecar.rewrite((self.caller_document, self.callee_document)[turn % 2](turn))
        wait_for(lambda: sidecar.config()["generation"] != before, lambda: "reload %d\n%s" % (turn, sidecar.evidence()),
                 PATIENCE)

    # -- the drivers; each returns how many requests were answered

    def h2load(self, count, version):
        arguments = ["--h1", "-m", "1"] if version == 1 else ["-m", "10"]
        return [program("h2load"), "-n", str(count), "-c", "10", *arguments, "--connect-to=127.0.0.1:%d" % self.port,
                "http://service/"]

    def wrk(self, seconds):
        return [program("wrk"), "-t", "2", "-c", "20", "-d", "%ds" % seconds, "--timeout", "60s",
                "-H", "Host: service", "http://127.0.0.1:%d/" % self.port]

    def finish(self, process, seconds):
        """Reloads while the process runs, spread over its time; its result when it has ended."""
        self.assertEqual(0, process.wait(seconds), process.evidence())
        text = process.out
        if process.name.startswith("wrk"):
            self.assertNotIn("Non-2xx", text)
            self.assertNotIn("Socket errors", text)
            return int(re.search(r"(\d+) requests in", text).group(1))
        total, failed = re.search(r"requests: (\d+) total, .* (\d+) failed, ", text).groups()
        self.assertRegex(text, r"requests: %s total, %s started, %s done, %s succeeded, 0 failed, 0 errored, 0 timeout"
                         % (total, total, total, total))
        self.assertRegex(text, r"status codes: %s 2xx, 0 3xx, 0 4xx, 0 5xx" % total)
        self.assertEqual("0", failed)
        return int(total)

    def run_load(self, requests, reloads, batch, wrk_seconds, patience):
        """Batches of requests by the three drivers in turn; a reload at each part of every batch."""
        self.start()
        done = 0
        for number in itertools.count():
            if done >= requests and self.reloads >= reloads:
                break
            command = (self.h2load(batch, 2), self.wrk(wrk_seconds), self.h2load(batch, 1))[number % 3]
            process = self.mesh.process("%s-%d" % (command[0].rsplit("/", 1)[-1], number), command)
            # Spread over what is still to come, while this driver runs.
            wanted = min(reloads, 1 + reloads * (done + batch) // requests)
            while self.reloads < wanted and process.running():
                self.reload_once()
            done += self.finish(process, patience)
        print("%d requests, %d reloads" % (done, self.reloads))
        self.assertGreaterEqual(done, requests)
        self.assertGreaterEqual(self.reloads, reloads)
        # Nothing failed that the drivers did not see, either.
        for sidecar in (self.caller, self.callee):
            self.assertEqual([], sidecar.log(lambda entry: entry.get("flags") != "DC"), sidecar.evidence())
