"""HTTP/2 spoken by hand: frames that are made and read one by one, so that they may be wrong.

Peer is one end of a connection, in either role; it never does anything by itself except what it is
told to (settings are acknowledged and windows opened only on request). RawServer is an origin
whose every connection runs a script. Nothing here shares code with the sidecars.
"""
import contextlib
import select
import socket
import ssl
import struct
import threading
import time

from hpack_codec import Decoder, block

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
TYPES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
         "CONTINUATION"]

END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = \
    range(1, 7)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 30.0


# ---- frames as bytes ------------------------------------------------------------------------------

def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(stream, fields, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, fields if isinstance(fields, bytes) else block(fields))


def continuation(stream, payload, flags=0):
    return frame(CONTINUATION, flags, stream, payload)


def data(stream, payload=b"", flags=0):
    return frame(DATA, flags, stream, payload)


def padded(stream, payload, padding, flags=0):
    return frame(DATA, flags | PADDED, stream, bytes([padding]) + payload + bytes(padding))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def settings(*entries):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in entries))


def settings_ack():
    return frame(SETTINGS, ACK, 0)


def ping(opaque=b"01234567", flags=0, stream=0):
    return frame(PING, flags, stream, opaque)


def goaway(last=0, code=NO_ERROR):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def priority(stream, on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", on, weight))


def request(path="/", method="GET", scheme="http", authority="a.example", *more):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def post(path="/", *more):
    return request(path, "POST", "http", "a.example", *more)


# ---- a frame that was read ------------------------------------------------------------------------

class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.fields = None  # of a complete block

    def number(self, offset=0):
        return struct.unpack_from(">I", self.payload, offset)[0]

    @property
    def error(self):
        """The code of RST_STREAM or GOAWAY."""
        return self.number(4 if self.kind == GOAWAY else 0)

    def field(self, name):
        return next((value for key, value in self.fields or () if key == name), None)

    @property
    def status(self):
        return self.field(":status")

    @property
    def ends(self):
        return self.kind in (DATA, HEADERS) and self.flags & END_STREAM != 0

    def __repr__(self):
        kind = TYPES[self.kind] if self.kind < len(TYPES) else "type %d" % self.kind
        what = self.fields if self.fields is not None else self.payload[:40]
        return "<%s flags=%#x stream=%d length=%d %r>" % (kind, self.flags, self.stream, len(self.payload), what)


class Ended(Exception):
    """The other side has ended the connection."""


# ---- one end of a connection ----------------------------------------------------------------------

class Peer:
    def __init__(self, connection):
        self.socket = connection
        self.heard = []            # every frame that was read
        self.over = False          # end of input, or a reset
        self._bytes = bytearray()
        self._decoder = Decoder()
        self._block = None
        self.written = 0

    @classmethod
    def connect(cls, port, tls=None, alpn=("h2",), small_window=False):
        """`tls`: an ssl.SSLContext, whose ALPN is set here."""
        connection = socket.socket()
        if small_window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            tls.set_alpn_protocols(list(alpn))
            connection = tls.wrap_socket(connection, server_hostname="localhost")
        return cls(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()

    # -- out

    def send(self, *parts):
        """False when the other side has gone; what it said before is kept for the reading half."""
        return self.send_raw(b"".join(parts))

    def send_raw(self, raw):
        try:
            self.socket.sendall(raw)
        except (OSError, ssl.SSLError):
            self.over = self.over or self._rest_is_gone()
            return False
        self.written += len(raw)
        return True

    def _rest_is_gone(self):
        """A reset may have discarded what was on its way; whatever is readable is still read."""
        return False

    def greet(self, *entries, acknowledge=True):
        """The client's preface, our SETTINGS, and the acknowledgement of theirs."""
        self.send(PREFACE, settings(*entries))
        if acknowledge:
            self.wait(lambda f: f.kind == SETTINGS and not f.flags & ACK, "the peer's SETTINGS")
            self.send(settings_ack())
        return self

    # -- in

    def read(self, seconds=PATIENCE):
        """The next frame, or None when the time is over. Ended when there is none and never will be."""
        deadline = time.monotonic() + seconds
        while True:
            found = self._next()
            if found is not None:
                self.heard.append(found)
                return found
            if self.over:
                raise Ended("the connection has ended; heard: %r" % self.heard[-8:])
            left = deadline - time.monotonic()
            if left <= 0 or not self._receive(left):
                return None

    def _receive(self, seconds):
        pending = getattr(self.socket, "pending", lambda: 0)()
        if not pending and not select.select([self.socket], [], [], seconds)[0]:
            return False
        try:
            some = self.socket.recv(65536)
        except (OSError, ssl.SSLError):
            some = b""
        if some:
            self._bytes += some
        else:
            self.over = True
        return True

    def _next(self):
        if len(self._bytes) < 9:
            return None
        length = int.from_bytes(self._bytes[:3], "big")
        if len(self._bytes) < 9 + length:
            return None
        kind, flags, stream = struct.unpack_from(">BBI", self._bytes, 3)
        found = Frame(kind, flags, stream & 0x7fffffff, bytes(self._bytes[9:9 + length]))
        del self._bytes[:9 + length]
        if kind in (HEADERS, CONTINUATION):
            self._collect(found)
        return found

    def _collect(self, part):
        self._block = (self._block or b"") + part.payload  # sidecars neither pad nor prioritise
        if part.flags & END_HEADERS:
            part.fields = self._decoder.decode(self._block)
            self._block = None

    def wait(self, condition, what, seconds=PATIENCE):
        """The first frame, already heard or not, that fulfils the condition."""
        for known in self.heard:
            if condition(known):
                return known
        deadline = time.monotonic() + seconds
        while True:
            found = self.read(max(deadline - time.monotonic(), 0.0))
            if found is None:
                raise AssertionError("not within %g s: %s; heard: %r" % (seconds, what, self.heard[-8:]))
            if condition(found):
                return found

    def head(self, stream, seconds=PATIENCE):
        """The final head of an answer."""
        return self.wait(lambda f: f.stream == stream and f.status is not None and f.status[0] != "1",
                         "the head of stream %d" % stream, seconds)

    def answer(self, stream, seconds=PATIENCE, opens_windows=True):
        """(status, body) of a complete answer."""
        status = self.head(stream, seconds).status
        deadline = time.monotonic() + seconds
        given = 0
        while not any(f.stream == stream and (f.ends or f.kind == RST_STREAM) for f in self.heard):
            have = sum(len(f.payload) for f in self.heard if f.kind == DATA)
            if opens_windows and have - given > 16384:
                self.send(window_update(0, have - given), window_update(stream, have - given))
                given = have
            if self.read(max(deadline - time.monotonic(), 0.0)) is None:
                raise AssertionError("stream %d does not end: %r" % (stream, self.heard[-8:]))
        broken = [f for f in self.heard if f.stream == stream and f.kind == RST_STREAM and f.error != NO_ERROR]
        if broken and not any(f.stream == stream and f.ends for f in self.heard):
            raise AssertionError("stream %d was reset: %r" % (stream, broken[0]))
        return status, b"".join(f.payload for f in self.heard if f.stream == stream and f.kind == DATA)

    def reset(self, stream, seconds=PATIENCE):
        """The code with which the stream was reset."""
        return self.wait(lambda f: f.kind == RST_STREAM and f.stream == stream, "a reset of %d" % stream, seconds).error

    def ended(self, seconds=PATIENCE):
        """Reads until the other side has ended the connection."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                if self.read(max(deadline - time.monotonic(), 0.01)) is None:
                    break
        except Ended:
            return True
        raise AssertionError("the connection has not ended within %g s: %r" % (seconds, self.heard[-8:]))

    def listen(self):
        """Reads, and says nothing more, for as long as the connection lasts."""
        with contextlib.suppress(Ended):
            while True:
                self.read(600)

    def goaway(self, seconds=PATIENCE):
        """Reads to the end of the connection; the code of its last GOAWAY, or None."""
        self.ended(seconds)
        return next((f.error for f in reversed(self.heard) if f.kind == GOAWAY), None)

    def settle(self):
        """Until everything that was sent has been looked at: a PING comes back."""
        mark = struct.pack(">Q", 0x5e771e0000000000 + len(self.heard))
        self.send(ping(mark))
        self.wait(lambda f: f.kind == PING and f.flags & ACK and f.payload == mark, "the echo of a PING")

    def of(self, stream, kind=None):
        return [f for f in self.heard if f.stream == stream and (kind is None or f.kind == kind)]


# ---- an origin ------------------------------------------------------------------------------------

class RawServer:
    """Listens; every connection is greeted as HTTP/2 and handed to the script, in a thread of its own.

    A script takes (peer, number of the connection) and speaks until it returns, which closes the
    connection. `raw` keeps what each connection has sent us, `problems` what scripts ran into.
    """

    def __init__(self, script, greeting=settings(), listens=True):
        self.script, self.greeting = script, greeting
        self.peers, self.problems = [], []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for peer in list(self.peers):
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)

    def drop_connections(self):
        """Ends what is open and waits for the other side to notice: the next request comes on a new one."""
        with self._lock:
            peers, self.peers = self.peers, []
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_WR)
                peer.socket.settimeout(PATIENCE)
                while peer.socket.recv(65536):
                    pass
            peer.close()

    def _accept(self):
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(connection)
            with self._lock:
                self.peers.append(peer)
                number = len(self.peers)
            threading.Thread(target=self._serve, args=(peer, number), daemon=True).start()

    def _serve(self, peer, number):
        try:
            raw = b""
            while len(raw) < len(PREFACE):
                some = peer.socket.recv(len(PREFACE) - len(raw))
                if not some:
                    return
                raw += some
            assert raw == PREFACE, raw
            peer.send(self.greeting, settings_ack())
            self.script(peer, number)
        except (Ended, OSError, ValueError):
            pass  # the connection, or its socket, is gone
        except Exception as problem:  # shown by the test
            self.problems.append(problem)
        finally:
            peer.close()


def next_request(peer, seconds=PATIENCE):
    """The next head of a request that nobody has taken from this peer yet."""
    taken = peer.__dict__.setdefault("taken", set())
    found = peer.wait(lambda f: f.kind == HEADERS and f.fields is not None and f.field(":method") is not None and
                      f.stream not in taken, "a request", seconds)
    taken.add(found.stream)
    return found


def serve(answer):
    """A script that answers every request with answer(peer, head), until the connection ends."""
    def script(peer, _):
        while True:
            answer(peer, next_request(peer, 600))
    return script


def ok(stream, body=b"ok", *fields):
    return headers(stream, [(":status", "200"), *fields], END_HEADERS) + data(stream, body, END_STREAM)
