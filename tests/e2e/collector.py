"""A trace collector in the test's process: it keeps every span that it is sent, as OTLP or as Zipkin JSON.

The OTLP reader knows the wire format of protobuf and the few field numbers it needs, and nothing of
the program under test.
"""
import json
import socket
import sys
import threading

from mesh import PATIENCE, Failure, wait_for  # first: it makes meshkit known
import meshkit.collector

SERVER, CLIENT = 2, 3


def fields(message):
    """(number, value) of every field; nested messages and texts are bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        wire = key & 7
        if wire == 0:
            value = varint()
        elif wire == 1:
            value, at = int.from_bytes(message[at:at + 8], "little"), at + 8
        elif wire == 2:
            size = varint()
            value, at = message[at:at + size], at + size
            if len(value) != size:
                raise ValueError("a field is cut off")
        else:
            raise ValueError("wire type %d" % wire)
        yield key >> 3, value


def every(message, number):
    return [value for key, value in fields(message) if key == number]


def first(message, number, default=None):
    return next(iter(every(message, number)), default)


def attributes(message, number):
    found = {}
    for pair in every(message, number):
        value = first(pair, 2, b"")
        text = first(value, 1)
        found[first(pair, 1).decode()] = first(value, 3) if text is None else text.decode()
    return found


class Span:
    def __init__(self, trace, span_id, parent, name, kind, start, end, tags, service, error):
        self.trace, self.id, self.parent, self.name, self.kind = trace, span_id, parent, name, kind
        self.start, self.end, self.tags, self.service, self.error = start, end, tags, service, error

    def __repr__(self):
        return "%s %s %s<-%s %s" % (self.service, self.name, self.id, self.parent, self.tags)


def otlp_spans(body):
    for resource_spans in every(body, 1):
        resource = attributes(first(resource_spans, 1), 1)
        for scope_spans in every(resource_spans, 2):
            for span in every(scope_spans, 2):
                yield Span(first(span, 1).hex(), first(span, 2).hex(), first(span, 4, b"").hex() or None,
                           first(span, 5).decode(), first(span, 6), first(span, 7), first(span, 8),
                           attributes(span, 9), resource["service.name"], first(first(span, 15, b""), 3, 0) == 2)


def zipkin_spans(body):
    for span in json.loads(body):
        yield Span(span["traceId"], span["id"], span.get("parentId"), span["name"],
                   {"SERVER": SERVER, "CLIENT": CLIENT}[span["kind"]], span["timestamp"] * 1000,
                   (span["timestamp"] + span["duration"]) * 1000, span["tags"], span["localEndpoint"]["serviceName"],
                   "error" in span["tags"])


class Collector(meshkit.collector.Collector):
    """POST /v1/traces and POST /api/v2/spans. It keeps every span, on connections that stay."""

    KEPT = sys.maxsize
    PROTOCOL = "HTTP/1.1"
    STATUS = 200
    READERS = {"/v1/traces": ("application/x-protobuf", otlp_spans),
               "/api/v2/spans": ("application/json", zipkin_spans)}

    def __init__(self):
        self.problems = []
        super().__init__()

    def read(self, path, content_type, body):
        try:
            expected, spans_of = self.READERS.get(path, (None, None))
            if expected is None or expected != content_type:
                raise ValueError("%s with %s" % (path, content_type))
            return list(spans_of(body))
        except Exception as problem:
            self.problems.append(repr(problem))
            return []

    def spans(self, condition=lambda span: True):
        with self.lock:
            return [span for span in self.kept if condition(span)]

    def wait(self, count, condition=lambda span: True):
        """Exactly so many spans for which the condition holds, in the order of their beginning."""
        wait_for(lambda: len(self.spans(condition)) >= count, "%d spans" % count, PATIENCE)
        found = sorted(self.spans(condition), key=lambda span: span.start)
        if self.problems or len(found) != count:
            raise Failure("%s %s" % (self.problems, found))
        return found


class Deaf:
    """Accepts connections and answers with `says`, which is no HTTP, or never at all."""

    def __init__(self, says=None):
        self.says = says
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections.append(connection)
            if self.says is not None:
                threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            connection.recv(65536)
            connection.sendall(self.says)
            connection.close()
        except OSError:
            pass

    def close(self):
        self.listening.close()
        for connection in self.connections:
            connection.close()
