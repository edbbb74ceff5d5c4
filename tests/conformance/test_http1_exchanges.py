"""HTTP/1 rows: whole exchanges; pipelines, interim answers, odd upstreams, ends of connections."""
import threading
import unittest

import wire
from stage import OK, Stage, says

G = b"GET / HTTP/1.1\r\nHost: a\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = P + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"


class Exchanges:
    """Played by one sidecar, and by a pair: HTTP/1 to HTTP/2 and back."""

    def assert_upstream_ended(self, connection):
        """The connection to the recorder is not used again (I7)."""
        self.assertIn(connection.wait_end(), ("fin", "reset", "closed"))

    def answer_of(self, payload, method="GET"):
        """The one answer, and the recorder's connection that gave it."""
        answer = self.ask(payload, method)
        return answer, self.recorder.wait_requests(1, complete=False)[-1].connection

    # -- what a client sends

    def test_H1_55_an_upgrade_to_http_2(self):
        """`Upgrade: h2c` with `HTTP2-Settings`, in a second line, in a list, with a body -> served as HTTP/1.1, upstream sees none of it"""
        settings = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        for head in (G + settings + b"Upgrade: h2c\r\n\r\n", G + settings + b"Upgrade: h2\r\nUpgrade: h2c\r\n\r\n",
                     G + settings + b"Upgrade: H2C, h2\r\n\r\n", G + settings + b"upgrade: h2c, HTTP/2.0\r\n\r\n",
                     G + b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", G + settings + b"\r\n",
                     P + settings + b"Upgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"):
            answers, (request,) = self.forward(head)
            self.assertEqual(200, answers[0].status, head)
            for name in ("upgrade", "http2-settings", "connection"):
                self.assertIsNone(request.fields[name], request)
            self.assertEqual(b"hello" if head.startswith(b"POST") else b"", request.body)

    def test_H1_55_an_upgrade_to_http_2_beside_another(self):
        """h2c in a list with another protocol -> upstream never sees h2c"""
        for value in (b"foo, h2c", b"h2c, foo", b"h2c\r\nUpgrade: foo"):
            with self.client() as client:
                client.send(G + b"Connection: Upgrade\r\nUpgrade: " + value + b"\r\n\r\n")
                client.answer()
        self.fence()
        self.assertNotIn(b"h2c", self.recorder.bytes())

    def test_H1_61_continue_from_upstream(self):
        """`Expect: 100-continue`, upstream says 100 -> passed on once, then the body goes"""
        def answer(connection, request):
            self.assertEqual("100-continue", request.fields["expect"])
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request)
            connection.send(OK)
        self.recorder.answer = answer
        with self.client() as client:
            client.send(CONTINUE)
            while b"\r\n\r\n" not in client.received:
                client.receive()
            self.assertTrue(client.received.startswith(b"HTTP/1.1 100 "), client.received)
            client.send(b"hello")
            answered = client.answer()
        self.assertEqual((200, 1), (answered.status, len(answered.interims)))
        self.assertEqual(b"hello", self.recorder.requests[0].body)

    def test_H1_61_a_final_answer_instead(self):
        """`Expect: 100-continue`, upstream answers 417 or 200 at once -> passed on; both connections end"""
        for status in (b"417 Expectation Failed", b"200 OK"):
            self.recorder.begin()
            self.recorder.answer = says(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nno", read_body=False)
            with self.client() as client:
                client.send(CONTINUE)
                (answer,) = client.answers()
            self.assertEqual((int(status[:3]), "close"), (answer.status, answer.fields["connection"]))
            self.assert_upstream_ended(self.recorder.requests[0].connection)

    def test_H1_61_upstream_is_silent(self):
        """`Expect: 100-continue`, upstream says nothing, the client sends its body anyway -> it goes on at once"""
        with self.client() as client:
            client.send(CONTINUE)
            self.recorder.wait_requests(1, complete=False)
            client.send(b"hello")
            self.assertEqual(200, client.answer().status)
        self.assertEqual(b"hello", self.recorder.requests[0].body)

    def test_H1_61_the_client_never_sends_its_body(self):
        """`Expect: 100-continue`, and the client leaves without the body -> upstream never sees a complete request"""
        with self.client() as client:
            client.send(CONTINUE)
            request = self.recorder.wait_requests(1, complete=False)[0]
        self.assert_upstream_ended(request.connection)
        self.assertFalse(request.complete)

    def test_H1_62_other_expectations(self):
        """`Expect` with something else, in a list, folded, or twice -> refused with 400 or 417"""
        self.refuse_all([P + b"Content-Length: 5\r\nExpect: " + value + b"\r\n\r\nhello" for value in
                         (b"y 100-continue", b"100-continue, x", b"\r\n 100-continue", b"100-continue\r\nExpect: 100-continue",
                          b"x", b"", b"200-ok")] +
                        [b"OPTIONS /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nX: y\r\n z\r\n\r\n"], status=(400, 417))

    def test_H1_65_a_long_pipeline(self):
        """100 requests in one segment, the 50th malformed -> 49 answers in order, one 400, the end; upstream saw 49"""
        def answer(connection, request):
            connection.read_body(request)
            body = request.target.encode()
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        self.recorder.answer = answer
        requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1, 101)]
        requests[49] = b"GET /50 HTTP/1.1\r\nHost : a\r\n\r\n"
        answers = self.talk(b"".join(requests))
        self.assertEqual([200] * 49 + [400], [one.status for one in answers])
        self.assertEqual([b"/%d" % number for number in range(1, 50)], [one.body for one in answers[:49]])
        self.fence()
        self.assertEqual(["/%d" % number for number in range(1, 50)], [one.target for one in self.recorder.requests])

    def test_H1_65_a_pipeline_behind_bodies(self):
        """Requests with bodies of both kinds in one segment, the last half-closed -> each has its own body, all are answered"""
        answers = self.talk(P + b"Content-Length: 5\r\n\r\nhello" + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + G + b"\r\n" +
                            P + b"Content-Length: 0\r\n\r\n" + P + b"Content-Length: 1\r\n\r\nx", fin=True)
        self.assertEqual([200] * 5, [one.status for one in answers])
        self.assertEqual([b"hello", b"abc", b"", b"", b"x"], [one.body for one in self.recorder.requests])

    def test_H1_74_a_length_that_is_not_reached(self):
        """A body cut short by the client's end: half a length, inside a chunk, before the last chunk -> upstream never sees it complete"""
        for part in (P + b"Content-Length: 10\r\n\r\nhello", CHUNKED + b"5\r\nhel", CHUNKED + b"5\r\nhello\r\n",
                     CHUNKED + b"5\r\nhello\r\n0\r\n", CHUNKED + b"5\r\nhello\r\n0\r\nx: y\r\n"):
            for end in ("fin", "reset"):
                with self.subTest(part=part, end=end):
                    self.recorder.begin()
                    with self.client() as client:
                        client.send(part)
                        request = self.recorder.wait_requests(1, complete=False)[0]
                        getattr(client, end)()
                        if end == "fin":
                            self.assertEqual([400], [answer.status for answer in client.answers()])
                    self.assert_upstream_ended(request.connection)
                    self.assertFalse(request.complete, request)

    def test_H1_74_cut_short_in_one_segment(self):
        """The same when head, half the body and the end come together -> the same"""
        for part in (P + b"Content-Length: 10\r\n\r\nhello", CHUNKED + b"5\r\nhel"):
            self.recorder.begin()
            self.assertEqual([400], [answer.status for answer in self.talk(part, fin=True)])
            self.fence()
            for request in self.recorder.requests:
                self.assertFalse(request.complete)
                self.assert_upstream_ended(request.connection)

    # -- what an upstream answers

    def test_H1_66_answers_that_are_none(self):
        """Answers with two lengths, length and chunks, an unknown coding, bad status lines or fields -> 502, upstream ends, not a byte passes"""
        body = b"\r\nevil!"
        bad = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n" + body,
               b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevil!\r\n0\r\n\r\n",
               b"HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n" + body, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n" + body,
               b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n" + body, b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n" + body,
               b"HTTP/1.1 20\r\nContent-Length: 5\r\n" + body, b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n" + body,
               b"HTTP/1.1 abc OK\r\nContent-Length: 5\r\n" + body, b"HTTP/1.1 200 OK\nContent-Length: 5\r\n" + body,
               b"HTTP/1.1 200 O\0K\r\nContent-Length: 5\r\n" + body, b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 5\r\n" + body,
               b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 5\r\n" + body, b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n" + body,
               b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 5\r\n" + body, b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n" + body,
               b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: " % n + b"y" * 1000 + b"\r\n" for n in range(61)) + b"Content-Length: 5\r\n" + body,
               b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 101 + b"Content-Length: 5\r\n" + body,
               b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n" + body, b"HTTP/1.1 099 Low\r\nContent-Length: 5\r\n" + body,
               b"HTTP/1.1 600 High\r\nContent-Length: 5\r\n" + body, b"evil!", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + body,
               b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevil!\r\n0\r\n\r\n", b"<html>evil!</html>"]
        for data in bad:
            with self.subTest(data=data[:80]):
                self.recorder.begin()
                self.recorder.answer = says(data)
                answer, connection = self.answer_of(G + b"\r\n")
                self.assertEqual(502, answer.status, answer)
                self.assertIn(answer.fields["tulle-error"], ("upstream_protocol_error", "upstream_reset"), answer)
                self.assertNotIn(b"evil", answer.body)
                self.assert_upstream_ended(connection)

    def test_H1_66_bodies_that_break(self):
        """Answers whose chunks are malformed or whose body is cut short -> the client sees an incomplete answer, upstream ends"""
        for data, then in ((b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x5\r\n", None),
                           (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\nhello\r\n0\r\n\r\n", None),
                           (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", None),
                           (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "close"), (b"Content-Length: 10\r\n\r\nhello", "close"),
                           (b"Content-Length: 10\r\n\r\nhello", "reset")):
            with self.subTest(data=data, then=then):
                self.recorder.begin()
                self.recorder.answer = says(b"HTTP/1.1 200 OK\r\n" + data, then)
                with self.client() as client:
                    client.send(G + b"Connection: close\r\n\r\n")
                    received = client.read_to_end()
                if not received or b" 200 " in received[:20]:
                    if not received:  # broken off before the head had left
                        received = b"HTTP/1.1 "
                    with self.assertRaises((wire.Incomplete, wire.Malformed)):
                        wire.read_answers(received, ended=client.end == "fin")
                else:
                    self.assertEqual([502], [one.status for one in wire.read_answers(received)])
                self.assert_upstream_ended(self.recorder.requests[0].connection)

    def test_H1_68_a_flood_of_interim_answers(self):
        """10 000 x `103 Early Hints`, then nothing -> at most 8 are passed on, then 502 and the end of upstream"""
        self.recorder.answer = says(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 10000)
        answer, connection = self.answer_of(G + b"\r\n")
        self.assertEqual((502, True), (answer.status, len(answer.interims) <= 8), answer)
        self.assert_upstream_ended(connection)

    def test_H1_69_bodies_where_none_may_be(self):
        """HEAD, 204 and 304 answered with a body, 204 with a length -> the body is dropped, upstream ends, framing stays exact"""
        for method, data in (("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"), ("GET", b"HTTP/1.1 204 No Content\r\n\r\nevil!"),
                             ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nevil!"),
                             ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevil!\r\n0\r\n\r\n"),
                             ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nevil!"),
                             ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevil!\r\n0\r\n\r\n")):
            with self.subTest(method=method, data=data):
                self.recorder.begin()
                self.recorder.answer = says(data)
                with self.client() as client:
                    client.send(method.encode() + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
                    answer = client.answer(method)
                    self.assertEqual((int(data[9:12]), b""), (answer.status, answer.body))
                    self.assert_upstream_ended(self.recorder.requests[0].connection)
                    self.recorder.begin()
                    client.send(G + b"\r\n")  # the same connection: nothing has leaked into it
                    self.assertEqual((200, b"ok"), (lambda one: (one.status, one.body))(client.answer()))

    def test_H1_69_interim_answers_with_a_length(self):
        """A 1xx that announces a body -> 502, upstream ends"""
        for fields in (b"Content-Length: 5\r\n\r\nevil!", b"Content-Length: %d\r\n\r\n" % len(OK), b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            self.recorder.begin()
            self.recorder.answer = says(b"HTTP/1.1 103 Early Hints\r\n" + fields + OK)
            answer, connection = self.answer_of(G + b"\r\n")
            self.assertEqual(502, answer.status, answer)
            self.assert_upstream_ended(connection)

    def test_H1_69_good_answers_without_a_body(self):
        """HEAD with a length, 204, 304 with a length, an empty 200 -> passed on; the connections live on"""
        for method, data, length in (("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5"), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
                                     ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "5"), ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0")):
            self.recorder.answer = says(data)
            with self.client() as client:
                for _ in range(2):
                    client.send(method.encode() + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
                    answer = client.answer(method)
                    self.assertEqual((int(data[9:12]), b"", length), (answer.status, answer.body, answer.fields["content-length"]))
        self.assertEqual(1, len({request.connection for request in self.recorder.requests}))

    def test_H1_69_bytes_behind_an_answer(self):
        """Bytes behind a complete answer, or before any request -> dropped; that connection is not used again"""
        self.recorder.answer = says(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nevil!")
        answer, connection = self.answer_of(G + b"\r\n")
        self.assertEqual((200, b"ok"), (answer.status, answer.body))
        self.assert_upstream_ended(connection)
        answer, other = self.answer_of(G + b"\r\n")
        self.assertEqual(b"ok", answer.body)
        self.assertIsNot(connection, other)

    def test_H1_72_an_http_1_0_client(self):
        """An HTTP/1.0 client, upstream answers in chunks or up to its end -> no chunks towards 1.0, the end of the connection is the end"""
        for data, then in ((b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", None), (b"\r\nhello!", "close")):
            for keep in (b"", b"Connection: keep-alive\r\n"):
                self.recorder.answer = says(b"HTTP/1.1 200 OK\r\n" + data, then)
                with self.client() as client:
                    client.send(b"GET / HTTP/1.0\r\nHost: a\r\n" + keep + b"\r\n")
                    (answer,) = client.answers()
                self.assertEqual(("fin", b"hello!"), (client.end, answer.body))
                self.assertIsNone(answer.fields["transfer-encoding"])
                self.assertNotEqual("keep-alive", answer.fields["connection"])

    def test_H1_72_an_http_1_0_client_that_keeps_its_connection(self):
        """HTTP/1.0 with keep-alive and an answer of known length -> kept, and said so; without keep-alive closed"""
        self.recorder.answer = says(OK)
        with self.client() as client:
            for _ in range(2):
                client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
                answer = client.answer()
                self.assertEqual((b"ok", "keep-alive"), (answer.body, answer.fields["connection"]))
            client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            self.assertEqual(b"ok", client.answer().body)
            self.assertFalse(client.receive())

    def test_H1_72_an_answer_to_http_1_0_that_breaks(self):
        """An answer of unknown length to an HTTP/1.0 client, broken off by upstream -> ends with a reset, never as if complete"""
        for then in ("close", "reset"):
            self.recorder.answer = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            with self.client() as client:
                client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
                while b"hello" not in client.received:
                    self.assertTrue(client.receive(), client.received)
                getattr(self.recorder.requests[-1].connection, then)()
                client.read_to_end()
            self.assertTrue(client.received.startswith(b"HTTP/1.1 200"))
            self.assertEqual("reset", client.end, client.received)

    def test_H1_72_an_http_1_0_upstream(self):
        """An HTTP/1.0 upstream, with and without a length -> passed on whole; its connection is used once unless it keeps it"""
        for data, then, uses in ((b"HTTP/1.0 200 OK\r\n\r\nhello", "close", 1), (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", None, 1),
                                 (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", None, 2)):
            self.recorder.drop_connections()
            self.recorder.begin()
            self.recorder.answer = says(data, then)
            for _ in range(2):
                answer = self.ask(G + b"\r\n")
                self.assertEqual((200, b"hello"), (answer.status, answer.body))
            self.assertEqual(3 - uses, len({request.connection for request in self.recorder.requests}))

    # -- who ends first

    def test_an_early_answer_ends_both_connections(self):
        """Upstream answers before the body is complete: the client gets it, nothing is pooled (I7)."""
        self.recorder.answer = says(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno", read_body=False)
        with self.client() as client:
            client.send(P + b"Content-Length: 100000000\r\n\r\n" + b"x" * 1000)
            answer = client.answer()
            self.assertEqual((413, "close"), (answer.status, answer.fields["connection"]))
        self.assert_upstream_ended(self.recorder.requests[0].connection)

    def test_a_half_closed_client_still_gets_its_answer(self):
        release = threading.Event()

        def answer(connection, request):
            release.wait(20)
            connection.send(OK)
        self.recorder.answer = answer
        with self.client() as client:
            client.send(G + b"connection: close\r\n\r\n")
            client.fin()
            self.recorder.wait_requests(1, complete=False)
            release.set()
            self.assertEqual([200], [one.status for one in client.answers()])

    def test_connection_close_is_heeded_and_said(self):
        answers = self.talk(G + b"Connection: close\r\n\r\n" + G + b"\r\n")
        self.assertEqual([(200, "close")], [(one.status, one.fields["connection"]) for one in answers])
        self.fence()
        self.assertEqual(1, len(self.recorder.requests))


class OneSidecar(Exchanges, Stage):
    pass


class Pair(Exchanges, Stage):
    topology = "pair"


if __name__ == "__main__":
    unittest.main()
