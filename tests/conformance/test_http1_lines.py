"""HTTP/1 rows: the start line, the target, Host, and the size of heads."""
import unittest

from stage import Stage

G = b"GET / HTTP/1.1\r\nHost: a\r\n"
HIDDEN = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"


def get(target, rest=b"Host: a\r\n"):
    return b"GET " + target + b" HTTP/1.1\r\n" + rest + b"\r\n"


class StartLines(Stage):
    def test_H1_44_http_0_9(self):
        """An HTTP/0.9 request, first on its connection -> refused with 400"""
        self.refuse_all([b"GET /\r\n", b"GET /\r\n\r\n", b"GET /x\r\nHost: a\r\n\r\n",
                         b"GET /x\nHost: a\r\nContent-Length: 5\r\n\r\nhello"])

    def test_H1_44_http_0_9_on_a_kept_connection(self):
        """An HTTP/0.9 request behind a good one -> the good one is answered, the other refused with 400"""
        answers = self.talk(G + b"\r\nGET /old\r\n")
        self.assertEqual([200, 400], [answer.status for answer in answers])
        self.fence()
        self.assertEqual(["/"], [request.target for request in self.recorder.requests])

    def test_H1_45_other_versions(self):
        """Well-formed versions other than 1.0 and 1.1 -> refused with 505"""
        self.refuse_all([b"GET / " + version + b"\r\nHost: a\r\n\r\n" for version in
                         (b"HTTP/2.0", b"HTTP/1.2", b"HTTP/9.9", b"HTTP/0.9", b"HTTP/3.0", b"HTTP/0.0")], status=505)

    def test_H1_45_what_is_no_version(self):
        """`HTTP/1.32`, `http/1.1`, `HTTP/1`, other protocols, blanks within -> refused with 400"""
        self.refuse_all([b"GET / " + version + b"\r\nHost: a\r\n\r\n" for version in
                         (b"HTTP/1.32", b"HTTP/4294967295.255", b"http/1.1", b"HTTP/1", b"HTTP/ 1.1", b"RTSP/1.0",
                          b"ICE/1.0", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1x", b"XHTTP/1.1", b"HTTP/1.10", b"HTTPS/1.1",
                          b"HTTP/1,1", b"HTTP/01.1")])

    def test_H1_46_blanks_in_the_request_line(self):
        """Two blanks, a tab, a blank at either end of the request line -> refused with 400"""
        self.refuse_all([line + b"\r\nHost: a\r\n\r\n" for line in
                         (b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b"GET / HTTP/1.1 ",
                          b" GET / HTTP/1.1", b"\tGET / HTTP/1.1", b"GET / x HTTP/1.1", b"GET\x0b/ HTTP/1.1")])

    def test_H1_47_methods_that_are_no_token(self):
        """Methods with a quote, a colon or NUL -> refused with 400"""
        self.refuse_all([method + b" / HTTP/1.1\r\nHost: a\r\n\r\n" for method in
                         (b'GET=":', b"G\x00ET", b"GE(T", b"G\xc3\x89T", b"GET:", b"{GET}")])

    def test_H1_47_methods_that_are_unknown(self):
        """Unknown methods, also with the first letters of a known one -> refused with 501"""
        self.refuse_all([method + b" / HTTP/1.1\r\nHost: a\r\n\r\n" for method in
                         (b"get", b"GETX", b"GE", b"G", b"X" * 1024, b"SLUDGE", b"GETGET", b"POSTER", b"Get")], status=501)

    def test_H1_48_targets_of_the_wrong_form(self):
        """Targets that are no path, not allowed for the method, or empty -> refused with 400"""
        self.refuse_all([line + b" HTTP/1.1\r\nHost: a\r\n\r\n" for line in
                         (b"GET admin", b"GET *", b"OPTIONS */x", b"OPTIONS *?x", b"CONNECT /", b"CONNECT host",
                          b"CONNECT http://h:80", b"GET host:80", b"GET ", b"GET a:80", b"GET ?x", b"GET ://a/", b"POST *")])

    def test_H1_48_options_of_the_server(self):
        """`OPTIONS *`, and the absolute form without a path -> passes; upstream sees `OPTIONS *`"""
        for line in (b"OPTIONS *", b"OPTIONS http://a"):
            _, (request,) = self.forward(line + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(("OPTIONS", "*", "a"), (request.method, request.target, request.fields["host"]), line)

    def test_H1_49_a_target_of_another_host(self):
        """An absolute target whose authority is not the Host -> refused with 400"""
        self.refuse_all([get(b"http://b/x"), get(b"http://a:81/x"), get(b"http://b/x", b"Host: a:80\r\n"),
                         get(b"http://a/x", b"Host: a.b\r\n"), get(b"http://a.evil/", b"Host: a\r\n"),
                         get(b"http://a/", b"Host: \r\n"), get(b"http://a/", b"")])

    def test_H1_49_a_target_of_the_same_host(self):
        """An absolute target of the same host -> passes in origin form with that host, whatever its spelling"""
        for target, host_line, path in ((b"http://a/x?y", b"a", "/x?y"), (b"http://A/x", b"a", "/x"),
                                        (b"http://a:80/x", b"a", "/x"), (b"http://a./x", b"a", "/x"), (b"http://a", b"a", "/")):
            _, (request,) = self.forward(get(target, b"Host: " + host_line + b"\r\n"))
            self.assertEqual(path, request.target, target)
            self.assertEqual("a", request.fields["host"].lower().split(":")[0].rstrip("."), target)

    def test_H1_50_where_an_authority_ends(self):
        """`http://a?x=/../admin` -> the authority ends at the question mark, the path is `/`"""
        _, (request,) = self.forward(get(b"http://a?x=/../admin"))
        self.assertEqual(("/?x=/../admin", "a"), (request.target, request.fields["host"]))
        _, (request,) = self.forward(get(b"HTTP://A/", b"Host: a\r\n"))
        self.assertEqual("/", request.target)

    def test_H1_50_absolute_targets_that_are_refused(self):
        """Fragments, user information, another scheme than the connection's -> refused with 400"""
        self.refuse_all([get(b"http://a#/admin"), get(b"http://u:p@a/"), get(b"http://u@a/"), get(b"https://a/"), get(b"ftp://a/"),
                         get(b"http:/a/"), get(b"http:///x"), get(b"http://a\\b/"), get(b"http://a:x/"), get(b"http://[a/"),
                         get(b"http://?x"), get(b"javascript:x")])

    def test_H1_51_hosts(self):
        """No Host, two, an empty one, with path, user, list, blank, bad port, a name too long, NUL -> refused with 400"""
        values = (b"", b"a/b", b"a@b", b"a,b", b"a b", b"[::1", b"a:80:80", b"a:99999", b"a:-1", b"x" * 300, b"a\x00b",
                  b"a:", b":80", b"a?b", b"a#b", b"a\\b", b"[]", b"[::1]x", b"::1", b"a\tb", b"a:+80", b"a:0x50", b"a:8 0", b"\xe9")
        self.refuse_all([b"GET / HTTP/1.1\r\n\r\n", get(b"/", b"Host: a\r\nHost: a\r\n"), get(b"/", b"Host: a\r\nHost: b\r\n"),
                         get(b"/", b"Host: a\r\nX: y\r\nhOST: \r\n")] + [get(b"/", b"Host: " + value + b"\r\n") for value in values])

    def test_H1_51_hosts_that_are_good(self):
        """Names, addresses, ports -> pass as they are"""
        for value in ("a", "a:80", "a.b.c", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b", "xn--bcher-kva.example"):
            _, (request,) = self.forward(get(b"/", b"Host: " + value.encode() + b"\r\n"))
            self.assertEqual(value, request.fields["host"])

    def test_H1_52_bytes_that_no_target_may_have(self):
        """Blank, quotes, angle brackets, backslash, fragment, control bytes and 0x80 to 0xff in a path -> refused with 400"""
        wrong = [bytes((byte,)) for byte in [*range(33), *b'"<>\\^`{}#', *range(127, 256)]]
        self.refuse_all([get(b"/a" + byte + b"b") for byte in wrong] + [get(b"/\xc0\xaf"), get(b"/x?y#z"), get(b"/?\xff"),
                                                                         get(b'/?"'), get(b"/?<")])

    def test_H1_53_a_request_line_that_is_too_long(self):
        """A request line of more than 8 KiB, also without end -> refused with 414"""
        self.refuse_all([get(b"/" + b"x" * 8193), b"GET /" + b"x" * 20000, get(b"/" + b"x" * (1 << 20))], status=414)
        _, (request,) = self.forward(get(b"/" + b"x" * (8192 - len(b"GET / HTTP/1.1"))))
        self.assertEqual(8192 - len(b"GET / HTTP/1.1") + 1, len(request.target))

    def test_H1_53_heads_that_are_too_large(self):
        """One field of 1 MiB, 61 KiB in all, 101 fields, 10 000 fields, a name of 64 KiB -> refused with 431"""
        self.refuse_all([G + fields + b"\r\n" for fields in
                         (b"X: " + b"y" * (1 << 20) + b"\r\n", b"".join(b"x%d: " % n + b"y" * 1000 + b"\r\n" for n in range(61)),
                          b"".join(b"x%d: y\r\n" % n for n in range(100)), b"".join(b"x%d: y\r\n" % n for n in range(10000)),
                          b"n" * (1 << 16) + b": y\r\n", b"Cookie: a=b\r\n" * 100, b"X:" + b" " * (1 << 17) + b"y\r\n")], status=431)
        _, (request,) = self.forward(G + b"".join(b"x%d: y\r\n" % n for n in range(98)) + b"\r\n")
        self.assertEqual("y", request.fields["x97"])

    def test_H1_70_trace(self):
        """`TRACE` with cookie and authorization -> refused with 405, nothing echoed"""
        for method, status in ((b"TRACE", 405), (b"TRACK", 501)):
            request = method + b" / HTTP/1.1\r\nHost: a\r\nCookie: secret=1\r\nAuthorization: Basic secret\r\nX: secret\r\n\r\n"
            with self.nothing_forwarded():
                answer = self.ask(request)
            self.assertEqual(status, answer.status, answer)
            self.assertNotIn("secret", repr(answer))
        self.assertTrue(self.ask(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").fields["allow"])

    def test_H1_71_empty_lines_before_a_request(self):
        """1 or 2 CRLF before the request line -> pass, also before the next request"""
        for lines in (b"\r\n", b"\r\n\r\n"):
            _, requests = self.forward(lines + G + b"\r\n" + lines + G + b"\r\n", 2)
            self.assertEqual(2, len(requests))

    def test_H1_71_too_many_empty_lines(self):
        """3 or 1 000 CRLF, or LF alone, before the request line -> refused with 400"""
        self.refuse_all([b"\r\n" * 3 + G + b"\r\n", b"\r\n" * 1000 + G + b"\r\n", b"\n" + G + b"\r\n", b"\r\n\n" + G + b"\r\n"])


if __name__ == "__main__":
    unittest.main()
