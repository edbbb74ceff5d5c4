"""The tools of the stories themselves: an origin, a capture reader and a log check that lie would
make every other test worthless."""
import struct
import subprocess
import unittest

import mesh
from mesh import H1, H2, Mesh, Origin, capture, curl, pattern, program


class TheOrigin(unittest.TestCase):
    def setUp(self):
        self.origin = Origin("me")
        self.addCleanup(self.origin.close)
        self.url = "http://127.0.0.1:%d" % self.origin.port

    def test_echoes_and_records(self):
        answer = curl(self.url + "/echo", "--data-binary", "@-", stdin=pattern(100000))
        self.assertEqual((200, pattern(100000)), (answer.status, answer.body))
        self.assertEqual(["POST"], [one.method for one in self.origin.requests("/echo")])

    def test_trailers_reach_curl(self):
        answer = curl(self.url + "/chunked")
        self.assertEqual(b"first second third", answer.body)
        self.assertEqual("12345", answer["x-checksum"], answer)

    def test_a_cut_answer_is_an_error_for_curl(self):
        self.assertEqual(18, curl(self.url + "/cut/10").exit_status)

    def test_a_held_request_waits_for_its_release(self):
        self.origin.release("a")
        self.assertEqual(b"held a", curl(self.url + "/hold/a").body)


class Peers(unittest.TestCase):
    def setUp(self):
        self.mesh = Mesh()
        self.addCleanup(self.mesh.close)

    def test_nginx_takes_over_a_bound_port(self):
        nginx = self.mesh.nginx(server='location / { return 200 "nginx"; }')
        self.assertEqual(b"nginx", curl("http://127.0.0.1:%d/" % nginx.listening_port, *H1).body)

    def test_node_speaks_http2(self):
        url = "http://127.0.0.1:%d" % self.mesh.http2_origin().listening_port
        answer = curl(url + "/bytes/100000", *H2)
        self.assertEqual(("2", pattern(100000)), (answer.version, answer.body))
        self.assertEqual("12345", curl(url + "/chunked", *H2)["x-checksum"])

    def test_certificates_have_the_validity_asked_for(self):
        leaf = self.mesh.leaf("late", validity=("20200101000000Z", "20200102000000Z"))
        text = subprocess.run([program("openssl"), "x509", "-in", leaf.certificate, "-noout", "-enddate"],
                                   stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertIn("Jan  2 00:00:00 2020", text)


def packet(source, destination, sequence, flags, payload):
    tcp = struct.pack(">HHIIBBHHH", source, destination, sequence, 0, 5 << 4, flags, 0, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
    frame = b"\0" * 14 + ip + tcp
    return struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame


def capture_of(*packets):
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(packets)


def record(kind, body):
    return struct.pack(">BHH", kind, 0x0303, len(body)) + body


def server_hello(version):
    extension = struct.pack(">HHH", 43, 2, version)
    body = b"\x03\x03" + b"r" * 32 + b"\0" + b"\x13\x01\0" + struct.pack(">H", len(extension)) + extension
    return record(22, b"\x02" + struct.pack(">I", len(body))[1:] + body)


class TheCaptureReader(unittest.TestCase):
    """Proves that the check of the example can fail."""

    CLIENT = record(22, b"\x01 a client hello") + record(20, b"\1") + record(23, b"sealed")

    def report(self, client, server):
        return capture.Report(capture_of(
            packet(5000, 443, 99, 2, b""), packet(443, 5000, 499, 18, b""),
            packet(443, 5000, 500 + 5, 16, server[5:]), packet(5000, 443, 100, 16, client),
            packet(443, 5000, 500, 16, server[:5]), packet(443, 5000, 500, 16, server[:5])), 443)

    def test_tls13_in_any_order_of_packets(self):
        report = self.report(self.CLIENT, server_hello(0x0304) + record(23, b"x" * 40))
        self.assertTrue(report.only_tls13(), vars(report))
        self.assertEqual(1, report.connections)

    def test_tls12_is_noticed(self):
        self.assertFalse(self.report(self.CLIENT, server_hello(0x0303) + record(23, b"x")).only_tls13())

    def test_plain_text_is_noticed(self):
        self.assertFalse(self.report(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n").only_tls13())
        self.assertFalse(self.report(self.CLIENT + b"GET / HTTP/1.1\r\n\r\n",
                                     server_hello(0x0304) + record(23, b"x")).only_tls13())

    def test_silence_is_no_proof(self):
        self.assertFalse(capture.Report(capture_of(), 443).only_tls13())


class TheReportCheck(unittest.TestCase):
    def test_sanitizer_words_are_found(self):
        for text in ("==1==ERROR: AddressSanitizer: heap-use-after-free", "x.cpp:3:1: runtime error: load of null",
                     "==1==ERROR: LeakSanitizer: detected memory leaks"):
            self.assertTrue(mesh.SANITIZER.search(text), text)


if __name__ == "__main__":
    unittest.main()
