"""HTTP/1.1 on the wire, read without mercy: what is not exactly as RFC 9112 says is Malformed.

Shares no code with the product and none with its other tests.
"""
import re
import socket
import struct
from collections import namedtuple

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
FIELD_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t \x21-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])\Z")
DECIMAL = re.compile(rb"(?:0|[1-9][0-9]*)\Z")
CHUNK_SIZE = re.compile(rb"(?:0|[1-9a-f][0-9a-f]*)\Z")


class Malformed(Exception):
    """Bytes that are no HTTP/1.1, or not in the one form in which it is to be written."""


class Incomplete(Exception):
    """The bytes end before the message does."""


class Fields(list):
    """(name, value) pairs of str, in order."""

    def values(self, name):
        return [value for key, value in self if key.lower() == name]

    def __getitem__(self, key):
        if isinstance(key, str):
            return next(iter(self.values(key)), None)
        return list.__getitem__(self, key)

    def names(self):
        return [key.lower() for key, _ in self]


Head = namedtuple("Head", "line fields size")
Answer = namedtuple("Answer", "status fields body trailers interims")


def read_head(data, at=0, lower_case=True):
    """The start line and the fields that begin at an offset; `size` in bytes."""
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        if len(data) - at > 1 << 20:
            raise Malformed("a head without end")
        raise Incomplete()
    lines = bytes(data[at:end]).split(b"\r\n")
    return Head(lines[0], read_fields(lines[1:], lower_case), end + 4 - at)


def read_fields(lines, lower_case=True):
    fields = Fields()
    for line in lines:
        name, colon, value = line.partition(b": ")
        if not colon and line.endswith(b":"):
            name, value = line[:-1], b""
        if not TOKEN.match(name):
            raise Malformed("field name in %r" % line)
        if lower_case and name != name.lower():
            raise Malformed("a name that is not lower case: %r" % line)
        if not FIELD_VALUE.match(value):
            raise Malformed("field value in %r" % line)
        fields.append((name.decode(), value.decode("latin-1")))
    return fields


def framing_of(fields):
    """("length", N), ("chunked", None) or (None, None); more than one way to say it is Malformed."""
    lengths, codings = fields.values("content-length"), fields.values("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Malformed("framed more than once: %r" % (fields,))
    if codings:
        if codings[0] != "chunked":
            raise Malformed("transfer-encoding: " + codings[0])
        return "chunked", None
    if lengths:
        if not DECIMAL.match(lengths[0].encode("latin-1")):
            raise Malformed("content-length: " + lengths[0])
        return "length", int(lengths[0])
    return None, None


def read_chunk(data, at):
    """One chunk: its bytes and the offset behind it. The last one: None, the offset of the trailers."""
    end = data.find(b"\r\n", at)
    if end < 0:
        if len(data) - at > 32:
            raise Malformed("no chunk size: %r" % bytes(data[at:at + 40]))
        raise Incomplete()
    digits = bytes(data[at:end])
    if not CHUNK_SIZE.match(digits):
        raise Malformed("chunk line %r" % digits)
    size = int(digits, 16)
    if size == 0:
        return None, end + 2
    if len(data) < end + 2 + size + 2:
        raise Incomplete()
    if data[end + 2 + size:end + 4 + size] != b"\r\n":
        raise Malformed("no CRLF behind a chunk")
    return bytes(data[end + 2:end + 2 + size]), end + 4 + size


def read_trailers(data, at):
    """The trailer fields and the offset behind the message."""
    if data[at:at + 2] == b"\r\n":
        return Fields(), at + 2
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        raise Incomplete()
    return read_fields(bytes(data[at:end]).split(b"\r\n")), end + 4


def read_body(data, at, fields):
    """(body, trailers, offset behind) of a message whose body is framed, or has none."""
    kind, length = framing_of(fields)
    if kind is None:
        return b"", Fields(), at
    if kind == "length":
        if len(data) < at + length:
            raise Incomplete()
        return bytes(data[at:at + length]), Fields(), at + length
    parts = []
    while True:
        chunk, at = read_chunk(data, at)
        if chunk is None:
            trailers, at = read_trailers(data, at)
            return b"".join(parts), trailers, at
        parts.append(chunk)


def read_answer(data, at=0, method="GET", ended=False):
    """One answer, 1xx heads before it included, and the offset behind it. `ended`: no byte will follow."""
    interims = []
    while True:
        head = read_head(data, at)
        match = STATUS_LINE.match(head.line)
        if not match:
            raise Malformed("status line %r" % head.line)
        status = int(match.group(2))
        at += head.size
        if status == 101:
            return Answer(status, head.fields, b"", Fields(), interims), at
        if status >= 200:
            break
        if framing_of(head.fields)[0]:
            raise Malformed("a framed 1xx: %r" % (head,))
        interims.append((status, head.fields))
    if status == 204 and framing_of(head.fields)[0]:
        raise Malformed("a framed 204: %r" % (head,))
    if method == "HEAD" or status in (204, 304):
        framing_of(head.fields)
        return Answer(status, head.fields, b"", Fields(), interims), at
    if framing_of(head.fields)[0] is None:
        if not ended:
            raise Incomplete()
        return Answer(status, head.fields, bytes(data[at:]), Fields(), interims), len(data)
    body, trailers, at = read_body(data, at, head.fields)
    return Answer(status, head.fields, body, trailers, interims), at


def read_answers(data, methods=(), ended=True):
    """All answers in the bytes; what is left over or incomplete is Malformed."""
    answers, at = [], 0
    methods = list(methods)
    while at < len(data):
        try:
            answer, at = read_answer(data, at, methods.pop(0) if methods else "GET", ended)
        except Incomplete:
            raise Malformed("an incomplete answer: %r" % bytes(data[at:at + 300])) from None
        answers.append(answer)
    return answers


class Client:
    """A raw connection: sends what it is told, keeps what comes."""

    def __init__(self, port, context=None, server_name="callee", seconds=20.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=server_name)
        self.received = bytearray()
        self.end = None  # "fin" or "reset", once seen
        self.at = 0      # where the next answer begins

    def send(self, data):
        """False: the other side has gone, which it may."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def fin(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def receive(self):
        """Some more bytes; False at the end. socket.timeout when nothing comes."""
        if self.end is not None:
            return False
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionResetError:
            self.end = "reset"
            return False
        if not part:
            self.end = "fin"
            return False
        self.received += part
        return True

    def read_to_end(self):
        while self.receive():
            pass
        return bytes(self.received)

    def answer(self, method="GET"):
        """The next answer; waits for it. Incomplete when the connection ends within it."""
        while True:
            try:
                answer, self.at = read_answer(self.received, self.at, method, self.end == "fin")
                return answer
            except Incomplete:
                if not self.receive() and self.end is not None:
                    answer, self.at = read_answer(self.received, self.at, method, self.end == "fin")
                    return answer

    def answers(self, methods=()):
        """All answers up to the end of the connection."""
        self.read_to_end()
        return read_answers(self.received, methods, self.end == "fin")

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
