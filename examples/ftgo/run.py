"""Starts the FTGO mesh with `tulle up`, tells its story and checks every claim. Started by examples/run."""
import json
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

from customers import Customers  # noqa: E402
from meshkit import probes  # noqa: E402
from meshkit.collector import Collector, chain, tree  # noqa: E402
from meshkit.narration import Story  # noqa: E402
from meshkit.playing import play  # noqa: E402
from meshkit.processes import Failure, Process, wait_for  # noqa: E402

TRUST = "spiffe://ftgo.test/ns/default/sa/"


class Ftgo:
    def __init__(self, build, folder, story):
        self.build = build
        self.folder = folder
        self.story = story
        self.up = None
        self.customers = None
        self.collector = Collector()

    # ---- the mesh, from outside ---------------------------------------------------------------

    def program(self, name):
        return os.path.join(self.build, "bin", name)

    def tulle(self, *arguments, seconds=40):
        """Exit status and everything a command has printed."""
        done = subprocess.run([self.program("tulle"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds)
        return done.returncode, done.stdout

    def status(self):
        code, text = self.tulle("status", self.run_directory, "--output", "json")
        if code == 3:
            raise Failure("tulle status: " + text)
        return json.loads(text)

    def instance(self, name):
        return next(one for one in self.status()["instances"] if one["name"] == name)

    def access_log(self, instance, condition):
        """The newest access log line of an instance's sidecar for which the condition holds, or None."""
        with open(os.path.join(self.run_directory, "logs", instance + ".sidecar.log")) as lines:
            for line in reversed(lines.readlines()):
                _, _, text = line.partition(" ")
                try:
                    entry = json.loads(text)
                except ValueError:
                    continue
                if isinstance(entry, dict) and condition(entry):
                    return entry
        return None

    def metric(self, instance, pattern):
        """The sum of the samples of a sidecar's metrics whose name and labels match."""
        text = probes.get(self.instance(instance)["adminPort"], "/metrics").body.decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern, line))

    def order(self, dish="pizza", count=1):
        answer = probes.get(self.web_port, "/orders", {"content-type": "application/json"}, "POST",
                            json.dumps({"dish": dish, "count": count}))
        return answer.status, json.loads(answer.body)

    def set_mood(self, instance, failures):
        answer = probes.get(self.instance(instance)["port"], "/mood", {}, "PUT", json.dumps({"failures": failures}))
        if answer.status != 200:
            raise Failure("%s does not change its mood: %d" % (instance, answer.status))

    # ---- the story ----------------------------------------------------------------------------

    def start(self):
        self.story.step("tulle up examples/ftgo/mesh.yaml: control plane, sidecars and services, in one command")
        # Ports are free ones and files are in our folder, so that copies can run side by side.
        env = dict(os.environ, FTGO_ACCOUNTING=self.program("ftgo_accounting"))
        self.up = Process("up", [self.program("tulle"), "up", os.path.join(HERE, "mesh.yaml"), "--state-dir", self.folder,
                                 "--zipkin", self.collector.url], self.folder, env, own_session=True)
        self.run_directory = os.path.join(self.folder, "ftgo")
        self.up.wait_for_line(r"mesh ftgo: (\d+) of \1 instances are up", 60, "out")
        self.began = self.up.wait_for_line(r"instances are up, after ([\d.]+) s", 5, "out").group(1)
        status = wait_for(lambda: self.all_synced(), "every sidecar has its configuration", 20)
        self.web_port = next(one["port"] for one in status["instances"] if one["service"] == "web")
        for one in status["instances"]:
            self.story.fact(one["name"], "127.0.0.1:%-5d  %s" % (one["port"], one["identity"]))
        identities = {one["identity"] for one in status["instances"]}
        wanted = {TRUST + name for name in ("web", "orders", "kitchen", "accounting")}
        self.story.claim(identities == wanted, "%d instances are up after %s s; each has a certificate of the mesh's own CA"
                         % (len(status["instances"]), self.began), "issued against one-time tokens; keys never left their sidecars")

    def all_synced(self):
        status = self.status()
        return status if all(one["sync"] == "synced" and one["state"] == "up" for one in status["instances"]) else None

    def first_orders(self):
        story = self.story
        story.step("A customer orders: web -> orders -> kitchen, then accounting; mutual TLS between all of them")
        status, order = self.order("pizza", 2)
        story.claim(status == 201 and order.get("state") == "approved",
                    "curl -X POST -d '{\"dish\": \"pizza\", \"count\": 2}' http://127.0.0.1:%d/orders" % self.web_port,
                    json.dumps(order))
        status, order = self.order("pizza", 20)
        story.claim(status == 409 and "more than 200.00" in order.get("error", ""),
                    "20 pizzas are refused by accounting, and its answer comes back as it is", order.get("error"))
        kitchen = wait_for(lambda: self.find_kitchen_line(), "an access log line of a kitchen's sidecar")
        story.claim(kitchen["peer"] == TRUST + "orders",
                    "the kitchen's sidecar was called by %s, as its certificate says" % kitchen["peer"],
                    json.dumps({key: kitchen.get(key) for key in ("listener", "protocol", "method", "path", "status", "peer")}))
        orders = wait_for(lambda: self.access_log("orders-1", lambda entry: entry.get("upstream_peer") == TRUST + "accounting"),
                          "an access log line about accounting")
        story.claim(orders["upstream_peer"] == TRUST + "accounting",
                    "the sidecar of orders has reached %s" % orders["upstream_peer"],
                    json.dumps({key: orders.get(key) for key in ("listener", "method", "authority", "path", "status", "upstream_peer")}))

    def find_kitchen_line(self):
        for name in ("kitchen-1", "kitchen-2", "kitchen-3"):
            found = self.access_log(name, lambda entry: entry.get("path") == "/tickets" and entry.get("peer"))
            if found:
                return found
        return None

    def show_a_trace(self):
        story = self.story
        story.step("What happened to an order: one trace, although no service knows of spans")
        spans = wait_for(self.find_trace, lambda: "a trace of an order: %r" % self.collector.traces(), 20)
        for line in tree(spans):
            story.tell(line)
        called = sorted({" -> ".join(chain(span, spans)) for span in spans if span["kind"] == "SERVER"})
        story.claim(called == ["web -> orders", "web -> orders -> accounting", "web -> orders -> kitchen"],
                    "its %d spans have the right parents, across Node.js, Python and C++" % len(spans), "\n".join(called))
        kitchen = next(span for span in spans if span["kind"] == "SERVER" and chain(span, spans)[-1] == "kitchen")
        story.claim(kitchen["tags"].get("tulle.peer.identity") == TRUST + "orders",
                    "each says who called, as verified, and which configuration it was served by",
                    json.dumps({key: kitchen["tags"].get(key) for key in ("tulle.peer.identity", "tulle.config_version",
                                                                           "tulle.request_id")}))
        self.collector.close()
        story.tell("Here the collector goes away. From now on every sidecar has spans that nobody takes; orders do not notice.")

    def find_trace(self):
        """The spans of an order in which kitchen and accounting took part, once all of them are here."""
        for spans in self.collector.traces():
            if len(spans) == 12 and {"kitchen", "accounting"} <= {span["localEndpoint"]["serviceName"] for span in spans}:
                return spans
        return None

    def begin_orders(self):
        self.customers = Customers(self.web_port)
        wait_for(lambda: self.customers.count() >= 100, "the first hundred orders")
        self.story.tell("From here on orders never stop: %d customers, one after the other." % self.customers.SIZE)

    def claim_all_approved(self, since, what):
        failed = self.customers.failures(since)
        self.story.claim(not failed, "%d orders %s, %d failed" % (self.customers.count(since), what, len(failed)),
                         "\n".join(failed[:3]))

    def shift_traffic(self):
        story = self.story
        story.step("20 % of the tickets for the new kitchen, while orders flow")
        before = self.customers.mark()
        wait_for(lambda: self.customers.count(before) >= 100, "a hundred orders")
        versions = self.customers.versions(before)
        story.claim(set(versions) == {"v1"}, "so far every ticket is from version 1: %r" % dict(versions))
        change = os.path.join(HERE, "changes", "kitchen-20-percent-v2.yaml")
        began = time.monotonic()
        code, text = self.tulle("apply", "-f", change, "--mesh", self.run_directory)
        story.claim(code == 0, "tulle apply -f examples/ftgo/changes/kitchen-20-percent-v2.yaml", text.strip())
        wait_for(lambda: "v2" in self.customers.versions(before), "the first ticket of version 2")
        story.tell("the first ticket of version 2 came %.0f ms later" % ((time.monotonic() - began) * 1000))
        since = self.customers.mark()
        wait_for(lambda: self.customers.count(since) >= 500, "five hundred orders", 30)
        versions = self.customers.versions(since)
        share = versions["v2"] / sum(versions.values())
        story.claim(0.13 < share < 0.27, "of %d tickets after that, %.0f %% are from version 2" % (sum(versions.values()), share * 100))
        self.claim_all_approved(before, "meanwhile")

    def kill_an_instance(self):
        story = self.story
        story.step("kill -9 kitchen-1, while orders flow")
        victim = self.instance("kitchen-1")
        since = self.customers.mark()
        os.kill(victim["pid"], signal.SIGKILL)
        self.up.wait_for_line(r"kitchen-1 +\| died: signal 9", 10, "out")
        story.tell("tulle up says:  " + self.last_line(r"kitchen-1 +\| died.*"))
        back = wait_for(lambda: (lambda one: one if one["state"] == "up" and one["pid"] not in (0, victim["pid"]) else None)
                        (self.instance("kitchen-1")), "kitchen-1 is up again")
        story.claim(back["restarts"] >= 1, "it was started again: process %d instead of %d, on the same port %d"
                    % (back["pid"], victim["pid"], back["port"]))
        again = self.customers.mark()
        wait_for(lambda: self.customers.kitchens(again)["kitchen-1"] > 0, "a ticket of the new kitchen-1", 30)
        story.tell("and it accepts tickets again")
        self.claim_all_approved(since, "since the kill")

    def last_line(self, pattern):
        found = re.findall(pattern, self.up.out)
        return re.sub(r"\033\[[\d;]*m", "", found[-1]).strip() if found else ""

    def fail_half(self):
        story = self.story
        story.step("kitchen-2 fails half of its tickets, while orders flow")
        since = self.customers.mark()
        before = self.ejections()
        self.set_mood("kitchen-2", 0.5)
        wait_for(lambda: self.ejections() > before, "kitchen-2 is ejected", 30)
        story.claim(True, "the sidecar of orders has ejected it after 5 failures in a row",
                    "tulle_ejections_total in http://127.0.0.1:%d/metrics" % self.instance("orders-1")["adminPort"])
        retries = self.metric("orders-1", r"tulle_retries_total")
        story.tell("%d attempts were repeated at another kitchen so far" % retries)
        self.claim_all_approved(since, "meanwhile")
        self.set_mood("kitchen-2", 0)

    def ejections(self):
        return self.metric("orders-1", r"tulle_ejections_total")

    def lose_the_control_plane(self):
        story = self.story
        story.step("No control plane: frozen for 3 seconds, then killed, while orders flow")
        since = self.customers.mark()
        plane = self.status()["controlPlane"]["pid"]
        os.kill(plane, signal.SIGSTOP)
        try:
            began = time.monotonic()
            wait_for(lambda: time.monotonic() - began > 3, "three seconds", 10)
        finally:
            os.kill(plane, signal.SIGKILL)
        self.claim_all_approved(since, "without it")
        self.up.wait_for_line(r"control-plane +\| up again", 20, "out")
        story.tell("tulle up has started it again; it knows everything it had acknowledged")
        wait_for(self.all_synced, "every sidecar is back", 30)
        route = os.path.join(HERE, "policies", "kitchen-route.yaml")
        code, text = self.tulle("apply", "-f", route, "--mesh", self.run_directory)
        back = self.customers.mark()
        wait_for(lambda: self.customers.count(back) >= 200, "two hundred orders")
        late = self.customers.mark()
        wait_for(lambda: self.customers.count(late) >= 100, "a hundred orders")
        story.claim(code == 0 and set(self.customers.versions(late)) == {"v1"},
                    "and changes reach the sidecars again: all tickets from version 1", text.strip())
        self.claim_all_approved(since, "from the freeze until now")

    def refusals(self):
        story = self.story
        story.step("Nobody gets in without an identity")
        kitchen = self.instance("kitchen-1")
        ticket = probes.request_bytes("/health", "kitchen")
        plain = probes.exchange(kitchen["inboundPort"], ticket)
        story.claim(not plain.served, "plain HTTP to the kitchen's sidecar is refused: " + plain.words())
        bundle = os.path.join(self.run_directory, "control-plane", "state", "ca", "root.pem")
        none = probes.exchange(kitchen["inboundPort"], ticket, probes.tls_context(bundle, alpn=("tulle-h2",)), "kitchen")
        story.claim(not none.served, "TLS without a certificate is refused: " + none.words())
        code, text = self.tulle("get", "services", "--api", self.status()["controlPlane"]["api"], "--ca-file", bundle,
                                "--token-file", "/etc/hostname")
        story.claim(code != 0, "so is the control plane's API without its token", text.strip().splitlines()[0])

    def end_orders(self):
        if self.customers is not None:
            self.customers.stop()

    def down(self):
        story = self.story
        story.step("tulle down")
        status = self.status()
        pids = [one[key] for one in status["instances"] for key in ("pid", "sidecarPid")] + [status["controlPlane"]["pid"]]
        ports = [one[key] for one in status["instances"] for key in ("port", "inboundPort", "outboundPort", "adminPort")]
        code, text = self.tulle("down", self.run_directory)
        left = [pid for pid in pids if os.path.exists("/proc/%d" % pid)]
        story.claim(code == 0 and not left, "%d processes have ended, none is left" % len(pids), text.strip())
        open_ports = [port for port in ports if probes.exchange(port, b"", seconds=1).error != "connection refused"]
        story.claim(not open_ports, "%d ports are free again" % len(ports), str(open_ports or ""))
        story.claim(self.up.wait(20) == 0, "tulle up has ended with status 0")

    def stop(self):
        self.end_orders()
        if self.up is not None and self.up.running():
            self.up.signal(signal.SIGTERM)
            try:
                self.up.wait(40)
            except Failure:
                self.up.stop()

    def urls(self):
        tulle = os.path.relpath(self.program("tulle"))
        metrics = self.instance("orders-1")["adminPort"]
        self.story.tell("", "The page:          http://127.0.0.1:%d/" % self.web_port,
                        "What runs:         %s status" % tulle,
                        "What they say:     %s logs -f" % tulle,
                        "Who calls whom:    %s logs orders --sidecars" % tulle,
                        "What there is:     %s get httproutes" % tulle,
                        "Change it:         %s apply -f examples/ftgo/changes/kitchen-20-percent-v2.yaml" % tulle,
                        "Metrics of orders: http://127.0.0.1:%d/metrics" % metrics,
                        "How it is made:    examples/ftgo/mesh.yaml, examples/ftgo/policies")


def tell(ftgo, once):
    ftgo.start()
    ftgo.first_orders()
    ftgo.show_a_trace()
    ftgo.begin_orders()
    ftgo.shift_traffic()
    ftgo.kill_an_instance()
    ftgo.fail_half()
    ftgo.lose_the_control_plane()
    ftgo.refusals()
    ftgo.end_orders()
    if once:
        ftgo.down()
    else:
        ftgo.urls()


def run(options, folder):
    story = Story("FTGO, food to go: four services in three languages, one command, mutual TLS everywhere")
    ftgo = Ftgo(options.build_dir, folder, story)
    began = time.monotonic()
    try:
        tell(ftgo, options.once)
        print("\n%s, in %.0f s" % (story.summary(), time.monotonic() - began), flush=True)
        if not options.once:
            print("The mesh keeps running. Ctrl-C stops it.", flush=True)
            ftgo.up.wait(float(10 ** 8))
            raise Failure("tulle up has ended\n" + ftgo.up.evidence())
        return 1 if story.broken else 0
    finally:
        ftgo.stop()


if __name__ == "__main__":
    sys.exit(play("ftgo", run))
