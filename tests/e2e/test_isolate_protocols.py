"""Applications that know nothing of a mesh, in namespaces: whatever they speak goes through two sidecars.

Each of them is configured as if there were no mesh: names and ports. A capture of the bridge between the
namespaces shows what is on the wire.
"""
import os
import pwd
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import isolated  # noqa: E402
import mesh  # noqa: E402
from isolated import Isolated, run  # noqa: E402
from mesh import capture  # noqa: E402

PYTHON = "/usr/bin/python3"  # the one that sees the distribution's packages, and that every user may start
PEERS = os.path.join(mesh.HERE, "peers")
SECRET = "nobody on the wire reads this"
PORTS = {"web": 80, "rpc": 50051, "chat": 9001, "cache": 6379, "sql": 5432, "maria": 3306, "vault": 443, "plain": 7000}

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 443 ssl;
    listen [::]:443 ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ return 200 "{secret} $ssl_protocol"; }}
  }}
}}
"""

# The server speaks when somebody connects, then echoes until the caller has said all it has to say.
SPEAKS_FIRST = r'''
import os, socket, threading
listener = socket.create_server(("::", int(os.environ["PORT"])), family=socket.AF_INET6, dualstack_ipv6=True)
def serve(taken):
    try:
        taken.sendall(b"220 ready\r\n")
        total = 0
        while data := taken.recv(65536):
            total += len(data)
        taken.sendall(b"%d and goodbye\r\n" % total)
    except OSError:
        pass  # somebody only looked whether the port is open
    taken.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
'''
HALF_CLOSE = r'''
import socket, sys
with socket.create_connection((sys.argv[1], 7000), 20) as call:
    lines = call.makefile("rb")
    print(lines.readline().decode().strip())
    call.sendall(b"x" * 3000000)
    call.shutdown(socket.SHUT_WR)
    print(lines.readline().decode().strip())
'''


def postgres_programs():
    for version in sorted(os.listdir("/usr/lib/postgresql"), reverse=True) if os.path.isdir("/usr/lib/postgresql") else []:
        folder = os.path.join("/usr/lib/postgresql", version, "bin")
        if os.path.exists(os.path.join(folder, "postgres")):
            return folder
    raise unittest.SkipTest("postgres is not installed")


def owned_folder(apart, name, user):
    path = apart.path(name)
    os.makedirs(path)
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def as_user(user, *command):
    run("setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups", *command, seconds=120)


def postgres(apart):
    programs = postgres_programs()
    data = owned_folder(apart, "postgres", "postgres")
    as_user("postgres", programs + "/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
    with open(data + "/pg_hba.conf", "a") as out:
        out.write("host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n")
    return [programs + "/postgres", "-D", data, "-k", data, "-c", "listen_addresses=*", "-c", "fsync=off", "-p", "5432"]


def mariadb(apart):
    data = owned_folder(apart, "mariadb", "mysql")
    run("mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir=" + data, "--skip-test-db",
        "--auth-root-authentication-method=normal", seconds=120)
    first = apart.write("mariadb.sql", "CREATE DATABASE IF NOT EXISTS apart;\n"
                                       "CREATE USER IF NOT EXISTS anna@'%' IDENTIFIED BY 'secret';\n"
                                       "GRANT ALL ON apart.* TO anna@'%';\n")
    return [mesh.program("mariadbd"), "--no-defaults", "--datadir=" + data, "--socket=%s/socket" % data, "--bind-address=*",
            "--pid-file=%s/pid" % data, "--port=3306", "--skip-name-resolve", "--init-file=" + first, "--skip-log-bin",
            "--max-connect-errors=1000000"]


def services(apart):
    for name in ("apart_grpc.py", "websocket_client.py", "websocket_echo.py"):
        shutil.copy(os.path.join(PEERS, name), apart.path(name))
    apart.write("first.py", SPEAKS_FIRST)
    apart.write("half_close.py", HALF_CLOSE)
    leaf = mesh.Authority(apart.path("ca"), "outside").issue("vault", dns=["vault"])
    shutil.copy(os.path.join(apart.folder, "ca", "outside.pem"), apart.path("outside.pem"))
    nginx = apart.write("nginx.conf", NGINX.format(folder=apart.folder, certificate=leaf.certificate, key=leaf.key, secret=SECRET))
    return {
        "web": {"command": [PYTHON, "service.py"], "port": 80, "health": "/"},
        "rpc": {"command": [PYTHON, "apart_grpc.py", "serve"], "port": 50051, "protocol": "grpc"},
        "chat": {"command": [PYTHON, "websocket_echo.py"], "port": 9001},
        "cache": {"command": [mesh.program("redis-server"), "--port", "6379", "--bind", "0.0.0.0", "::",
                              "--protected-mode", "no", "--save", ""], "port": 6379, "protocol": "redis"},
        "sql": {"command": postgres(apart), "port": 5432, "protocol": "postgresql", "user": "postgres"},
        "maria": {"command": mariadb(apart), "port": 3306, "protocol": "mysql", "user": "mysql"},
        "vault": {"command": [mesh.program("nginx"), "-c", nginx, "-e", "stderr"], "port": 443, "protocol": "tls"},
        "plain": {"command": [PYTHON, "first.py"], "port": 7000, "protocol": "tcp"},
        "client": {"command": [PYTHON, "service.py"], "port": 8080, "health": "/", "user": "1000"},
    }


class Protocols:
    """The stories; Ipv4 and Ipv6 below say over which family instances reach each other.

    Callers use both families either way, because a service has a virtual address of each.
    """
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        isolated.needs("curl", "redis-server", "redis-cli", "psql", "mariadbd", "mariadb", "mariadb-install-db", "nginx", "tcpdump")
        postgres_programs()
        if subprocess.run([PYTHON, "-c", "import grpc, websockets"], capture_output=True).returncode != 0:
            raise unittest.SkipTest("python3-grpcio or python3-websockets is not installed")
        cls.mesh = Isolated(services, *cls.OPTIONS)
        cls.addClassCleanup(cls.mesh.close)
        # From the start: sidecars open their connections when they are first needed, and keep them.
        cls.pcap = cls.mesh.path("wire.pcap")
        cls.dump = mesh.Process("tcpdump", ["ip", "netns", "exec", cls.mesh.hub(), mesh.program("tcpdump"), "-i", "any", "-s", "0",
                                            "-U", "-B", "32768", "-w", cls.pcap, "-Z", "root", "tcp and not port 15012"],
                                cls.mesh.folder)
        cls.addClassCleanup(cls.dump.stop)
        cls.dump.wait_for_line("listening on", 20)

    def setUp(self):
        self.family = 6 if self.OPTIONS else 4

    def client(self, *command):
        return self.mesh.inside("client-1", *command).stdout.strip()

    def each_address(self, service):
        """Both virtual addresses, and the name."""
        found = self.mesh.addresses(service)
        self.assertEqual([False, True], [":" in address for address in found])
        return (*found, service)

    def delivered_by_sidecar(self, text):
        self.assertIn("::6" if self.family == 6 else "127.0.0.6", text)

    @staticmethod
    def url(scheme, address, service, path="/"):
        return "%s://%s:%d%s" % (scheme, "[%s]" % address if ":" in address else address, PORTS[service], path)

    def test_curl(self):
        for address in self.each_address("web"):
            said = self.client("curl", "-sS", self.url("http", address, "web"))
            self.assertIn("web-1", said)
            self.delivered_by_sidecar(said)

    def test_grpc(self):
        for address in self.each_address("rpc"):
            target = "%s:50051" % ("[%s]" % address if ":" in address else address)
            once, often, both, none = self.client(PYTHON, "apart_grpc.py", "call", target).splitlines()
            self.assertTrue(once.startswith("hello ipv"), once)
            self.assertEqual(("10", "ABC", "UNIMPLEMENTED"), (often, both, none))

    def test_websocket(self):
        for address in self.each_address("chat"):
            said = self.client(PYTHON, "websocket_client.py", self.url("ws", address, "chat"))
            self.assertEqual("all is well", said)

    def test_redis(self):
        for address in self.each_address("cache"):
            self.assertEqual("OK", self.client("redis-cli", "-h", address, "set", "word", SECRET))
            self.assertEqual(SECRET, self.client("redis-cli", "-h", address, "get", "word"))
            self.delivered_by_sidecar(self.client("redis-cli", "-h", address, "client", "info"))

    def test_postgresql(self):
        for address in self.each_address("sql"):
            said = self.client("psql", "-h", address, "-U", "postgres", "-At", "-c",
                               "select '%s', inet_client_addr(), sum(n) from generate_series(1, 100000) n" % SECRET)
            self.assertEqual((SECRET, "5000050000"), (said.split("|")[0], said.split("|")[2]))
            self.delivered_by_sidecar(said)

    def test_mariadb_whose_server_speaks_first(self):
        for address in self.each_address("maria"):
            said = self.client("mariadb", "--no-defaults", "-h", address, "-u", "anna", "-psecret", "--skip-ssl", "-N", "-e",
                               "select '%s', user()" % SECRET, "apart")
            self.assertIn(SECRET, said)
            # MariaDB writes ::6 in its own way.
            self.assertIn("anna@0.0.0.6" if self.family == 6 else "anna@127.0.0.6", said)

    def test_nginx_whose_tls_is_its_own(self):
        for address in self.mesh.addresses("vault"):
            said = self.client("curl", "-sS", "--cacert", "outside.pem", "--resolve", "vault:443:[%s]" % address, "https://vault/")
            self.assertEqual(SECRET + " TLSv1.3", said)
        old = self.client("curl", "-sS", "--cacert", "outside.pem", "--tls-max", "1.2", "https://vault/")
        self.assertEqual(SECRET + " TLSv1.2", old, "its handshake is between the two ends alone")

    def test_half_close(self):
        for address in self.each_address("plain"):
            self.assertEqual("220 ready\n3000000 and goodbye", self.client(PYTHON, "half_close.py", address))

    def test_an_instance_by_its_own_address(self):
        """As clients of headless and stateful services do. Of the family that instances are registered with."""
        own = self.mesh.instance("cache-1")["address"]
        self.assertEqual("PONG", self.client("redis-cli", "-h", own, "ping"))
        self.delivered_by_sidecar(self.client("redis-cli", "-h", own, "client", "info"))

    def test_only_tls_is_between_the_sidecars(self):
        for name in ("curl", "grpc", "websocket", "redis", "postgresql", "mariadb_whose_server_speaks_first",
                     "nginx_whose_tls_is_its_own", "half_close"):
            getattr(self, "test_" + name)()

        def seen():
            with open(self.pcap, "rb") as content:
                return content.read()
        # The packets of the last connection are in the file when those of its server's answer are.
        mesh.wait_for(lambda: capture.Report(seen(), PORTS["plain"]).bytes > 9000000, "all of it is in the capture", mesh.PATIENCE)
        self.dump.signal(signal.SIGINT)
        self.dump.wait(20)
        self.assertRegex(self.dump.err, r"\b0 packets dropped by kernel", self.dump.err)
        data = seen()
        ports = {port for flow in capture.streams(data) for _, port in flow}
        self.assertEqual(set(PORTS.values()), ports & set(PORTS.values()), "every service was called over the bridge")
        for service, port in PORTS.items():
            with self.subTest(service=service):
                report = capture.Report(data, port)
                self.assertTrue(report.only_tls13(), "%s: %s %s %s" % (service, report.connections, report.versions, report.plain))
        everything = b"".join(capture.streams(data).values())
        self.assertNotIn(SECRET.encode(), everything)
        self.assertEqual({16 if self.family == 6 else 4},
                         {len(server[0]) for _, server in capture.streams(data) if server[1] in PORTS.values()},
                         "instances reach each other over IPv%d" % self.family)


class Ipv4(Protocols, unittest.TestCase):
    pass


class Ipv6(Protocols, unittest.TestCase):
    OPTIONS = ("--ipv6",)


if __name__ == "__main__":
    unittest.main()
