"""Certificates made on the spot with the openssl command: ECDSA P-256, SPIFFE identities.

A leaf is what a workload of the mesh carries: one URI SAN, no host name.
"""
import os
import secrets
import subprocess
from collections import namedtuple

Leaf = namedtuple("Leaf", "certificate key identity")

CA_CONFIG = """
[req]
distinguished_name = subject
prompt = no
x509_extensions = extensions
[subject]
CN = {name}
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

LEAF_CONFIG = """
[req]
distinguished_name = subject
prompt = no
x509_extensions = extensions
[subject]
CN = {name}
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {sans}
"""

# `openssl ca` is the only command of OpenSSL 3.0 that accepts a validity in the past.
DATED_CONFIG = """
[ca]
default_ca = mesh
[mesh]
database = {database}
new_certs_dir = {folder}
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
[any]
commonName = supplied
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError("openssl %s failed:\n%s" % (" ".join(arguments), done.stdout))
    return done.stdout


class Authority:
    """A certificate authority in a folder: NAME.pem and NAME.key, and the leaves it issues."""

    def __init__(self, folder, name="ca"):
        self.folder = str(folder)
        self.name = name
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.certificate = self._path(name + ".pem")
        self.key = self._path(name + ".key")
        config = self._write(name + ".cnf", CA_CONFIG.format(name=name))
        openssl("req", "-x509", "-config", config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-noenc", "-keyout", self.key, "-out", self.certificate, "-days", "7")

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _write(self, name, text):
        path = self._path(name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def issue(self, name, identity=None, dns=(), uris=None, days=1, validity=None):
        """NAME.pem and NAME.key. `validity` is (begin, end) as YYYYMMDDHHMMSSZ, also in the past."""
        uris = list(uris) if uris is not None else ([identity] if identity else [])
        sans = ", ".join(["URI:" + uri for uri in uris] + ["DNS:" + host for host in dns])
        config = self._write(name + ".cnf", LEAF_CONFIG.format(name=name, sans=sans))
        leaf = Leaf(self._path(name + ".pem"), self._path(name + ".key"), identity or (uris[0] if uris else ""))
        request = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", leaf.key]
        if validity is None:
            openssl("req", "-x509", "-config", config, *request, "-CA", self.certificate, "-CAkey", self.key,
                    "-set_serial", "0x" + secrets.token_hex(16), "-days", str(days), "-out", leaf.certificate)
            return leaf
        csr = self._path(name + ".csr")
        openssl("req", "-new", "-config", config, *request, "-out", csr)
        database = self._write(name + ".database", "")
        dated = self._write(name + ".ca.cnf", DATED_CONFIG.format(database=database, folder=self.folder))
        openssl("ca", "-batch", "-notext", "-config", dated, "-cert", self.certificate, "-keyfile", self.key,
                "-in", csr, "-extfile", config, "-extensions", "extensions",
                "-startdate", validity[0], "-enddate", validity[1], "-out", leaf.certificate)
        return leaf
