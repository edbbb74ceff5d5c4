"""Requests, and what may be done to their bytes to see whether two readers still agree."""

LINES = [b"Content-Length: 3", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
         b"Transfer-Encoding:", b"Host: b", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue",
         b"Connection: x-a", b"Upgrade: h2c", b" folded", b"no colon", b"Content_Length: 3", b"TE: trailers",
         b"Transfer-Encoding: chunked, chunked", b"Content-Length: +3", b"Content-Length: 3, 3", b": empty",
         b"X-Forwarded-For: 10.0.0.1", b"Trailer: x-t", b"Keep-Alive: timeout=1", b"Proxy-Connection: close"]
BYTES = b"\r\n\t\0 :;,=\"'/?#%\\.+-_0159aAxXfF\x0b\x0c\x7f\x80\xa0\xff(){}[]|<>@*&~^`!$"
NUMBERS = [b"0", b"1", b"3", b"5", b"05", b"0x5", b"+5", b"-1", b"5 ", b" 5", b"5,5", b"ff", b"FF", b"000000000000005",
           b"4294967296", b"9223372036854775807", b"18446744073709551616", b"10000000000000005", b"1e3", b"5.0"]


def body_of(random):
    return bytes(random.choice(b"abcdefgh\r\n0123456789 :") for _ in range(random.choice((0, 1, 3, 5, 17, 200))))


def chunked(random, body):
    parts = []
    while body:
        size = random.randint(1, len(body))
        extension = random.choice((b"", b"", b"", b";a", b';a="b"', b";a=b"))
        parts.append(b"%x%s\r\n%s\r\n" % (size, extension, body[:size]))
        body = body[size:]
    trailer = random.choice((b"", b"", b"X-T: 1\r\n"))
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def request(random):
    """One good request."""
    method = random.choice((b"GET", b"GET", b"POST", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
    target = b"/" + bytes(random.choice(b"abcdefghij/") for _ in range(random.randint(0, 8))).replace(b"//", b"/")
    if random.random() < 0.3:
        target += b"?x=" + b"%d" % random.randint(0, 99)
    if random.random() < 0.05:
        target = b"http://a" + target
    lines = [b"%s %s HTTP/1.%d" % (method, target, 0 if random.random() < 0.05 else 1), b"Host: a"]
    lines += [b"X-%c: %s" % (random.choice(b"abc"), random.choice((b"1", b"two words", b"a,b", b"")))
              for _ in range(random.randint(0, 3))]
    body = b""
    if method in (b"POST", b"PUT", b"PATCH") or random.random() < 0.1:
        body = body_of(random)
        if random.random() < 0.5 and not lines[0].endswith(b"1.0"):
            lines.append(b"Transfer-Encoding: chunked")
            body = chunked(random, body)
        else:
            lines.append(b"Content-Length: %d" % len(body))
    if random.random() < 0.1:
        lines.append(random.choice((b"Connection: close", b"Connection: keep-alive", b"TE: trailers")))
    head = lines[:1] + random.sample(lines[1:], len(lines) - 1)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def lines_of(data):
    return data.split(b"\r\n")


def place(random, data):
    return random.randint(0, len(data))


def change_byte(random, data):
    at = place(random, data[1:])
    return data[:at] + bytes((random.choice(BYTES),)) + data[at + 1:]


def insert_byte(random, data):
    at = place(random, data)
    return data[:at] + bytes((random.choice(BYTES),)) + data[at:]


def remove_byte(random, data):
    at = place(random, data)
    return data[:at] + data[at + 1:]


def flip_bit(random, data):
    at = place(random, data[1:])
    return data[:at] + bytes((data[at] ^ 1 << random.randint(0, 7),)) + data[at + 1:]


def repeat_line(random, data):
    lines = lines_of(data)
    at = random.randrange(len(lines))
    return b"\r\n".join(lines[:at] + [lines[at]] + lines[at:])


def swap_lines(random, data):
    lines = lines_of(data)
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\r\n".join(lines)


def remove_line(random, data):
    lines = lines_of(data)
    del lines[random.randrange(len(lines))]
    return b"\r\n".join(lines)


def insert_line(random, data):
    lines = lines_of(data)
    at = random.randint(1, len(lines))
    return b"\r\n".join(lines[:at] + [random.choice(LINES)] + lines[at:])


def change_line_end(random, data):
    ends = [at for at in range(len(data)) if data[at:at + 2] == b"\r\n"]
    if not ends:
        return data
    at = random.choice(ends)
    return data[:at] + random.choice((b"\n", b"\r", b"\r\r\n", b"\r\n\n", b"\r\n\r\n", b" \r\n", b"\r\n ", b"")) + data[at + 2:]


def change_number(random, data):
    digits = [at for at in range(len(data)) if data[at:at + 1].isdigit()]
    if not digits:
        return data
    at = end = random.choice(digits)
    while data[end:end + 1].isdigit():
        end += 1
    return data[:at] + random.choice(NUMBERS) + data[end:]


def change_case(random, data):
    lines = lines_of(data)
    at = random.randrange(len(lines))
    lines[at] = lines[at].swapcase()
    return b"\r\n".join(lines)


def blank_at_colon(random, data):
    colons = [at for at in range(len(data)) if data[at] == ord(":")]
    if not colons:
        return data
    at = random.choice(colons)
    return data[:at] + random.choice((b" :", b"\t:", b":", b":\t", b":  ", b"::", b":\x0b", b"_:")) + data[at + 1:]


def cut(random, data):
    return data[:place(random, data)]


def repeat_part(random, data):
    a, b = sorted((place(random, data), place(random, data)))
    return data[:b] + data[a:b] + data[b:]


MUTATORS = [change_byte, insert_byte, remove_byte, flip_bit, repeat_line, swap_lines, remove_line, insert_line,
            change_line_end, change_number, change_case, blank_at_colon, cut, repeat_part]


def message(random):
    """One to three pipelined requests; most of them with up to three mutations."""
    data = b"".join(request(random) for _ in range(random.choice((1, 1, 2, 3))))
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        if data:
            data = random.choice(MUTATORS)(random, data)
    return data or b"\r\n"
