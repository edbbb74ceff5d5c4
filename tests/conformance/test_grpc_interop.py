"""gRPC's interop cases: Python, C++ and Go clients and servers through a pair of sidecars with mutual TLS.

The peers are the programs of tests/conformance/grpc_interop around the gRPC libraries of the
distribution (Python, C++) and of its Go module. One method per client and server.
"""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in (HERE, os.path.join(os.path.dirname(HERE), "e2e")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from mesh import (BUILD, PATIENCE, ROOT, SharedMeshCase, bootstrap, client_tls, cluster, host, listener, program,  # noqa: E402
                  route, server_tls, spiffe)

PEERS = os.path.join(HERE, "grpc_interop")
PROTOS = "/usr/share/grpc-proto"
CASES = ["empty_unary", "large_unary", "client_compressed_unary", "client_streaming", "server_streaming", "ping_pong",
         "empty_stream", "custom_metadata", "status_code_and_message", "special_status_message", "unimplemented_method",
         "unimplemented_service", "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server"]


def python_command(mesh):
    """The interpreter that has grpcio, the peer, and the messages as Python modules."""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        found = subprocess.run([interpreter, "-c", "import grpc, google.protobuf"], stderr=subprocess.DEVNULL)
        if found.returncode == 0:
            break
    else:
        raise unittest.SkipTest("python3-grpcio is not installed")
    folder = mesh.path("messages")
    if not os.path.isdir(folder):
        if not os.path.exists(os.path.join(PROTOS, "grpc", "testing", "messages.proto")):
            raise unittest.SkipTest("grpc-proto is not installed")
        os.mkdir(folder)
        subprocess.run([program("protoc"), "-I", PROTOS, "--python_out", folder, "grpc/testing/messages.proto",
                        "grpc/testing/empty.proto"], check=True)
    return [interpreter, os.path.join(PEERS, "peer.py"), folder]


def cpp_command(_):
    path = os.path.join(BUILD, "bin", "grpc_peer")
    if not os.path.exists(path):
        raise unittest.SkipTest("libgrpc++-dev, protobuf-compiler-grpc or grpc-proto was not installed for the build")
    return [path]


def go_command(_):
    path = os.path.join(ROOT, "build", "deps", "grpc_interop", "go_peer")
    if not os.path.exists(path):
        raise unittest.SkipTest("the Go peer is not built: see build/deps/grpc_interop/go.log")
    return [path]


COMMANDS = {"python": python_command, "cpp": cpp_command, "go": go_command}


class Interop(SharedMeshCase):
    @classmethod
    def start(cls, mesh):
        """A server of each kind that there is, each with listeners of its own on both sides."""
        cls.commands, cls.missing, ports = {}, {}, {}
        for kind, command_of in COMMANDS.items():
            try:
                cls.commands[kind] = command_of(mesh)
            except unittest.SkipTest as skip:
                cls.missing[kind] = str(skip)
                continue
            server = mesh.process(kind + "-server", [*cls.commands[kind], "server"])
            ports[kind] = int(server.wait_for_line(r"listening on (\d+)", PATIENCE, "out").group(1))
        inbound = mesh.sidecar("inbound", bootstrap(
            *(listener(kind, host("all", ["*"], route(kind)), inbound=True, tls=server_tls()) for kind in ports),
            *(cluster(kind, port, protocol="http2") for kind, port in ports.items()),
            node="callee", identity=mesh.identity("callee")))
        outbound = mesh.sidecar("outbound", bootstrap(
            *(listener(kind, host("all", ["service"], route(kind))) for kind in ports),
            *(cluster(kind, inbound.port(kind), protocol="auto", tls=client_tls(spiffe("callee"))) for kind in ports),
            node="caller", identity=mesh.identity("caller")))
        cls.inbound, cls.outbound = inbound, outbound

    def play(self, client, server):
        for kind in (client, server):
            if kind in self.missing:
                self.skipTest(self.missing[kind])
        before = self.calls(server)
        self.run_cases(client, self.outbound.port(server), CASES)
        self.assertGreaterEqual(self.calls(server) - before, len(CASES), "the calls went another way")

    def calls(self, server):
        return self.inbound.metric("http_server_request_duration_seconds_count", listener=server)

    def run_cases(self, client, port, cases):
        process = self.mesh.process("%s-client-%d" % (client, port), [*self.commands[client], "client", str(port), *cases])
        status = process.wait(4 * PATIENCE)
        done = [line.split()[1] for line in process.out.splitlines() if line.startswith("ok ")]
        for case in cases:
            with self.subTest(case):
                self.assertIn(case, done, process.evidence())
        self.assertEqual(0, status, process.evidence())

    def tearDown(self):
        for sidecar in (self.inbound, self.outbound):
            self.assertTrue(sidecar.running(), sidecar.evidence())


def pair(client, server):
    def test(self):
        self.play(client, server)
    test.__doc__ = "A %s client calls a %s server" % (client, server)
    return test


for each in COMMANDS:
    for other in COMMANDS:
        setattr(Interop, "test_%s_client_%s_server" % (each, other), pair(each, other))


if __name__ == "__main__":
    unittest.main()
