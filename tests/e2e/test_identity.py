"""How a workload gets its certificate from the control plane, judged by OpenSSL's own program."""
import os
import re
import stat
import subprocess
import unittest

import mesh
from control_plane import ControlPlane
from mesh import PATIENCE, TRUST_DOMAIN, program, spiffe, wait_for

ORDERS = spiffe("orders")


def openssl(*arguments, check=True):
    done = subprocess.run([program("openssl"), *arguments], capture_output=True, text=True, errors="replace",
                          timeout=PATIENCE, stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise AssertionError("openssl %s\n%s%s" % (" ".join(arguments), done.stdout, done.stderr))
    return done


class Identity(unittest.TestCase):
    def setUp(self):
        program("openssl")
        self.mesh = mesh.Mesh()
        self.addCleanup(self.mesh.close)

    def control_plane(self, lifetime=86400):
        started = ControlPlane("control-plane", self.mesh.folder, trust_domain=TRUST_DOMAIN,
                               ca={"certificate_lifetime_seconds": lifetime})
        self.mesh.processes.append(started)
        return started.wait_ready()

    def join_token(self, control_plane, service="orders"):
        answer = control_plane.ask("POST", "/v1/tokens", {"namespace": "default", "service": service,
                                                          "ttlSeconds": 600})
        self.assertIn(answer.status, (200, 201), answer.body)
        return answer.json["token"]

    def workload(self, control_plane, name="orders-1", token=None):
        folder = self.mesh.path(name)
        os.makedirs(folder, exist_ok=True)
        token_file = os.path.join(folder, "token")
        with open(token_file, "w") as out:
            out.write(token or "")
        document = mesh.bootstrap(node=name)
        document.update({
            "control_plane": {"address": control_plane.endpoints["xds"], "trust_bundle": control_plane.trust_bundle},
            "identity": {"trust_domain": TRUST_DOMAIN, "directory": os.path.join(folder, "identity"),
                         "join_token_file": token_file},
            "state_dir": os.path.join(folder, "state"),
            "workload": {"namespace": "default", "service": "orders", "address": "127.0.0.1",
                         "outbound": "127.0.0.1:0",
                         "ports": [{"name": "http", "port": 8080, "app_protocol": "http",
                                    "inbound": "127.0.0.1:0"}]}})
        process = self.mesh.sidecar(name, document, ready=False)
        process.certificate = os.path.join(folder, "identity", "certificate.pem")
        return process

    def wait_certificate(self, sidecar, other_than=None):
        def arrived():
            if not os.path.exists(sidecar.certificate):
                return None
            with open(sidecar.certificate) as text:
                pem = text.read()
            return pem if pem and pem != other_than else None
        return sidecar.wait_for(arrived, "a certificate", PATIENCE)

    def test_certificates_hold_for_openssl(self):
        control_plane = self.control_plane()
        sidecar = self.workload(control_plane, token=self.join_token(control_plane))
        self.wait_certificate(sidecar)
        verified = openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", control_plane.trust_bundle,
                           sidecar.certificate)
        self.assertIn("OK", verified.stdout)
        openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", control_plane.trust_bundle, sidecar.certificate)
        shown = openssl("x509", "-in", sidecar.certificate, "-noout", "-ext",
                        "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints").stdout
        self.assertEqual(["URI:" + ORDERS], re.findall(r"URI:\S+", shown))
        self.assertIn("X509v3 Key Usage: critical\n    Digital Signature\n", shown)
        self.assertIn("TLS Web Server Authentication, TLS Web Client Authentication", shown)
        self.assertIn("CA:FALSE", shown)
        openssl("verify", "-x509_strict", "-CAfile", control_plane.trust_bundle, control_plane.trust_bundle)

    def test_keys_stay_where_they_are_made(self):
        control_plane = self.control_plane()
        token = self.join_token(control_plane)
        sidecar = self.workload(control_plane, token=token)
        self.wait_certificate(sidecar)
        # The key is the last that is put in its place.
        sidecar.wait_for(lambda: {"bundle.pem", "certificate.pem", "key.pem"} == set(
            os.listdir(os.path.dirname(sidecar.certificate))), "all is stored", PATIENCE)
        for folder, _, names in os.walk(self.mesh.folder):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    with open(path, "rb") as content:
                        text = content.read()
                except FileNotFoundError:  # what replaces a file has its name by now, and is met there
                    continue
                if b"PRIVATE KEY" in text:
                    self.assertEqual(0o600, stat.S_IMODE(os.stat(path).st_mode), path)
                    self.assertRegex(path, r"/identity/key(\.next)?\.pem$|/ca/[0-9a-f]{16}\.key$")
                if not path.endswith("/token"):
                    self.assertNotIn(token.encode(), text, path)

    def test_a_token_counts_once(self):
        control_plane = self.control_plane()
        token = self.join_token(control_plane)
        self.wait_certificate(self.workload(control_plane, token=token))
        second = self.workload(control_plane, "orders-2", token=token)
        second.wait_for_line("token_used: the join token was used already by another instance", PATIENCE)
        refused = control_plane.ask("POST", "/v1/tokens", {"namespace": "default", "service": "orders"},
                                    token="guessed")
        self.assertEqual(401, refused.status)

    def test_the_port_asks_for_a_certificate_and_takes_no_bad_one(self):
        control_plane = self.control_plane()
        def handshake(*arguments):
            return openssl("s_client", "-connect", control_plane.endpoints["xds"], "-CAfile", control_plane.trust_bundle,
                           "-verify_return_error", "-alpn", "h2", *arguments, check=False)
        without = handshake("-brief").stderr
        self.assertIn("CONNECTION ESTABLISHED", without)
        self.assertIn("TLSv1.3", without)
        foreign = self.mesh.leaf("orders")  # the right name by another authority
        # In TLS 1.3 the refusal comes after the client believes to be connected.
        refused = handshake("-ign_eof", "-cert", foreign.certificate, "-key", foreign.key)
        self.assertRegex(refused.stdout + refused.stderr, "alert (unknown ca|bad certificate)|unknown ca")
        self.assertIn("protocol version", handshake("-tls1_2").stderr)

    def test_certificates_of_seconds_and_a_new_authority(self):
        control_plane = self.control_plane(lifetime=12)
        sidecar = self.workload(control_plane, token=self.join_token(control_plane))
        first = self.wait_certificate(sidecar)
        with open(control_plane.trust_bundle) as root:
            before = root.read()
        prepared = control_plane.ask("POST", "/v1/ca/prepare")
        self.assertIn(prepared.status, (200, 204), prepared.body)
        self.wait_certificate(sidecar, other_than=first)
        with open(control_plane.trust_bundle) as root:
            self.assertTrue(root.read().startswith(before.strip()))
        openssl("verify", "-CAfile", control_plane.trust_bundle, sidecar.certificate)
        bundle = os.path.join(os.path.dirname(sidecar.certificate), "bundle.pem")

        def known():
            with open(bundle) as text:
                return text.read().count("BEGIN CERTIFICATE") == 2
        wait_for(known, "the new authority in the sidecar's bundle", PATIENCE)


if __name__ == "__main__":
    unittest.main()
