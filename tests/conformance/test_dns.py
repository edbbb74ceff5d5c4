"""Names outside of the mesh, looked up at a name server that is silent, lies, or talks too much."""
import http.server
import socket
import struct
import threading
import time
import unittest

import stage  # noqa: F401  (finds tests/e2e)
import test_pushed_configuration as pushed
from mesh import PATIENCE, SANITIZER, Mesh, show_evidence, wait_for
from name_server import A, CNAME, NameServer, encode
from own_network import inside

SYSTEM = {"/etc/resolv.conf": "nameserver 127.0.0.1\n", "/etc/hosts": "127.0.0.1 localhost\n"}
THIEF = "127.6.6.6"
MANY = ["127.%d.%d.%d" % (1 + number // 62500, number // 250 % 250, 1 + number % 250) for number in range(4090)]


class Reached(http.server.BaseHTTPRequestHandler):
    """Says at which address it was reached."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.connection.getsockname()[0].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def lies(server, query):
    """What is not from the server that was asked, or no answer to what was asked."""
    false = query.addresses(THIEF)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other_port, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other_address:
        other_address.bind(("127.0.0.2", 53))
        for sock in (other_port, other_address):
            sock.sendto(false, server.client)
    server.udp.sendto(query.addresses(THIEF, number=query.id ^ 1), server.client)
    server.udp.sendto(query.addresses(THIEF, question=encode("other.example") + struct.pack(">HH", query.type, 1)),
                      server.client)


def script(server, query, send, tcp):
    kind = query.name.split(".")[0].split("-")[0]
    if kind == "black":
        return
    if kind in ("many", "huge"):
        # 1,000 addresses, or as many as fit in 64 KiB; first a word that UDP is too small for them.
        send(query.addresses(*MANY[:1000 if kind == "many" else 4090]) if tcp else query.addresses(truncated=True))
    elif kind == "loop":
        chain = [query.name, "b." + query.name, "c." + query.name, query.name]
        send(query.answer([(owner, CNAME, encode(target)) for owner, target in zip(chain, chain[1:])]))
    elif kind == "spoof":
        lies(server, query)
        send(query.addresses("127.0.0.9"))
    elif kind == "elsewhere":
        # Whoever believes records of other names would go there from now on.
        send(query.answer([(None, A, socket.inet_aton("127.0.0.9")), ("good-9.example", A, socket.inet_aton(THIEF))]
                          if query.type == A else []))
    else:
        send(query.addresses("127.0.0.9"))


class Names(unittest.TestCase):
    def begin(self):
        """False: the case has been run in a network of its own, where port 53 is free."""
        if not inside(self, SYSTEM):
            return False
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)
        self.addCleanup(show_evidence, self, self.mesh)
        self.names = NameServer(script)
        self.addCleanup(self.names.close)
        self.origin = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Reached)
        self.addCleanup(self.origin.server_close)
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.addCleanup(self.origin.shutdown)
        control_plane = pushed.ControlPlane(self.mesh).start()
        self.caller = pushed.Member(self.mesh, control_plane, "caller-1", "caller", origin=False)
        self.caller.start()
        return True

    def ask(self, name):
        return self.caller.ask("%s:%d" % (name, self.origin.server_port))

    def assert_reached(self, name, *addresses):
        answer = self.ask(name)
        self.assertEqual(200, answer.status, (name, answer.body))
        self.assertIn(answer.body.decode(), addresses or ("127.0.0.9",), name)

    def endpoints(self, name):
        """The addresses that the sidecar uses for a name."""
        name = "external|%s:%d" % (name, self.origin.server_port)
        return [endpoint["address"] for cluster in self.caller.sidecar.config()["clusters"] if cluster["name"] == name
                for endpoint in cluster["endpoints"]]

    def assert_sound(self):
        self.assert_reached("good-last.example")
        self.assertTrue(self.caller.sidecar.running())
        self.assertIsNone(SANITIZER.search(self.caller.sidecar.err), self.caller.sidecar.evidence())

    def test_RX_13_names_whose_server_is_silent(self):
        """8 names to which the name server says nothing, 8 good names beside them, each by a client of its own -> the good ones are served before the first try of the others is over; these are answered 503 after both tries; later ones at once"""
        if not self.begin():
            return
        black = ["black-%d.example" % number for number in range(8)]
        answers = {}

        def ask(name):
            begin = time.monotonic()
            answers[name] = (self.ask(name), time.monotonic() - begin)
        threads = [threading.Thread(target=ask, args=(name,)) for name in black]
        for thread in threads:
            thread.start()
        wait_for(lambda: set(black) <= set(self.names.asked), "all silent names are asked for", PATIENCE)
        for number in range(8):
            ask("good-%d.example" % number)
            self.assertEqual(b"127.0.0.9", answers["good-%d.example" % number][0].body)
            # Alone it takes some milliseconds; a sanitizer build on a busy machine.
            self.assertLess(answers["good-%d.example" % number][1], 1.0)
        for thread in threads:
            thread.join(PATIENCE)
        for name in black:
            answer, seconds = answers[name]
            self.assertEqual((503, "no_endpoint"), (answer.status, answer.headers["tulle-error"]), name)
            self.assertLess(seconds, 10.0)
        ask(black[0])
        self.assertEqual(503, answers[black[0]][0].status)
        self.assertLess(answers[black[0]][1], 1.0)
        self.assert_sound()

    def test_RX_13_answers_that_are_too_long(self):
        """1,000 addresses, and an answer of 64 KiB, both over TCP after a truncated word over UDP -> 16 addresses are used, the request is served"""
        if not self.begin():
            return
        for name in ("many.example", "huge.example"):
            self.assert_reached(name, *MANY)
            self.assertEqual(16, len(set(self.endpoints(name))), name)
        self.assert_sound()

    def test_RX_13_aliases_that_go_round(self):
        """CNAMEs that lead back to where they began -> answered 503 at once; good names are served"""
        if not self.begin():
            return
        begin = time.monotonic()
        answer = self.ask("loop.example")
        self.assertEqual((503, "no_endpoint"), (answer.status, answer.headers["tulle-error"]))
        self.assertLess(time.monotonic() - begin, 1.5)
        self.assert_sound()
        self.assertLessEqual(self.names.asked.count("loop.example"), 8, "it is not asked for again and again")

    def test_RX_13_answers_from_somebody_else(self):
        """Answers from another port, another address, with another number, to another question, all before the right one; records of other names in a right one -> only the right answer to the question counts"""
        if not self.begin():
            return
        self.assert_reached("spoof.example")
        self.assert_reached("elsewhere.example")
        self.assert_reached("good-9.example")
        for name in ("spoof.example", "elsewhere.example", "good-9.example"):
            self.assertNotIn(THIEF, str(self.endpoints(name)), name)
        self.assert_sound()

    def test_RX_13_names_that_are_no_names(self):
        """A name of 304 bytes, labels of 64 bytes -> 400, or 503 at once; the name server is not asked"""
        if not self.begin():
            return
        answer = self.ask(".".join(["b" * 60] * 5))
        self.assertEqual(400, answer.status)
        for name in ("a" * 64 + ".example", "x." + "a" * 64):
            begin = time.monotonic()
            answer = self.ask(name)
            self.assertEqual((503, "no_endpoint"), (answer.status, answer.headers["tulle-error"]), name)
            self.assertLess(time.monotonic() - begin, 1.5)
        self.assert_sound()
        self.assertEqual([], [name for name in self.names.asked if "aaaa" in name or "bbbb" in name])


if __name__ == "__main__":
    unittest.main()
