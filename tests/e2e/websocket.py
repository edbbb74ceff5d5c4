"""A WebSocket client small enough to send what a real one would not: heads, frames, half-closes."""
import base64
import hashlib
import os
import socket
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def new_key():
    return base64.b64encode(os.urandom(16))


def frame(payload, opcode=TEXT, mask=b"\x11\x22\x33\x44", fin=True):
    """A frame as a client sends it; mask None: as a server does."""
    head = bytes([(0x80 if fin else 0) | opcode])
    masked = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head += bytes([masked | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([masked | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def request(path="/", key=None, **fields):
    """The head of an upgrade. A field whose value is None is left out; names have _ for -."""
    every = {"host": "app", "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
             "sec_websocket_key": (key or new_key()).decode()}
    every.update(fields)
    lines = ["%s: %s" % (name.replace("_", "-"), value) for name, value in every.items() if value is not None]
    return ("GET %s HTTP/1.1\r\n%s\r\n\r\n" % (path, "\r\n".join(lines))).encode()


class WebSocket:
    """An open WebSocket. `head` is what the handshake was answered with."""

    def __init__(self, port, path="/", seconds=30.0, early=b"", **fields):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        key = new_key()
        self.socket.sendall(request(path, key, **fields) + early)
        while b"\r\n\r\n" not in self.data:
            self._more()
        end = self.data.index(b"\r\n\r\n") + 4
        self.head = bytes(self.data[:end])
        del self.data[:end]
        if not self.head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(repr(self.head + bytes(self.data)))
        accept = [line.split(b": ")[1] for line in self.head.split(b"\r\n")
                  if line.lower().startswith(b"sec-websocket-accept: ")]
        if accept != [accept_of(key)]:
            raise ConnectionError("a wrong accept: %r" % self.head)

    def _more(self):
        part = self.socket.recv(1 << 16)
        if not part:
            raise EOFError("the connection ended")
        self.data += part

    def _take(self, size):
        while len(self.data) < size:
            self._more()
        part = bytes(self.data[:size])
        del self.data[:size]
        return part

    def send(self, payload, opcode=TEXT):
        self.socket.sendall(frame(payload, opcode))

    def receive(self):
        """(opcode, payload) of the next frame."""
        first, second = self._take(2)
        size = second & 0x7f
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        return first & 0x0f, self._take(size)

    def echoes(self, payload):
        self.send(payload)
        return self.receive() == (TEXT, payload)

    def wait_end(self):
        """Reads to the end of the connection: what still came."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            return bytes(self.data)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
