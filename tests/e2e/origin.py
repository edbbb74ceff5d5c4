"""An origin in the test's process, which answers with what it is asked for."""
import contextlib
import http.client
import json
import socket
import threading

from surroundings import PATIENCE  # first: it makes meshkit known
from meshkit.processes import Failure


class Received:
    """A request as the origin saw it."""

    def __init__(self, method, target, headers, body, trailers):
        self.method, self.target, self.headers, self.body, self.trailers = method, target, headers, body, trailers

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name):
        return next(iter(self.values(name)), None)


def pattern(size):
    """Bytes that show every loss, repetition and exchange of blocks."""
    block = b"".join(b"%07d\n" % number for number in range(0, size // 8 + 1))
    return block[:size]


class Origin:
    """An HTTP/1.1 server, one thread per connection. It answers with what it was asked for:

    /echo          the body it received
    /bytes/N       N bytes of pattern()
    /chunked       three chunks and two trailers
    /status/N      that status (no body for 204 and 304)
    /hold/KEY      answers when release(KEY) is called, which may come first
    /cut/N         promises 1000 bytes, sends N and closes the connection
    /interim       a 103 response before the final one
    anything else  JSON: method, path, headers and the name of this origin
    """

    def __init__(self, name, port=0):
        self.name = name
        self.received = []
        self.closing = False
        self._lock = threading.Lock()
        self._holds = {}
        self._arrived = {}
        self._connections = set()
        self.connections_seen = 0
        self._listening = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # -- the test's side

    def requests(self, path=None):
        with self._lock:
            return [one for one in self.received if path is None or one.target.split("?")[0] == path]

    def hits(self):
        with self._lock:
            return len(self.received)

    def release(self, key):
        self._event(self._holds, key).set()

    def wait_held(self, key):
        """Until a request for /hold/KEY has arrived."""
        if not self._event(self._arrived, key).wait(PATIENCE):
            raise Failure("no request for /hold/%s arrived" % key)

    def close(self):
        self.closing = True
        with self._lock:
            holds, connections = list(self._holds.values()), list(self._connections)
        for event in holds:
            event.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # -- the server

    def _event(self, events, key):
        with self._lock:
            event = events.setdefault(key, threading.Event())
            if self.closing:
                event.set()
            return event

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
                self.connections_seen += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as reader:
                while self._one(connection, reader):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _one(self, connection, reader):
        line = reader.readline(65536)
        if not line.strip():
            return False
        method, target, _ = line.decode("latin-1").split()
        headers = self._fields(reader)
        lower = {name.lower(): value for name, value in headers}
        if lower.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers = self._body(reader, lower)
        with self._lock:
            self.received.append(Received(method, target, headers, body, trailers))
        self._answer(connection, method, target, headers, body)
        return "close" not in lower.get("connection", "").lower() and not target.startswith("/cut/")

    @staticmethod
    def _fields(reader):
        fields = []
        while True:
            line = reader.readline(65536)
            if not line:
                raise OSError("the connection ended within a head")
            text = line.decode("latin-1").rstrip("\r\n")
            if not text:
                return fields
            name, _, value = text.partition(":")
            fields.append((name, value.strip()))

    def _body(self, reader, headers):
        if "chunked" in headers.get("transfer-encoding", "").lower():
            parts = []
            while True:
                size = int(reader.readline(1024).split(b";")[0], 16)
                if size == 0:
                    return b"".join(parts), self._fields(reader)
                parts.append(self._exactly(reader, size))
                reader.readline(8)
        return self._exactly(reader, int(headers.get("content-length", "0"))), []

    @staticmethod
    def _exactly(reader, size):
        data = reader.read(size)
        if len(data) != size:
            raise OSError("the connection ended within a body")
        return data

    def _answer(self, connection, method, target, headers, body):
        path = target.split("?")[0]
        kind, _, rest = path[1:].partition("/")
        status, fields, answer = 200, [("content-type", "application/octet-stream"), ("x-origin", self.name)], b""
        if kind == "chunked":
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-origin: %s\r\ntransfer-encoding: chunked\r\n"
                               b"trailer: x-checksum\r\n\r\n" % self.name.encode())
            for part in (b"first ", b"second ", b"third"):
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            connection.sendall(b"0\r\nx-checksum: 12345\r\nx-finished: yes\r\n\r\n")
            return
        if kind == "cut":
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * int(rest))
            return
        if kind == "interim":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")
        if kind == "hold":
            self._event(self._arrived, rest).set()
            self._event(self._holds, rest).wait(120)
            answer = b"held " + rest.encode()
        elif kind == "echo":
            answer = body
        elif kind == "bytes":
            answer = pattern(int(rest))
        elif kind == "status":
            status, answer = int(rest), b"" if rest in ("204", "304") else b"status " + rest.encode()
        else:
            fields[0] = ("content-type", "application/json")
            answer = json.dumps({"origin": self.name, "method": method, "path": target,
                                 "headers": headers, "body": len(body)}).encode()
        if status != 204:
            fields.append(("content-length", str(len(answer))))
        head = "HTTP/1.1 %d %s\r\n" % (status, http.client.responses.get(status, "Status"))
        head += "".join("%s: %s\r\n" % field for field in fields) + "\r\n"
        connection.sendall(head.encode() + (b"" if method == "HEAD" else answer))
