"""Matrix DG: what HTTP/2 says becomes HTTP/1 and back, and nothing else does."""
import threading
import unittest

from stage import Stage, says, wait_for

try:
    import frames
    from frames import END_HEADERS, END_STREAM, PROTOCOL_ERROR, Peer, data, headers
except ModuleNotFoundError:
    raise unittest.SkipTest("there is no raw HTTP/2 client yet (tests/conformance/frames.py)") from None

OPEN = END_HEADERS  # the flags of a head that a body or trailers follow


def head(method="GET", path="/", *more, scheme="http", authority="a"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def without(fields, name):
    return [field for field in fields if field[0] != name]


def changed(fields, name, value):
    return [(key, value if key == name else old) for key, old in fields]


class Http2Stage(Stage):
    def speak(self, *settings):
        """A raw HTTP/2 connection to the sidecar that ends with the test."""
        peer = Peer.connect(self.port)
        self.clients.append(peer)
        return peer.greet(*settings)

    def refused(self):
        """So many messages were refused before there was an exchange: the counter, and lines of the log."""
        return (sum(sidecar.metric("tulle_http_refused_total") for sidecar in self.sidecars),
                len(self.log_lines(lambda line: line.get("flags") == "DPE" and "method" not in line)))

    def refuse_heads(self, heads, outcomes=(PROTOCOL_ERROR,)):
        """Each head is refused with a reset or an answer that is among the outcomes, told once, and leaves
        nothing upstream; the connection goes on."""
        peer = self.speak()
        counted, logged = self.refused()
        with self.nothing_forwarded():
            for number, fields in enumerate(heads):
                stream = 2 * number + 1
                with self.subTest(fields=[field for field in fields if field not in head()] or fields):
                    peer.send(headers(stream, fields))
                    said = peer.wait(lambda f, own=stream: f.stream == own and
                                     (f.kind == frames.RST_STREAM or f.status is not None), "an answer")
                    self.assertIn(said.error if said.kind == frames.RST_STREAM else int(said.status), outcomes, said)
            wait_for(lambda: self.refused() == (counted + len(heads), logged + len(heads)),
                     lambda: "each is told once: %r, before %r, %d cases"
                     % (self.refused(), (counted, logged), len(heads)))
        stream = 2 * len(heads) + 1
        peer.send(headers(stream, head()))
        self.assertEqual(("200", b"ok"), peer.answer(stream), "the connection goes on")


class Requests(Http2Stage):
    def test_DG_02_a_body_shorter_than_announced_before_trailers(self):
        """content-length: 10, DATA of 5, trailers with END_STREAM -> RST_STREAM(PROTOCOL_ERROR); upstream never complete, never reused"""
        fields = head("POST", "/short", ("content-length", "10"))
        rest = data(1, b"12345") + headers(1, [("x-end", "1")])
        peer = self.speak()
        peer.send(headers(1, fields, OPEN) + rest)
        self.assertEqual(PROTOCOL_ERROR, peer.reset(1))
        peer = self.speak()
        self.recorder.begin()
        peer.send(headers(1, fields, OPEN))
        begun = self.recorder.wait_requests(1, complete=False)[0]
        peer.send(rest)
        self.assertEqual(PROTOCOL_ERROR, peer.reset(1))
        self.assertIn(begun.connection.wait_end(), ("fin", "reset"))
        self.assertFalse(any(request.complete for request in self.recorder.requests), self.recorder.requests)
        peer.send(headers(3, head()))
        self.assertEqual(("200", b"ok"), peer.answer(3))

    def test_DG_03_transfer_encoding(self):
        """transfer-encoding: chunked, trailers, or empty -> RST_STREAM(PROTOCOL_ERROR), nothing forwarded"""
        self.refuse_heads([head("POST", "/", ("transfer-encoding", value)) for value in ("chunked", "trailers", "")])

    def test_DG_04_fields_of_one_connection(self):
        """connection, keep-alive, proxy-connection, upgrade, te other than trailers -> RST_STREAM(PROTOCOL_ERROR); te: trailers is passed on"""
        self.refuse_heads([head("GET", "/", field) for field in (
            ("connection", "close"), ("connection", "x-secret"), ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"), ("upgrade", "h2c"), ("te", "gzip"), ("te", "trailers, gzip"))])
        peer = self.speak()
        peer.send(headers(1, head("GET", "/te", ("te", "trailers"))))
        self.assertEqual("200", peer.answer(1)[0])
        request = self.recorder.wait_requests(1)[-1]
        self.assertEqual(("trailers", "te"), (request.fields["te"], request.fields["connection"]), request)

    def test_DG_05_bytes_that_end_lines_in_values(self):
        """a value with CRLF and a field, a lone CR, a lone LF, NUL -> RST_STREAM(PROTOCOL_ERROR), not dropped"""
        values = ("a\r\nTransfer-Encoding: chunked", "a\rb", "a\nb", "a\0b", "\r\n", "\0")
        self.refuse_heads([head("GET", "/", ("x-field", value)) for value in values] +
                          [head("GET", "/", ("cookie", value)) for value in values[:4]])

    def test_DG_06_names_that_are_no_names(self):
        """a name with CRLF, colon, SP, upper case, empty, a byte above 0x7f, or disguised -> RST_STREAM(PROTOCOL_ERROR)"""
        names = ("x\r\ny", "x: y\r\nz", "x:y", "x y", "transfer-encoding ", " x", "X-Upper", "", "x\xe4", "x\x7f",
                 "x\0", "content_length", "transfer_encoding", "x_forwarded_client_cert")
        self.refuse_heads([head("GET", "/", (name, "5")) for name in names])

    def test_DG_08_methods_that_are_no_methods(self):
        """:method with a request line in it, with SP, empty, G?T -> RST_STREAM(PROTOCOL_ERROR)"""
        self.refuse_heads([head(method) for method in (
            "GET /admin HTTP/1.1\r\nX: ", "GET /admin", "", "G?T", "GET\r\n", "GET\0", "G\xe4T")])

    def test_DG_09_paths_that_are_no_paths(self):
        """:path with a request line in it, SP, no slash, empty, a URI, * with GET, #, backslash, 0xff -> RST_STREAM(PROTOCOL_ERROR) or 400"""
        paths = ("/x HTTP/1.1\r\nHost: b", "/a b", "admin", "", "http://evil/", "*", "/a#b", "/a\\b", "/\xff",
                 "/a\tb", "/a\0", "/%", "/%0", "/%zz", "/%00", "/a%5cb", "/..", "/a/../../b", "/%2e%2e/b", "/a<b",
                 "/a\"b", "pkg.Service/Method")
        refused_by_routing = ("/%", "/%0", "/%zz", "/%00", "/a%5cb", "/..", "/a/../../b", "/%2e%2e/b")
        self.refuse_heads([head("GET", path) for path in paths if path not in refused_by_routing],
                          (PROTOCOL_ERROR, 400))
        peer = self.speak()
        with self.nothing_forwarded():
            for number, path in enumerate(refused_by_routing):
                peer.send(headers(2 * number + 1, head("GET", path)))
                self.assertEqual("400", peer.answer(2 * number + 1)[0], path)

    def test_DG_10_authorities_that_are_none(self):
        """:authority with SP, CRLF, slash, user information, a list, empty, 64 KiB; one that differs from host -> 400 or RST_STREAM"""
        self.refuse_heads([head("GET", "/", authority=authority) for authority in (
            "a b", "a\r\nX: y", "a/b", "u@h", "a,b", "", "a:80:80", "a:x", "[::1", "a?b", "a#b", "a\\b", "\xe4")] +
            [head("GET", "/", ("host", "b")), head("GET", "/", ("host", "a:8080")), head("GET", "/", ("host", "a,b")),
             head("GET", "/", ("host", "u@a")), head("GET", "/", authority="a" * 300)],
            (PROTOCOL_ERROR, 400))
        peer = self.speak()
        with self.nothing_forwarded():  # longer than a frame may be
            block = frames.block(head("GET", "/", authority="a" * 65536))
            parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
            peer.send(frames.headers(1, parts[0], END_STREAM), *[frames.continuation(1, part) for part in parts[1:-1]],
                      frames.continuation(1, parts[-1], END_HEADERS))
            self.assertEqual("431", peer.head(1).status)

    def test_DG_10_authorities_that_agree(self):
        """:authority and host that differ in case, a trailing dot, the default port -> passed on as one host, in lower case"""
        peer = self.speak()
        for number, (authority, host) in enumerate((("a", "A"), ("A.Example.", "a.example"), ("a:80", "a"),
                                                    ("a", "a:80"), ("A:8080", "a.:8080"))):
            self.recorder.begin()
            peer.send(headers(2 * number + 1, head("GET", "/", ("host", host), authority=authority)))
            self.assertEqual("200", peer.answer(2 * number + 1)[0], authority)
            host = self.recorder.wait_requests(1)[0].fields["host"]
            self.assertEqual(authority.lower().replace(".:", ":").rstrip("."), host)

    def test_DG_11_without_authority(self):
        """neither :authority nor host -> RST_STREAM(PROTOCOL_ERROR); host alone is used"""
        bare = without(head(), ":authority")
        self.refuse_heads([bare])
        peer = self.speak()
        self.recorder.begin()
        peer.send(headers(1, bare + [("host", "only")]))
        self.assertEqual("200", peer.answer(1)[0])
        self.assertEqual(["only"], self.recorder.wait_requests(1)[0].fields.values("host"))

    def test_DG_12_schemes(self):
        """:scheme that is a URI, javascript, empty, https on plaintext -> 400 or RST_STREAM; HTTP in upper case is http"""
        self.refuse_heads([head(scheme=scheme) for scheme in (
            "http://localhost/?", "https", "HTTPS", "javascript", "", "http ", "ws")] + [without(head(), ":scheme")],
            (PROTOCOL_ERROR, 400))
        peer = self.speak()
        peer.send(headers(1, head("GET", "/upper", scheme="HTTP")))
        self.assertEqual("200", peer.answer(1)[0])

    def test_DG_13_pseudo_fields(self):
        """a pseudo field twice, behind a regular one, unknown, or of an answer -> RST_STREAM(PROTOCOL_ERROR)"""
        get = head()
        self.refuse_heads(
            [get + [field] for field in get] + [[("x", "y")] + get, get[:3] + [("x", "y")] + get[3:]] +
            [[(":foo", "bar")] + get, [(":status", "200")] + get, without(get, ":method"), without(get, ":path")])

    def test_DG_15_how_bodies_are_framed(self):
        """a body without content-length -> chunked and nothing else; none at all -> GET unframed, POST content-length: 0"""
        peer = self.speak()
        chunked, empty, unframed = (None, "chunked"), ("0", None), (None, None)
        cases = (("POST", [data(1, b"hello", END_STREAM)], chunked, b"hello"),
                 ("GET", [data(3, b"hello", END_STREAM)], chunked, b"hello"),
                 ("POST", [data(5, b"", END_STREAM)], chunked, b""),
                 ("GET", None, unframed, b""), ("POST", None, empty, b""), ("PUT", None, empty, b""),
                 ("DELETE", None, unframed, b""))
        for number, (method, body, framing, received) in enumerate(cases):
            stream = 2 * number + 1
            self.recorder.begin()
            peer.send(headers(stream, head(method), OPEN if body else OPEN | END_STREAM), *(body or []))
            self.assertEqual("200", peer.answer(stream)[0], method)
            request = self.recorder.wait_requests(1)[0]
            self.assertEqual((method, framing, received),
                             (request.method, (request.fields["content-length"], request.fields["transfer-encoding"]),
                              request.body))

    def test_DG_16_trailers_of_requests(self):
        """request trailers -> in chunks those that trailers may be; behind a content-length only when announced; framing names are malformed"""
        peer = self.speak()
        trailers = [("x-sum", "1"), ("authorization", "Bearer x"), ("cookie", "a=b"), ("content-type", "x"),
                    ("x-forwarded-client-cert", "x"), ("tulle-error", "x"), ("te", "trailers")]
        cases = (((), [("x-sum", "1")]),
                 ((("content-length", "5"),), []),
                 ((("content-length", "5"), ("trailer", "x-sum")), [("x-sum", "1")]))
        for number, (more, kept) in enumerate(cases):
            stream = 2 * number + 1
            self.recorder.begin()
            peer.send(headers(stream, head("POST", "/", *more), OPEN), data(stream, b"hello"),
                      headers(stream, trailers))
            self.assertEqual("200", peer.answer(stream)[0], more)
            request = self.recorder.wait_requests(1)[0]
            self.assertEqual((b"hello", kept), (request.body, list(request.trailers)), more)
            self.assertIsNone(request.fields["authorization"])
        for number, name in enumerate(("content-length", "transfer-encoding", "host", "connection", "content_length")):
            stream = 101 + 2 * number
            peer.send(headers(stream, head("POST", "/bad"), OPEN), data(stream, b"hello"),
                      headers(stream, [(name, "5")]))
            self.assertEqual(PROTOCOL_ERROR, peer.reset(stream), name)
        self.fence()
        self.assertFalse([request for request in self.recorder.requests if request.target == "/bad" and request.complete])

    def test_DG_16_grpc_needs_http2(self):
        """a gRPC call to an HTTP/1 upstream -> grpc-status UNIMPLEMENTED, nothing forwarded; gRPC-Web passes"""
        peer = self.speak()
        with self.nothing_forwarded():
            peer.send(headers(1, head("POST", "/pkg.Service/Method", ("content-type", "application/grpc"),
                                      ("te", "trailers")), OPEN), data(1, b"\0\0\0\0\0", END_STREAM))
            answer = peer.head(1)
            self.assertEqual(("200", "12", "not_implemented"),
                             (answer.status, answer.field("grpc-status"), answer.field("tulle-error")), answer)
        peer.send(headers(3, head("POST", "/web", ("content-type", "application/grpc-web")), OPEN),
                  data(3, b"x", END_STREAM))
        self.assertEqual("200", peer.answer(3)[0])

    def test_DG_18_an_answer_hidden_in_an_answer_to_head(self):
        """HEAD whose HTTP/1 answer has a body that is a whole response -> body dropped, upstream connection closed, no second answer"""
        hidden = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
        self.recorder.answer = says(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nx-own: 1\r\n\r\n" % len(hidden) + hidden)
        peer = self.speak()
        peer.send(headers(1, head("HEAD", "/head")))
        self.assertEqual(("200", b""), peer.answer(1))
        self.assertEqual("1", peer.head(1).field("x-own"))
        touched = self.recorder.requests[0].connection
        self.assertIn(touched.wait_end(), ("fin", "reset"))
        self.recorder.begin()
        peer.send(headers(3, head("GET", "/next")))
        self.assertEqual(("200", b"ok"), peer.answer(3))
        self.assertIsNot(touched, self.recorder.requests[0].connection)
        self.assertNotIn(b"evil", b"".join(f.payload for f in peer.heard))


class RequestsThroughAPair(Requests):
    """The same with a hop in between, which speaks HTTP/2."""
    topology = "pair"


class SharedUpstream(Http2Stage):
    topology = "pair"
    others = 9

    def echo(self, connection, request):
        connection.read_body(request)
        value = (request.fields["x-own"] or "").encode()
        connection.send(b"HTTP/1.1 200 OK\r\nx-own: %s\r\ncontent-length: %d\r\n\r\n%s" % (value, len(value), value))

    def test_DG_20_what_one_client_encodes_never_reaches_another(self):
        """one client mis-encodes heads in every way while nine others ask over the same upstream connection -> the nine are answered right"""
        self.recorder.answer = self.echo
        stop, wrong, done = threading.Event(), [], [0] * self.others

        def ask(number):
            try:
                with Peer.connect(self.port) as peer:
                    peer.greet()
                    for turn in range(10000):
                        if stop.is_set() and turn > 20:
                            return
                        own, stream = "client-%d-%d" % (number, turn), 2 * turn + 1
                        peer.send(headers(stream, head("GET", "/" + own, ("x-own", own), ("cookie", "secret=" + own))))
                        if peer.answer(stream) != ("200", own.encode()) or peer.head(stream).field("x-own") != own:
                            wrong.append((own, peer.of(stream)))
                        peer.heard.clear()
                        done[number] = turn
            except Exception as problem:  # a thread's own end would go unnoticed
                wrong.append((number, repr(problem)))

        threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(self.others)]
        for thread in threads:
            thread.start()
        wait_for(lambda: min(done) > 2 or wrong, "everybody asks")
        get = frames.block(head("GET", "/attack"))
        poison = [get + b"\x40\x01x\x81\xff", get + b"\xff\xff\xff\xff\x0f", get + b"\x80", get + b"\x40\x05x-own\x7f",
                  get + b"\x3f\xe1\xff\x03", get + frames.block([("x-own", "a\r\nx-own: evil")]),
                  get + b"\x40" + frames.block([("x-own", "evil")])[1:] + b"\xbe\xbe\xbe" + b"\xfe",
                  get + frames.block([("x-own", "evil")]) * 200, get[:-3], b"\xbe" * 50]
        for round_ in range(5):
            for block in poison:
                with Peer.connect(self.port) as peer:
                    peer.greet()
                    peer.send(headers(1, block))
                    peer.send(headers(3, head("GET", "/after", ("x-own", "evil%d" % round_))))
                    try:
                        peer.read(0.05)
                    except frames.Ended:
                        pass
        stop.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual([], wrong)
        self.assertGreaterEqual(min(done), 20)


class Paths(Http2Stage):
    """One spelling for routes, policies and the next hop."""

    def both(self, path):
        """What the recorder sees of a path that comes in by HTTP/1 and by HTTP/2; statuses of refusals."""
        outcomes = []
        for version in (1, 2):
            self.recorder.begin()
            if version == 1:
                status = self.ask(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode()).status
            else:
                with Peer.connect(self.port) as peer:
                    peer.greet()
                    peer.send(headers(1, head("GET", path)))
                    status = int(peer.answer(1)[0])
            outcomes.append(self.recorder.wait_requests(1)[0].target if status == 200 else status)
        self.assertEqual(outcomes[0], outcomes[1], path)
        return outcomes[0]

    def test_paths_are_passed_on_in_canonical_form(self):
        for path, expected in (("/%61/b", "/a/b"), ("/a/./b/../c", "/a/c"), ("/a/%2e%2E/b?x=/../y", "/b?x=/../y"),
                               ("/a%2fb", "/a%2fb"), ("/a//b", "/a//b"), ("/a%20b%3a", "/a%20b%3a"),
                               ("/%252e%252e/a", "/%252e%252e/a"), ("/a/..", "/"), ("/a?%zz", "/a?%zz")):
            self.assertEqual(expected, self.both(path), path)
        for path in ("/%", "/a%0", "/%00", "/%5c", "/..", "/a/../../b"):
            self.assertEqual(400, self.both(path), path)


class StrictPaths(Paths):
    manager = {"merge_slashes": True, "path_with_escaped_slashes_action": "REJECT_REQUEST"}

    def test_paths_are_passed_on_in_canonical_form(self):
        for path, expected in (("/a//b", "/a/b"), ("//a///b//?c//d", "/a/b/?c//d"), ("/%61/b", "/a/b")):
            self.assertEqual(expected, self.both(path), path)
        for path in ("/a%2fb", "/a%2Fb", "/a/..;/b", "/%5c", "/.."):
            self.assertEqual(400, self.both(path), path)


class Callers(Stage):
    """An HTTP/1 caller that goes away while it waits takes its request with it."""

    def wait_for_answer(self, connection, request):
        connection.read_body(request)
        connection.wait_end()

    def leave(self, path, how):
        """The log line of a request whose caller has left; the recorder sees its connection end."""
        self.recorder.answer = self.wait_for_answer
        client = self.client()
        client.send(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())
        request = self.recorder.wait_requests(1)[0]
        how(client)
        self.assertIn(request.connection.wait_end(), ("fin", "reset"))
        return self.sidecars[0].wait_log(lambda line: line.get("path") == path and line["flags"] == "DC")[0]

    def test_a_reset_cancels_at_once(self):
        line = self.leave("/reset", lambda client: client.reset())
        self.assertEqual("the client's connection broke", line["detail"])

    def test_a_close_cancels_after_a_moment(self):
        line = self.leave("/closed", lambda client: client.close())
        self.assertEqual("the client has closed its connection", line["detail"])

    def test_a_half_closed_caller_that_announced_it_is_answered(self):
        answered = threading.Event()

        def answer(connection, request):
            connection.read_body(request)
            answered.wait(30)
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        self.recorder.answer = answer
        client = self.client()
        client.send(b"GET /late HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        client.fin()
        request = self.recorder.wait_requests(1)[0]
        try:
            # Longer than a caller that did not announce it is given.
            with request.connection.recorder.changed:
                gone = request.connection.recorder.changed.wait_for(lambda: request.connection.end is not None, 3)
            self.assertFalse(gone)
        finally:
            answered.set()
        self.assertEqual((200, b"ok"), (lambda answer: (answer.status, answer.body))(client.answer()))


class Told(Http2Stage):
    """What is refused before there is an exchange is counted and logged once, with its reason."""

    def test_each_once(self):
        cases = ((b"GET / HTTP/1.1\r\n\r\n", "bad_request", 400, "no Host"),
                 (b"GET / HTTP/3.0\r\nhost: a\r\n\r\n", "version_not_supported", 505, "version"),
                 (b"GET /%s HTTP/1.1\r\nhost: a\r\n\r\n" % (b"x" * 9000), "uri_too_long", 414, "too long"),
                 (b"GET / HTTP/1.1\r\nhost: a\r\nx: %s\r\n\r\n" % (b"x" * 70000), "header_too_large", 431, "large"))
        sidecar = self.sidecars[0]
        for payload, reason, status, detail in cases:
            before = sidecar.metric("tulle_http_refused_total", reason=reason, listener="outbound")
            lines = len(sidecar.log(lambda line: line.get("error") == reason))
            self.assert_refused(payload, status)
            wait_for(lambda: sidecar.metric("tulle_http_refused_total", reason=reason, listener="outbound") == before + 1,
                     "it is counted once")
            found = sidecar.wait_log(lambda line: line.get("error") == reason, lines + 1)[lines:]
            self.assertEqual([(status, "DPE", "downstream")],
                             [(line["status"], line["flags"], line["origin"]) for line in found])
            self.assertIn(detail, found[0]["detail"])
            self.assertTrue(found[0]["from"].startswith("127.0.0.1:"), found)


class Flood(Http2Stage):
    def test_a_flood_is_counted_and_not_logged_in_full(self):
        sidecar = self.sidecars[0]
        before = self.refused()
        for _ in range(300):
            self.assert_refused(b"GET / HTTP/1.1\r\n\r\n")
        wait_for(lambda: self.refused()[0] == before[0] + 300, "each is counted")
        self.assertLess(self.refused()[1] - before[1], 300)
        self.assertTrue(sidecar.running())


if __name__ == "__main__":
    unittest.main()
