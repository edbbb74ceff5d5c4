"""HPACK (RFC 7541) for the raw HTTP/2 peer: a decoder for what sidecars say, an encoder that can also be wrong.

The encoder is a set of functions that each make one representation, so that a test can put together
what no implementation would. Decoder keeps the dynamic table of one direction of one connection.
"""

STATIC = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
]
FIRST_DYNAMIC = len(STATIC) + 1

# How many bits the Huffman code of each octet has (RFC 7541, appendix B). The code is canonical, so
# the lengths say everything. The last one is EOS.
_LENGTHS = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15,
    6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23,
    23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22,
    22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26,
    27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27,
    26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
]


def _canonical(lengths):
    codes, code, previous = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
        code <<= length - previous
        codes[symbol] = (code, length)
        code, previous = code + 1, length
    return codes


_CODES = _canonical(_LENGTHS)
_SYMBOLS = {(code, length): symbol for symbol, (code, length) in _CODES.items()}
EOS = 256


def huffman_bits(symbols):
    """The bits of some octets (or EOS) as a string of 0 and 1, without padding."""
    return "".join(format(code, "0%db" % length) for code, length in (_CODES[symbol] for symbol in symbols))


def bits_to_bytes(bits):
    assert len(bits) % 8 == 0
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]


def huffman(text):
    bits = huffman_bits(text.encode("latin-1"))
    return bits_to_bytes(bits + "1" * (-len(bits) % 8))


def _unhuffman(coded):
    out, code, length = bytearray(), 0, 0
    for byte in coded:
        for shift in range(7, -1, -1):
            code, length = code << 1 | byte >> shift & 1, length + 1
            symbol = _SYMBOLS.get((code, length))
            if symbol is not None:
                out.append(symbol)
                code = length = 0
    return out.decode("latin-1")


# ---- encoding -----------------------------------------------------------------------------------

def integer(value, prefix, pattern=0):
    """An integer with a prefix of so many bits behind the pattern of its first byte."""
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([pattern | value])
    out, value = [pattern | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def string(text):
    raw = text if isinstance(text, bytes) else text.encode("latin-1")
    return integer(len(raw), 7) + raw


def coded_string(coded):
    """A string whose bytes are said to be Huffman-coded."""
    return integer(len(coded), 7, 0x80) + coded


def indexed(number):
    return integer(number, 7, 0x80)


def literal(name, value):
    """A literal without indexing, its name in full."""
    return b"\0" + string(name) + string(value)


def inserted(name, value):
    """A literal that enters the dynamic table (as entry FIRST_DYNAMIC)."""
    return b"\x40" + string(name) + string(value)


def table_size(size):
    return integer(size, 5, 0x20)


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


# ---- decoding -----------------------------------------------------------------------------------

class Decoder:
    def __init__(self, size=4096):
        self.limit = size
        self.entries = []

    def decode(self, data):
        """The fields of a block."""
        self._data, self._at, fields = data, 0, []
        while self._at < len(data):
            first = data[self._at]
            if first & 0x80:
                fields.append(self._entry(self._integer(7)))
            elif first & 0xe0 == 0x20:
                self.limit = self._integer(5)
                self._evict()
            else:
                insert = first & 0x40
                number = self._integer(6 if insert else 4)
                field = (self._entry(number)[0] if number else self._string(), self._string())
                fields.append(field)
                if insert:
                    self.entries.insert(0, field)
                    self._evict()
        return fields

    def _evict(self):
        while sum(len(name) + len(value) + 32 for name, value in self.entries) > self.limit:
            self.entries.pop()

    def _entry(self, number):
        if 1 <= number <= len(STATIC):
            return STATIC[number - 1]
        return self.entries[number - FIRST_DYNAMIC]

    def _integer(self, prefix):
        limit = (1 << prefix) - 1
        value = self._data[self._at] & limit
        self._at += 1
        shift = 0
        while value >= limit or shift:
            byte = self._data[self._at]
            self._at += 1
            value += (byte & 0x7f) << shift
            shift += 7
            if byte < 128:
                break
        return value

    def _string(self):
        coded = self._data[self._at] & 0x80
        size = self._integer(7)
        raw = self._data[self._at:self._at + size]
        self._at += size
        return _unhuffman(raw) if coded else raw.decode("latin-1")
