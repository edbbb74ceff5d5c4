#!/usr/bin/env python3
"""What attackers can make a sidecar hold: bytes they send against growth of its memory. Release build.

    TULLE_BUILD=build/release tests/conformance/memory_figures.py          a table for docs/performance.md

Each attack plays against a fresh sidecar. `peak` is the highest growth of private memory (RssAnon) in
its first seconds, `held` what is left of that while the attack stands (an idle loop has given back by
then what it kept for reuse), `after` some seconds after it has gone.

The exit status is 1 when a sidecar in a memory cgroup did not stay within it, or when an attack makes
it hold, at its peak or later, more than 20 bytes for each that was sent. Small attacks may have more
by a constant, because limits bound that and not what was sent: 8 MiB, as a cluster admits 1,024
requests at once and one that waits holds 8 KiB. The same attacks with ten times the connections have
no such allowance. An upstream that speaks HTTP/2 may add what narrow windows let in. A client that
reads nothing may have what one turn brought of its answer, 192 KiB. Connections that only begin TLS
may have what a handshake takes in OpenSSL, 48 KiB, for the time a handshake may take.
"""
import contextlib
import os
import resource
import ssl
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("TULLE_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "release"))
for folder in (HERE, os.path.join(os.path.dirname(HERE), "e2e")):
    sys.path.insert(0, folder)

from canary import frame  # noqa: E402
from mesh import SIDECAR, Mesh, bootstrap, cluster, host, listener, route, server_tls  # noqa: E402
from test_resources import (DATA, GET, MIB, SETTINGS, Generous, Silent, h2_preface, h2_request, many,  # noqa: E402
                            send_all_at_once)

WORST_RATIO = 20
ADMITTED = 1024 * 8 * 1024  # bytes: the requests that a cluster admits at once
SENT_AT_WILL = 1024 * 2 * 1024 + 13 * 4 * 64 * 1024  # bytes: narrow windows, and four of each connection that are not
ONE_TURN = 192 * 1024       # bytes: what a turn brings of an answer, with its request
HANDSHAKE = 48 * 1024       # bytes: what OpenSSL holds for a connection whose client has said hello
STANDS = 15   # seconds
SETTLES = 12  # seconds: idle connections linger 2, a loop is idle after 5


def memory(pid, field="RssAnon"):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


# ---- attacks: what each of their connections sends, piece by piece ---------------------------------

def heads_without_end():
    return [b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 90]


def large_heads_without_end():
    return [b"GET / HTTP/1.1\r\nhost: a\r\n" + b"".join(
        b"x-%d: " % number + b"v" * 550 + b"\r\n" for number in range(90))]


def torn_value():
    return [b"GET / HTTP/1.1\r\nhost: a\r\nx-long: "] + [b"v" * 1000] * 50


def stuck_upload():
    return [b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n" + b"x" * MIB]


def pipelined():
    return [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 20000]


def hpack_bomb():
    """One entry of 4,000 bytes in the table, referred to 4,000 times in each of 100 streams."""
    name, value = b"x-bomb", b"v" * 3900
    size = len(value)
    length = bytes((0x7f,))
    rest = size - 127
    while rest >= 128:
        length += bytes((rest % 128 + 128,))
        rest //= 128
    length += bytes((rest,))
    entry = b"\x40" + bytes((len(name),)) + name + length + value
    out = h2_preface()
    for number in range(100):
        block = b"\x82\x86\x84\x01\x01a" + (entry if number == 0 else b"") + b"\xbe" * 4000
        out += frame(1, 4, 2 * number + 1, block)
    return [out]


def cookie_crumbs():
    """Heads of empty cookie crumbs: one byte on the wire, a field in memory."""
    out = h2_preface()
    for number in range(100):
        crumbs = b"\x40\x06cookie\x00" + b"\xbe" * 90 if number == 0 else b"\xbe" * 90
        out += frame(1, 4, 2 * number + 1, b"\x83\x86\x84\x01\x01a" + crumbs)
    return [out]


def requests(count=100):
    return b"".join(h2_request(2 * number + 1) for number in range(count))


def zero_windows():
    """Answers that may not be sent: the window of every stream is 0."""
    return [h2_preface(0) + requests()]


def one_window():
    """Answers that share a window of 64 KiB, which nobody opens again."""
    return [h2_preface() + requests()]


def late_windows():
    """Windows that shut while the answers are awaited."""
    return [h2_preface() + frame(8, 0, 0, struct.pack(">I", 1 << 30)) + requests() +
            frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))]


def unfinished_streams():
    out = h2_preface()
    for number in range(100):
        stream = 2 * number + 1
        out += h2_request(stream, method=b"\x83", ended=False)
        out += frame(DATA, 0, stream, b"x" * 16000) * 4
    return [out]


def one_byte_frames():
    out = h2_preface() + b"".join(h2_request(2 * number + 1, method=b"\x83", ended=False) for number in range(100))
    return [out + b"".join(frame(DATA, 0, 2 * number + 1, b"x") for number in range(100)) * 200]


def settings_flood():
    return [h2_preface() + frame(SETTINGS, 0, 0, struct.pack(">HI", 1, 4096)) * 2000]


def client_hello():
    """As OpenSSL writes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return [outgoing.read()]


def half_a_hello():
    return [client_hello()[0][:250]]


def deaf_client():
    """It asks for much and reads nothing of it."""
    return [GET]


class Attack:
    """`allowed`: bytes that it may have beyond 20 for each that was sent."""

    def __init__(self, words, connections, pieces, upstream="silent", listener="plain", allowed=0):
        self.words, self.connections, self.pieces = words, connections, pieces
        self.upstream, self.listener, self.allowed = upstream, listener, allowed


ATTACKS = (
    Attack("heads without end, 90 fields of 4 bytes", 500, heads_without_end),
    Attack("heads without end, 50 KiB each", 500, large_heads_without_end),
    Attack("heads, one value of 50 KiB in pieces", 500, torn_value),
    Attack("uploads, the upstream reads nothing", 200, stuck_upload),
    Attack("20,000 pipelined requests, no answer", 200, pipelined),
    Attack("HPACK bomb: 100 heads, 4,000 references to 4 KB", 50, hpack_bomb),
    Attack("cookie crumbs: 100 heads of 90 crumbs", 100, cookie_crumbs),
    Attack("cookie crumbs: 100 heads of 90 crumbs", 1000, cookie_crumbs),
    Attack("zero windows: 100 answers of 64 KiB", 100, zero_windows, "body", allowed=ADMITTED),
    Attack("zero windows: 100 answers of 64 KiB", 1000, zero_windows, "body"),
    Attack("zero windows: 100 answers of 64 KiB of an HTTP/2 upstream", 100, zero_windows, "http2",
           allowed=ADMITTED + SENT_AT_WILL),
    Attack("one window of 64 KiB for 100 answers of 64 KiB", 100, one_window, "body", allowed=ADMITTED),
    Attack("one window of 64 KiB for 100 answers of 64 KiB", 1000, one_window, "body"),
    Attack("windows that shut after 100 requests for 64 KiB", 100, late_windows, "body", allowed=ADMITTED),
    Attack("windows that shut after 100 requests for 64 KiB", 1000, late_windows, "body"),
    Attack("HTTP/1.1, one request for 64 MiB, nothing is read", 100, deaf_client, "generous", allowed=100 * ONE_TURN),
    Attack("100 streams with 64 KB each, unfinished", 20, unfinished_streams),
    Attack("DATA frames of one byte", 20, one_byte_frames),
    Attack("SETTINGS, 2,000 of them", 100, settings_flood),
    Attack("a ClientHello and silence", 500, client_hello, listener="tls", allowed=500 * HANDSHAKE),
    Attack("half a ClientHello and silence", 500, half_a_hello, listener="tls", allowed=500 * HANDSHAKE),
)


def play(attack):
    """(bytes sent, peak, held, after)."""
    mesh = Mesh()
    silent = Generous() if attack.upstream == "generous" else Silent()
    mesh.closers.append(silent.drop)
    try:
        origin, protocol = silent.port, None
        if attack.upstream == "body":
            origin = mesh.origin().port
        elif attack.upstream == "http2":
            origin, protocol = mesh.http2_origin().listening_port, "http2"
        action = {"cluster": "upstream"}
        if attack.upstream in ("body", "http2"):
            action["prefix_rewrite"] = "/bytes/65536"
        everything = host("all", ["*"], {"match": {"prefix": "/"}, "route": action})
        sidecar = mesh.sidecar("sidecar", bootstrap(
            listener("plain", everything), listener("tls", everything, inbound=True, tls=server_tls()),
            cluster("upstream", origin, protocol=protocol), identity=mesh.identity("attacked"), workers=1, log="off"))
        with many(sidecar.port("plain"), 5) as socks:  # what is made once and kept
            for sock in socks:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        before = memory(sidecar.pid)
        deaf = {"receive_buffer": 4096} if attack.upstream == "generous" else {}
        with many(sidecar.port(attack.listener), attack.connections, **deaf) as socks:
            total = sum(send_all_at_once(socks, piece) for piece in attack.pieces())
            peak = settled(sidecar.pid) - before
            time.sleep(STANDS)
            held = memory(sidecar.pid) - before
        time.sleep(SETTLES)
        after = memory(sidecar.pid) - before
        return total, peak, held, after
    finally:
        mesh.close()


def settled(pid):
    """The most that is seen until a second has passed without more."""
    highest, since = memory(pid), time.monotonic()
    while time.monotonic() - since < 1.0:
        now = memory(pid)
        if now > highest * 1.01:
            highest, since = now, time.monotonic()
        time.sleep(0.05)
    return highest


# ---- RX-05: a memory cgroup --------------------------------------------------------------------------

class MemoryCgroup:
    """Of this process's own, v1 or v2. OSError when none can be made."""

    def __init__(self, limit):
        name = "tulle-%d" % os.getpid()
        v1 = "/sys/fs/cgroup/memory"
        if os.path.exists(v1 + "/memory.limit_in_bytes"):
            self.path, limit_file = os.path.join(v1, name), "memory.limit_in_bytes"
            self.peak_file = "memory.max_usage_in_bytes"
        else:
            self.path, limit_file, self.peak_file = "/sys/fs/cgroup/" + name, "memory.max", "memory.peak"
        os.mkdir(self.path)
        self.write(limit_file, limit)

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w") as out:
            out.write(str(value))

    def peak(self):
        with open(os.path.join(self.path, self.peak_file)) as peak:
            return int(peak.read())

    def close(self):
        for _ in range(50):
            try:
                return os.rmdir(self.path)
            except OSError:
                time.sleep(0.1)


def uploads_in_a_cgroup(limit=128 * MIB, count=500, size=100 * MIB):
    """(bytes sent, highest RSS, peak of the cgroup, overloaded answers, still alive)."""
    group = MemoryCgroup(limit)
    mesh = Mesh()
    silent = Silent()
    mesh.closers.append(silent.drop)
    try:
        limits = {"circuit_breakers": {"thresholds": [{"max_connections": 5000, "max_pending_requests": 5000,
                                                       "max_requests": 5000}]}}
        path = mesh.write("sidecar.json", bootstrap(
            listener("outbound", host("all", ["*"], route("upstream"))), cluster("upstream", silent.port, **limits),
            workers=2, log="off", memory={"limit_mib": limit // 2 // MIB}))
        # The shell joins the cgroup, then becomes the sidecar.
        from mesh import Sidecar
        wrapper = mesh.write("start", '#!/bin/sh\necho $$ > %s/cgroup.procs\nexec %s "$@"\n' % (group.path, SIDECAR))
        os.chmod(wrapper, 0o755)

        class Confined(Sidecar):
            def __init__(self):
                super(Sidecar, self).__init__(wrapper, "sidecar", path, mesh.folder)
                self.config_path, self.may_end_with = path, (0,)
        sidecar = Confined()
        mesh.processes.append(sidecar)
        sidecar.wait_ready()
        highest, stop = [0], threading.Event()

        def watch():
            while not stop.is_set():
                highest[0] = max(highest[0], memory(sidecar.pid, "VmRSS"))
                stop.wait(0.01)
        watcher = threading.Thread(target=watch)
        watcher.start()
        answers = {}
        with many(sidecar.port("outbound"), count) as socks:
            total = send_all_at_once(socks, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size +
                                     bytes(size), answers)
            overloaded = sum(b"tulle-error: overloaded" in answer for answer in answers.values())
        stop.set()
        watcher.join()
        alive = sidecar.running() and sidecar.ready()
        return total, highest[0], group.peak(), overloaded, alive
    finally:
        mesh.close()
        group.close()


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    good = True
    print("| attack | connections | sent, KiB | peak, KiB | held, KiB | held per byte | after, KiB |")
    print("|---|---|---|---|---|---|---|")
    wanted = sys.argv[1:]
    for attack in ATTACKS:
        if wanted and not any(word in attack.pieces.__name__ for word in wanted):
            continue
        total, peak, held, after = play(attack)
        within = max(peak, held) <= WORST_RATIO * total + attack.allowed
        good = good and within
        print("| %s%s | %d | %d | %d | %d | %.2f | %d |" % (
            attack.words, "" if within else " **TOO MUCH**", attack.connections, total // 1024, peak // 1024,
            held // 1024, held / max(total, 1), after // 1024), flush=True)
    if wanted and "cgroup" not in wanted:
        return 0 if good else 1
    try:
        total, highest, peak, overloaded, alive = uploads_in_a_cgroup()
    except OSError as why:
        print("no memory cgroup can be made: %s" % why)
        return 0 if good else 1
    print("\n500 uploads of 100 MiB to an upstream that reads nothing, in a memory cgroup of 128 MiB: %d MiB were sent, "
          "%d were answered 503 overloaded, highest RSS %.1f MiB, peak of the cgroup %.1f MiB, %s" %
          (total // MIB, overloaded, highest / MIB, peak / MIB, "alive" if alive else "DEAD"))
    return 0 if good and alive and highest <= 110 * MIB else 1


if __name__ == "__main__":
    sys.exit(main())
