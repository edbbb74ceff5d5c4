"""Small clients that report what a server did, in words, instead of raising."""
import http.client
import socket
import ssl
from collections import namedtuple

Answer = namedtuple("Answer", "status headers body")


def get(port, target, headers=None, method="GET", body=None, seconds=20.0):
    """One HTTP/1.1 request on a fresh connection. An absolute target is what a proxy receives."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def tls_context(trust=None, leaf=None, alpn=("http/1.1",), maximum=None):
    """A client context that verifies the chain, not the host name: identities are URIs here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if trust is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trust)
    if leaf is not None:
        context.load_cert_chain(leaf.certificate, leaf.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if maximum is not None:
        context.maximum_version = maximum
    return context


class Exchange(namedtuple("Exchange", "answer error version protocol peer")):
    """What came of it: the bytes answered, or the error; TLS version, ALPN and URI SANs of the server."""

    @property
    def served(self):
        return self.answer.startswith(b"HTTP/")

    def words(self):
        if self.answer[:2] == b"\x15\x03":
            return "a TLS alert and the end of the connection"
        if self.answer:
            return self.answer.split(b"\r\n")[0].decode("latin-1")
        return self.error or "the connection was closed without an answer"


def exchange(port, payload, context=None, server_name=None, seconds=10.0, limit=1 << 20):
    """Sends bytes, with or without TLS, and reads until the server ends or an HTTP answer is there."""
    answer, error, version, protocol, peer = b"", "", None, None, ()
    stream = None
    try:
        stream = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        if context is not None:
            stream = context.wrap_socket(stream, server_hostname=server_name)
            version, protocol = stream.version(), stream.selected_alpn_protocol()
            certificate = stream.getpeercert() or {}
            peer = tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI")
        stream.sendall(payload)
        while len(answer) < limit:
            part = stream.recv(65536)
            if not part:
                break
            answer += part
    except ssl.SSLError as problem:
        error = "TLS: " + (problem.reason or str(problem)).lower().replace("_", " ")
    except socket.timeout:
        error = "no answer within %g s" % seconds
    except OSError as problem:
        error = (problem.strerror or str(problem)).lower()
    finally:
        if stream is not None:
            stream.close()
    return Exchange(answer, error, version, protocol, peer)


def request_bytes(path="/", host="probe", headers=(), method="GET"):
    lines = ["%s %s HTTP/1.1" % (method, path), "host: " + host, "connection: close"]
    lines += ["%s: %s" % pair for pair in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
