"""HTTP/1 rows: header lines, their names, values and ends."""
import unittest

from stage import Stage

G = b"GET / HTTP/1.1\r\nHost: a\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
HIDDEN = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class HeaderLines(Stage):
    def test_H1_15_a_blank_before_the_colon(self):
        """A blank between a name and its colon: Transfer-Encoding, Content-Length, Host, others -> refused with 400"""
        self.refuse_all([P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", P + b"Content-Length\t: 5\r\n\r\nhello",
                         b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", G + b"X : y\r\n\r\n"])

    def test_H1_17_a_blank_before_the_first_field(self):
        """A first header line that begins with a blank -> refused with 400"""
        self.refuse_all([b"GET / HTTP/1.1\r\n\tContent-Length: 1\r\nHost: a\r\n\r\nX",
                         b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
                         G + b"X: y\r\n folded\r\n\r\n"])

    def test_H1_18_a_line_that_ends_with_lf(self):
        """A header line ended by LF without CR -> refused with 400"""
        self.refuse_all([b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", b"GET / HTTP/1.1\nHost: a\r\n\r\n",
                         b"GET / HTTP/1.1\nHost: a\n\n", G + b"X: y\n\r\n"])

    def test_H1_20_cr_inside_a_value(self):
        """A CR within a value, with a framing field behind it -> refused with 400"""
        self.refuse_all([P + b"X: \rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", P + b"X: y\rContent-Length: 3\r\n\r\nabc",
                         G + b"X: a\rb\r\n\r\n", G + b"X: a\r\r\n\r\n"])

    def test_H1_21_cr_elsewhere(self):
        """A CR within method, target, version or a name -> refused with 400"""
        self.refuse_all([b"G\rET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n",
                         b"GET / HTTP/1\r.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
                         b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", G + b"X\rY: z\r\n\r\n", G + b"X\r: z\r\n\r\n"])

    def test_H1_22_cr_and_something_at_the_end_of_the_head(self):
        """A head ended by CR LF CR and another byte, with a request behind -> refused with 400"""
        self.refuse_all([b"GET / HTTP/1.1\r\nHost: a\r\n\rZ" + HIDDEN, b"GET / HTTP/1.1\r\nHost: a\r\n\r" + HIDDEN,
                         b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n" + HIDDEN])

    def test_H1_23_lf_at_the_end_of_the_head(self):
        """A head ended by CR LF LF, or by LF LF -> refused with 400"""
        self.refuse_all([b"GET / HTTP/1.1\r\nHost: a\r\n\n", b"GET / HTTP/1.1\r\nHost: a\n\n",
                         b"GET / HTTP/1.1\r\nHost: a\n\r\n"])

    def test_H1_24_an_empty_name(self):
        """A header line that begins with its colon -> refused with 400"""
        self.refuse_all([G + b": x\r\n\r\n", G + b":\r\nI: am chopped\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\nHost: a\r\n\r\n"])

    def test_H1_25_a_line_without_colon(self):
        """A header line without a colon, or torn by a line end -> refused with 400"""
        self.refuse_all([G + b"Content-Length 10\r\n\r\n", G + b"Te\nst: x\r\n\r\n", G + b"garbage\r\n\r\n",
                         G + b"Te\r\nst: x\r\n\r\n"])

    def test_H1_26_bytes_that_no_name_may_have(self):
        """Every byte that is no token byte (but the colon), within a name and at its ends -> refused with 400"""
        wrong = [bytes((byte,)) for byte in range(256) if byte not in TOKEN and byte != ord(":")]
        self.assertEqual(256 - 77 - 1, len(wrong))
        self.refuse_all([G + name + b": z\r\n\r\n" for byte in wrong
                         for name in (b"x" + byte + b"y", b"x" + byte, byte + b"y")])

    def test_H1_26_bytes_that_a_name_may_have(self):
        """Every token byte within a name -> passes, in lower case"""
        for byte in TOKEN:
            name = b"x%cy" % byte
            _, (request,) = self.forward(G + name + b": z\r\n\r\n")
            self.assertEqual("z", request.fields[name.decode().lower()], name)

    def test_H1_27_control_bytes_in_a_value(self):
        """NUL and every other control byte but the tab, within a value and at its ends -> refused with 400"""
        controls = [byte for byte in [*range(32), 127] if byte not in (9,)]
        self.refuse_all([G + b"X: " + value + b"\r\n\r\n" for byte in controls
                         for value in (b"a%cb" % byte, b"%cb" % byte)] +
                        [G + b"X: a%c\r\n\r\n" % byte for byte in controls if byte != 10])

    def test_H1_73_framing_fields_in_disguise(self):
        """Content_Length, Transfer_Encoding, X_Forwarded_Client_Cert, Host_ -> refused with 400"""
        self.refuse_all([P + b"Content_Length: 5\r\n\r\nhello", P + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
                         G + b"X_Forwarded_Client_Cert: By=me\r\n\r\n", G + b"X-Forwarded_Client-Cert: By=me\r\n\r\n",
                         G + b"Host_: b\r\n\r\n", P + b"CONTENT_length: 5\r\n\r\n"])

    def test_H1_73_other_names_with_underscores(self):
        """Other names with underscores -> pass unchanged"""
        _, (request,) = self.forward(G + b"X_Custom_Name: 1\r\n\r\n")
        self.assertEqual("1", request.fields["x_custom_name"])


if __name__ == "__main__":
    unittest.main()
