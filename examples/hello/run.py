"""Starts the hello mesh, drives it and checks every claim it prints. Started by examples/run."""
import concurrent.futures
import json
import os
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

from meshkit import capture, probes  # noqa: E402
from meshkit.bootstrap import fill  # noqa: E402
from meshkit.certificates import Authority  # noqa: E402
from meshkit.narration import Story  # noqa: E402
from meshkit.playing import play  # noqa: E402
from meshkit.processes import Failure, Process, SidecarProcess, wait_for  # noqa: E402

TRUST = "spiffe://hello.test/ns/default/sa/"


class Hello:
    def __init__(self, binary, folder, story, once):
        self.once = once
        self.binary = binary
        self.folder = folder
        self.story = story
        self.processes = []

    # ---- starting -----------------------------------------------------------------------------

    def start(self):
        self.make_certificates()
        self.story.step("Two services, each with a sidecar beside it")
        greeter = self.process("greeter", [sys.executable, os.path.join(HERE, "greeter.py")])
        self.greeter_port = int(greeter.wait_for_line(r"on port (\d+)", stream="out").group(1))
        self.greeter_sidecar = self.sidecar("greeter-sidecar", "greeter-sidecar.json",
                                            identity="greeter", greeter_port=self.greeter_port)
        self.inbound = self.greeter_sidecar.port("inbound")
        # Carries a good certificate of the mesh, for somebody else: what a stolen address looks like.
        impostor = self.sidecar("impostor-sidecar", "greeter-sidecar.json",
                                identity="impostor", greeter_port=self.greeter_port)
        self.web_sidecar = self.sidecar("web-sidecar", "web-sidecar.json", greeter_sidecar_port=self.inbound,
                                        impostor_port=impostor.port("inbound"))
        self.outbound = self.web_sidecar.port("outbound")
        web = self.process("web", [shutil.which("node"), os.path.join(HERE, "web.js")],
                           dict(os.environ, http_proxy="http://127.0.0.1:%d" % self.outbound))
        self.web_port = int(web.wait_for_line(r"on port (\d+)", stream="out").group(1))
        for name, where in (("web", "127.0.0.1:%d  plain HTTP, Node.js, http_proxy points to its sidecar" % self.web_port),
                            ("web-sidecar", "127.0.0.1:%d  outbound, for web only" % self.outbound),
                            ("greeter-sidecar", "127.0.0.1:%d  inbound, mutual TLS only" % self.inbound),
                            ("greeter", "127.0.0.1:%d  plain HTTP, Python" % self.greeter_port)):
            self.story.fact(name, where)

    def make_certificates(self):
        self.story.step("Certificates, made now with openssl")
        folder = os.path.join(self.folder, "certificates")
        self.ca = Authority(folder, "ca")
        self.web = self.ca.issue("web", TRUST + "web")
        self.greeter = self.ca.issue("greeter", TRUST + "greeter")
        self.impostor = self.ca.issue("impostor", TRUST + "impostor")
        self.foreign_ca = Authority(os.path.join(folder, "foreign"), "foreign-ca")
        self.stranger = self.foreign_ca.issue("stranger", TRUST + "web")
        self.story.fact("mesh CA", "signs the identities of hello.test (ECDSA P-256)")
        for leaf in (self.web, self.greeter, self.impostor):
            self.story.fact(os.path.basename(leaf.certificate)[:-4], leaf.identity)
        self.story.fact("foreign CA", "signs a certificate that claims %s, too" % self.stranger.identity)

    def process(self, name, command, env=None):
        process = Process(name, command, self.folder, env, own_session=True)
        self.processes.append(process)
        return process

    def sidecar(self, name, template, **values):
        path = os.path.join(self.folder, name + ".json")
        with open(path, "w") as out:
            out.write(fill(os.path.join(HERE, template), values))
        process = SidecarProcess(self.binary, name, path, self.folder, own_session=True)
        self.processes.append(process)
        admin = process.port("admin")
        process.wait_for(lambda: self.answers(admin, "/ready"), "/ready answers 200")
        return process

    @staticmethod
    def answers(port, path):
        try:
            return probes.get(port, path).status == 200
        except OSError:
            return False

    def stop(self):
        for process in reversed(self.processes):
            process.signal(signal.SIGTERM)
        for process in reversed(self.processes):
            process.stop()

    # ---- the story ----------------------------------------------------------------------------

    def requests(self, count=200, at_once=8):
        story = self.story
        story.step("Requests: you -> web -> its sidecar == mutual TLS ==> sidecar of greeter -> greeter")
        first = probes.get(self.web_port, "/?name=Ada")
        text = first.body.decode().strip()
        story.claim(first.status == 200 and "Hello, Ada!" in text, "curl 'http://127.0.0.1:%d/?name=Ada'" % self.web_port,
                    "%d %s" % (first.status, text))
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            answers = list(pool.map(lambda number: probes.get(self.web_port, "/?name=n%d" % number), range(count)))
        right = sum(answer.status == 200 and b"Hello, n%d!" % number in answer.body
                    for number, answer in enumerate(answers))
        story.claim(right == count, "%d of %d more requests answered, %d at a time, in %.2f s"
                    % (right, count, at_once, time.monotonic() - began))
        direct = probes.get(self.outbound, "http://nobody/")
        story.claim(direct.status == 404 and direct.headers.get("tulle-error") == "no_route",
                    "a name the mesh does not know: %d, tulle-error: %s" % (direct.status, direct.headers.get("tulle-error")),
                    direct.body.decode(errors="replace").strip())

    def log_line(self, sidecar, wanted):
        """The newest access log line for which wanted(entry) holds."""
        for line in reversed(sidecar.out.splitlines()):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and wanted(entry):
                return entry
        return None

    def identities(self):
        story = self.story
        story.step("Who talked to whom, as each side has verified it")
        for sidecar, field, peer, text in (
                (self.greeter_sidecar, "peer", TRUST + "web", "the sidecar of greeter was called by"),
                (self.web_sidecar, "upstream_peer", TRUST + "greeter", "the sidecar of web has reached")):
            entry = wait_for(lambda: self.log_line(sidecar, lambda found: "Ada" in str(found.get("path"))),
                             lambda: "an access log line about /hello?name=Ada\n" + sidecar.evidence())
            seen = entry.get(field)
            shown = ("listener", "protocol", "method", "path", "status", "duration_us", field)
            story.claim(seen == peer, "%s %s" % (text, seen), json.dumps({key: entry.get(key) for key in shown}))

    def refusals(self):
        story = self.story
        story.step("What the sidecar of greeter refuses, and what the sidecar of web refuses")
        hello = probes.request_bytes("/hello?name=Mallory", "greeter")
        ca = self.ca.certificate

        def ask(leaf):
            return probes.exchange(self.inbound, hello, probes.tls_context(ca, leaf), "greeter")

        good = ask(self.web)
        story.claim(b"Hello, Mallory!" in good.answer and good.peer == (TRUST + "greeter",),
                    "for comparison, the certificate of web gets in: %s, %s" % (good.words(), good.version))
        plain = probes.exchange(self.inbound, hello)
        story.claim(not plain.served, "plain HTTP is refused: " + plain.words())
        none = ask(None)
        story.claim(not none.served, "a client without a certificate is refused: " + none.words())
        stranger = ask(self.stranger)
        story.claim(not stranger.served, "a certificate of another CA is refused: " + stranger.words(),
                    "although it says " + self.stranger.identity)
        old = probes.exchange(self.inbound, hello,
                              probes.tls_context(ca, self.web, maximum=probes.ssl.TLSVersion.TLSv1_2), "greeter")
        story.claim(not old.served, "TLS 1.2 is refused: " + old.words())
        impostor = probes.get(self.outbound, "http://impostor/hello?name=Ada")
        story.claim(impostor.status == 502 and impostor.headers.get("tulle-error") == "identity_mismatch"
                    and b"Hello" not in impostor.body,
                    "a server with the wrong identity is not talked to: %d, tulle-error: %s"
                    % (impostor.status, impostor.headers.get("tulle-error")),
                    impostor.body.decode(errors="replace").strip())
        again = probes.get(self.web_port, "/?name=Ada")
        story.claim(again.status == 200, "and web still gets its greetings")

    # ---- the wire -----------------------------------------------------------------------------

    def begin_capture(self):
        """tcpdump on loopback; None, with the reason told, where that is not possible."""
        self.tcpdump = None
        program = shutil.which("tcpdump") or shutil.which("tcpdump", path="/usr/sbin:/sbin")
        if program is None:
            self.no_capture = "tcpdump is not installed"
            return
        ports = "tcp port %d or tcp port %d" % (self.inbound, self.greeter_port)
        tcpdump = self.process("capture", [program, "-i", "lo", "-n", "-U", "-s", "0", "-B", "16384", "-w", "-", ports])
        try:
            tcpdump.wait_for_line("listening on")
            self.tcpdump = tcpdump
        except Failure:
            self.no_capture = "tcpdump may not capture here: " + (tcpdump.err.strip().splitlines() or ["no reason given"])[-1]

    def end_capture(self):
        story = self.story
        story.step("What was on the wire meanwhile")
        if self.tcpdump is None:
            story.skip("capture between the sidecars", self.no_capture)
            return
        self.tcpdump.signal(signal.SIGINT)
        self.tcpdump.wait()
        with open(self.tcpdump.out_path, "rb") as content:
            data = content.read()
        between = capture.Report(data, self.inbound)
        behind = capture.Report(data, self.greeter_port)
        story.claim(between.only_tls13(), "between the sidecars: %d connection%s, %d bytes, all of it TLS 1.3 records"
                    % (between.connections, "s"[:between.connections != 1], between.bytes),
                    ", ".join("%d %s" % (count, name) for name, count in between.records.most_common())
                    + "".join("\nnot TLS: " + text for text in between.plain[:3]))
        story.claim(not any(word in between.payload for word in (b"Hello, ", b"/hello?name", b"PRI * HTTP", b"greeting")),
                    "no request, header or greeting can be read there")
        story.claim(b"GET /hello?name=Ada" in behind.payload and b"Hello, Ada!" in behind.payload,
                    "the same capture does show them in clear between greeter and its own sidecar",
                    "so the reader is not blind")

    def urls(self):
        story = self.story
        story.step("Try it" if not self.once else "To try (without --once it stays up)")
        for what, how in (
                ("through the mesh", "curl 'http://127.0.0.1:%d/?name=you'" % self.web_port),
                ("as web", "curl -x http://127.0.0.1:%d http://greeter/hello" % self.outbound),
                ("sidecar of web", "http://127.0.0.1:%d/metrics  /config  /ready" % self.web_sidecar.port("admin")),
                ("sidecar of greeter", "http://127.0.0.1:%d/metrics  /config  /ready" % self.greeter_sidecar.port("admin")),
                ("files and logs", os.path.relpath(self.folder, ROOT))):
            story.fact(what, how)


def run(options, folder):
    story = Story('Example "hello": two services that know nothing of a mesh, two sidecars, mutual TLS between them')
    mesh = Hello(os.path.join(options.build_dir, "bin", "tulle-sidecar"), folder, story, options.once)
    try:
        mesh.start()
        mesh.begin_capture()
        mesh.requests()
        mesh.identities()
        mesh.end_capture()
        mesh.refusals()
        mesh.urls()
        print("\n" + story.summary(), flush=True)
        if not options.once:
            print("The mesh keeps running. Ctrl-C stops it.", flush=True)
            while all(process.running() for process in mesh.processes if process is not mesh.tcpdump):
                time.sleep(0.5)
            dead = [process for process in mesh.processes if not process.running() and process is not mesh.tcpdump]
            raise Failure("\n".join(process.evidence() for process in dead))
        return 1 if story.broken else 0
    finally:
        mesh.stop()


if __name__ == "__main__":
    sys.exit(play("hello", run))
