"""A name server whose every answer is written by hand, so that it may be wrong, late or far too long."""
import contextlib
import socket
import struct
import threading

A, CNAME = 1, 5
HERE = "127.0.0.1"


def encode(name):
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


class Query:
    def __init__(self, raw):
        self.raw = raw
        self.id, self.flags = struct.unpack_from(">HH", raw)
        labels, at = [], 12
        while raw[at]:
            labels.append(raw[at + 1:at + 1 + raw[at]].decode())
            at += 1 + raw[at]
        self.name = ".".join(labels).lower()
        self.type, = struct.unpack_from(">H", raw, at + 1)
        self.question = raw[12:at + 5]

    def answer(self, records, truncated=False, number=None, question=None):
        """`records`: [(owner, type, data)]; an owner of None is the name that was asked for."""
        flags = 0x8180 | (0x0200 if truncated else 0)
        out = [struct.pack(">HHHHHH", self.id if number is None else number, flags, 1, len(records), 0, 0),
               question or self.question]
        for owner, kind, data in records:
            out.append((b"\xc0\x0c" if owner is None else encode(owner)) + struct.pack(">HHIH", kind, 1, 60, len(data)) + data)
        return b"".join(out)

    def addresses(self, *addresses, **more):
        """Those addresses, or nothing where another type is asked for."""
        return self.answer([(None, A, socket.inet_aton(each)) for each in addresses] if self.type == A else [], **more)


class NameServer:
    """Port 53 of 127.0.0.1, over UDP and TCP. `script`: (server, query, send, tcp); what it does not send is not said.

    `asked` has the names in the order in which they came.
    """

    def __init__(self, script):
        self.script, self.asked = script, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((HERE, 53))
        self.tcp = socket.create_server((HERE, 53))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def close(self):
        for each in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                raw, self.client = self.udp.recvfrom(65535)
                if not raw:
                    return
                query = Query(raw)
                self.asked.append(query.name)
                self.script(self, query, lambda data: self.udp.sendto(data, self.client), False)

    def _serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.tcp.accept()
                threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                query = Query(stream.read(int.from_bytes(head, "big")))
                self.script(self, query, lambda data: connection.sendall(struct.pack(">H", len(data)) + data), True)
