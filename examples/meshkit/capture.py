"""Reads a packet capture and says what was in it: TLS records of which version, or plain text.

Enough of pcap, Ethernet, Linux cooked, IPv4, IPv6 and TCP to put the two byte streams of every
connection back together; enough of TLS to walk its records and read the version a ServerHello chose.
"""
import struct
from collections import Counter

TLS_1_3 = 0x0304
RECORD_NAMES = {20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}


class NotTls(Exception):
    pass


def _packets(data):
    if len(data) < 24:
        return
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">"}.get(data[:4])
    if order is None:
        raise ValueError("not a pcap file")
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        kept, original = struct.unpack(order + "II", data[at + 8:at + 16])
        frame = data[at + 16:at + 16 + kept]
        if kept < original:
            raise ValueError("the capture holds only parts of packets")
        at += 16 + kept
        skip = {1: 14, 113: 16, 276: 20, 101: 0, 12: 0, 0: 4}.get(link)
        if skip is None:
            raise ValueError("link type %d is not known here" % link)
        yield frame[skip:]


def _segments(data):
    """(source, destination, sequence number, SYN?, payload) of every TCP packet."""
    for packet in _packets(data):
        version = packet[0] >> 4 if packet else 0
        if version == 4 and packet[9] == 6:
            start, total = (packet[0] & 15) * 4, struct.unpack(">H", packet[2:4])[0]
            source, destination = packet[12:16], packet[16:20]
            tcp = packet[start:total] if total else packet[start:]
        elif version == 6 and packet[6] == 6:
            source, destination = packet[8:24], packet[24:40]
            total = struct.unpack(">H", packet[4:6])[0]
            tcp = packet[40:40 + total] if total else packet[40:]
        else:
            continue
        ports = struct.unpack(">HH", tcp[:4])
        sequence = struct.unpack(">I", tcp[4:8])[0]
        yield (source, ports[0]), (destination, ports[1]), sequence, bool(tcp[13] & 2), tcp[(tcp[12] >> 4) * 4:]


def streams(data):
    """{(source, destination): bytes} of every direction of every connection, in sequence order.

    A direction whose beginning or middle is missing ends where the gap begins.
    """
    first, parts = {}, {}
    for source, destination, sequence, syn, payload in _segments(data):
        flow = (source, destination)
        if syn:
            first[flow] = (sequence + 1) & 0xFFFFFFFF
        elif payload:
            parts.setdefault(flow, []).append((sequence, payload))
    joined = {}
    for flow, segments in parts.items():
        begin = first.get(flow, segments[0][0])
        stream = bytearray()
        for sequence, payload in sorted(segments, key=lambda part: (part[0] - begin) & 0xFFFFFFFF):
            offset = (sequence - begin) & 0xFFFFFFFF
            if offset > len(stream):
                break
            stream += payload[max(0, len(stream) - offset):]
        joined[flow] = bytes(stream)
    return joined


def records(stream):
    """(type, fragment) of every TLS record; NotTls when the bytes are anything else.

    The last record may be cut short by the end of the capture.
    """
    at = 0
    while at < len(stream):
        head = stream[at:at + 5]
        if len(head) < 5:
            if head[0] not in RECORD_NAMES:
                raise NotTls("offset %d: %r" % (at, head))
            return
        kind, version, length = struct.unpack(">BHH", head)
        if kind not in RECORD_NAMES or version not in (0x0301, 0x0303) or length > 16640:
            raise NotTls("offset %d: %r" % (at, stream[at:at + 24]))
        yield kind, stream[at + 5:at + 5 + length]
        at += 5 + length


def server_version(fragment):
    """The version a ServerHello chose; None when the fragment is something else."""
    if len(fragment) < 39 or fragment[0] != 2:
        return None
    at = 4 + 2 + 32
    at += 1 + fragment[at]  # session id
    at += 2 + 1             # cipher suite, compression
    if at + 2 > len(fragment):
        return struct.unpack(">H", fragment[4:6])[0]
    end = at + 2 + struct.unpack(">H", fragment[at:at + 2])[0]
    at += 2
    while at + 4 <= min(end, len(fragment)):
        kind, length = struct.unpack(">HH", fragment[at:at + 4])
        if kind == 43:
            return struct.unpack(">H", fragment[at + 4:at + 6])[0]
        at += 4 + length
    return struct.unpack(">H", fragment[4:6])[0]


class Report:
    """What was seen on one server port."""

    def __init__(self, data, port):
        self.connections = self.bytes = 0
        self.records = Counter()
        self.versions = Counter()   # of ServerHellos
        self.plain = []             # why bytes are not TLS 1.3 records
        self.payload = b""
        for (source, destination), stream in streams(data).items():
            if port not in (source[1], destination[1]):
                continue
            from_server = source[1] == port
            self.connections += not from_server
            self.bytes += len(stream)
            self.payload += stream
            sealed = False
            try:
                for kind, fragment in records(stream):
                    self.records[RECORD_NAMES[kind]] += 1
                    if kind == 22 and from_server and server_version(fragment) is not None:
                        self.versions[server_version(fragment)] += 1
                    # TLS 1.3 sends everything after the hellos as application data.
                    if kind == 23:
                        sealed = True
                    elif kind == 22 and sealed:
                        raise NotTls("a handshake record after encryption began: not TLS 1.3")
            except NotTls as error:
                self.plain.append(str(error))

    def only_tls13(self):
        return bool(self.connections and not self.plain and self.records["application_data"]
                    and set(self.versions) == {TLS_1_3})
