"""The upstream of a stage: keeps every byte it is sent, and answers as it is told.

One thread accepts and reads for all connections, so that nothing is seen out of order for long; each
connection has a thread that answers. By default that speaks HTTP/1.1 (serve_http1) and complains
about every request that is not in the one form in which requests are to be written.
"""
import contextlib
import os
import selectors
import socket
import struct
import threading

import wire

PATIENCE = 30.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Ended(Exception):
    """The sidecar has ended the connection before what was waited for."""


class Request:
    """What has come of one request."""

    def __init__(self, connection, method, target, version, fields):
        self.connection, self.method, self.target, self.version = connection, method, target, version
        self.fields = fields
        self.body = b""
        self.trailers = wire.Fields()
        self.complete = False

    def __repr__(self):
        return "%s %s %r body=%r%s" % (self.method, self.target, self.fields, self.body[:200],
                                       "" if self.complete else " (incomplete)")


class Connection:
    """One connection from the sidecar. `received` only grows; `at` is where the script has read to."""

    def __init__(self, recorder, sock, number):
        self.recorder, self.socket, self.number = recorder, sock, number
        self.received = bytearray()
        self.at = 0
        self.end = None       # "fin" or "reset" by the sidecar, "closed" by us
        self.paused = False   # not reading: what the sidecar sends piles up
        self.requests = []

    # -- reading

    def wait(self, condition, what="what was waited for", seconds=PATIENCE):
        """Until condition() holds; Ended when the sidecar leaves before."""
        with self.recorder.changed:
            def settled():
                return condition() or self.end is not None
            if not self.recorder.changed.wait_for(settled, seconds):
                raise TimeoutError("connection %d: %s did not come: %r"
                                   % (self.number, what, bytes(self.received[-300:])))
            if not condition():
                raise Ended()

    def read(self, parse):
        """parse(received, at), again and again until it does not raise Incomplete."""
        while True:
            size = len(self.received)
            try:
                return parse(self.received, self.at)
            except wire.Incomplete:
                self.wait(lambda: len(self.received) > size)

    def read_request(self):
        """The next request head; a pooled connection may be silent for as long as it likes."""
        self.wait(lambda: len(self.received) > self.at, seconds=None)
        head = self.read(wire.read_head)
        match = wire.REQUEST_LINE.match(head.line)
        if not match:
            raise wire.Malformed("request line %r" % head.line)
        if len(head.fields.values("host")) != 1:
            raise wire.Malformed("not exactly one host: %r" % (head,))
        wire.framing_of(head.fields)
        self.at += head.size
        request = Request(self, match.group(1).decode(), match.group(2).decode(), "1." + match.group(3).decode(),
                          head.fields)
        with self.recorder.changed:
            self.requests.append(request)
            self.recorder.requests.append(request)
            self.recorder.changed.notify_all()
        return request

    def read_body(self, request):
        """All of the body; what has come of it is in `request` even when the rest does not."""
        kind, length = wire.framing_of(request.fields)
        if kind == "length":
            try:
                self.wait(lambda: len(self.received) >= self.at + length)
            finally:
                request.body = bytes(self.received[self.at:self.at + length])
            self.at += length
        while kind == "chunked":
            chunk, self.at = self.read(wire.read_chunk)
            if chunk is None:
                request.trailers, self.at = self.read(wire.read_trailers)
                break
            request.body += chunk
        with self.recorder.changed:
            request.complete = True
            self.recorder.changed.notify_all()
        return request.body

    # -- writing

    def send(self, data):
        """False: the sidecar has gone."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def fin(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.recorder._drop(self)

    def reset(self):
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def wait_end(self):
        """"fin" or "reset", when the sidecar has ended the connection."""
        with contextlib.suppress(Ended):
            self.wait(lambda: False, "the end of the connection")
        return self.end


def says_ok(connection, request):
    """The default answer."""
    connection.read_body(request)
    connection.send(OK)


def says(data, then=None, read_body=True):
    """An answer: these bytes, and then nothing, "close", "fin", or "reset"."""
    def answer(connection, request):
        if read_body:
            connection.read_body(request)
        connection.send(data)
        if then is not None:
            getattr(connection, then)()
    return answer


def serve_http1(connection):
    """Requests one after the other; each is answered by recorder.answer(connection, request)."""
    while True:
        request = connection.read_request()
        connection.recorder.answer(connection, request)
        if connection.end is not None:
            return


class Recorder:
    """`answer(connection, request)` may be replaced per case, and `serve(connection)` per class."""

    def __init__(self, serve=serve_http1):
        self.serve = serve
        self.answer = says_ok
        self.changed = threading.Condition()
        self.connections = []    # all there ever were
        self.requests = []       # since the last begin()
        self.complaints = []     # what was not as it must be; the stage looks at it after every test
        self.total = 0           # bytes received, ever
        self.log = []            # (connection, bytes) since the last begin()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, None)
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._jobs = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- the test's side

    def begin(self):
        """A new case: forgets requests, bytes and the script. Connections stay."""
        with self.changed:
            self.answer = says_ok
            self.requests, self.log, self.complaints = [], [], []

    def settle(self):
        """Returns when everything that had arrived before the call has been looked at."""
        done = threading.Event()
        self._post(done.set)
        if not done.wait(PATIENCE):
            raise TimeoutError("the recorder does not get to the end of what arrives")

    def bytes(self):
        """What has arrived since begin(), in order of arrival."""
        with self.changed:
            return b"".join(data for _, data in self.log)

    def wait_requests(self, count, complete=True):
        """At least so many requests since begin()."""
        def found():
            return [one for one in self.requests if one.complete or not complete]
        with self.changed:
            if not self.changed.wait_for(lambda: len(found()) >= count, PATIENCE):
                raise TimeoutError("%d request(s) instead of %d: %r" % (len(found()), count, self.requests))
            return found()

    def wait_ended(self, *connections):
        for connection in connections:
            connection.wait_end()

    def open_connections(self):
        with self.changed:
            return [one for one in self.connections if one.end is None]

    def drop_connections(self):
        """Ends what is open, so that the next request needs a new one."""
        for connection in self.open_connections():
            connection.close()

    def close(self):
        self._closing = True
        self._post(lambda: None)
        self._thread.join(PATIENCE)
        for connection in self.open_connections():
            connection.close()
        self._listening.close()

    # -- the thread that reads

    def _post(self, job):
        with self.changed:
            self._jobs.append(job)
        os.write(self._wake_write, b"x")

    def _run(self):
        while not self._closing:
            ready = self._selector.select(None if not self._jobs else 0)
            busy = False
            for key, _ in ready:
                if key.fileobj is self._listening:
                    self._accept()
                    busy = True
                elif key.fileobj == self._wake_read:
                    os.read(self._wake_read, 4096)
                else:
                    self._read(key.data)
                    busy = True
            if not busy:
                with self.changed:
                    jobs, self._jobs = self._jobs, []
                for job in jobs:
                    job()

    def _accept(self):
        try:
            sock, _ = self._listening.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.changed:
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _read(self, connection):
        if connection.end is not None or connection.paused:
            self._forget(connection)
            return
        try:
            data = connection.socket.recv(1 << 18, socket.MSG_DONTWAIT)
            end = None if data else "fin"
        except BlockingIOError:
            return
        except OSError:
            data, end = b"", "reset"
        with self.changed:
            if data:
                connection.received += data
                self.total += len(data)
                self.log.append((connection, data))
            elif connection.end is None:
                connection.end = end
            self.changed.notify_all()
        if end is not None:
            self._forget(connection)

    def _forget(self, connection):
        with contextlib.suppress(KeyError, ValueError, OSError):
            self._selector.unregister(connection.socket)

    def pause(self, connection, paused=True):
        """Stops reading from a connection, or goes on."""
        done = threading.Event()

        def change():
            connection.paused = paused
            if paused:
                self._forget(connection)
            elif connection.end is None:
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            done.set()
        self._post(change)
        done.wait(PATIENCE)

    def _drop(self, connection):
        """Ends a connection from our side: unregistered by the reading thread, then closed."""
        with self.changed:
            if connection.end is None:
                connection.end = "closed"
            self.changed.notify_all()
        if threading.current_thread() is self._thread or self._closing:
            self._forget(connection)
            connection.socket.close()
            return
        done = threading.Event()

        def forget():
            self._forget(connection)
            connection.socket.close()
            done.set()
        self._post(forget)
        done.wait(PATIENCE)

    def _serve(self, connection):
        try:
            self.serve(connection)
        except Ended:
            pass
        except (wire.Malformed, TimeoutError) as problem:
            with self.changed:
                self.complaints.append("%s, in %r" % (problem, bytes(connection.received[-400:])))
                self.changed.notify_all()
            connection.close()
        except Exception as problem:  # a script that fails must not fail silently
            with self.changed:
                self.complaints.append("the recorder's script: %r" % problem)
            connection.close()
        finally:
            if connection.end in ("fin", "reset"):
                self._drop(connection)
