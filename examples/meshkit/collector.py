"""A trace collector for a moment's look: what sidecars send it as Zipkin JSON, trace by trace."""
import http.server
import json
import threading


class Collector:
    """POST /api/v2/spans. It keeps the newest so many spans. tests/e2e/collector.py reads more than Zipkin JSON."""

    KEPT = 2000
    PROTOCOL = "HTTP/1.0"  # no connection is left when the collector goes away
    STATUS = 202

    def __init__(self):
        self.lock = threading.Lock()
        self.kept = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = self.PROTOCOL

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                spans = collector.read(self.path, self.headers["content-type"], body)
                with collector.lock:
                    collector.kept = (collector.kept + spans)[-collector.KEPT:]
                self.send_response(collector.STATUS)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def read(self, _path, _content_type, body):
        """The spans of a request."""
        return json.loads(body)

    def traces(self):
        """The spans of each trace, in the order of their beginning."""
        with self.lock:
            spans = sorted(self.kept, key=lambda span: span["timestamp"])
        found = {}
        for span in spans:
            found.setdefault(span["traceId"], []).append(span)
        return list(found.values())

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def chain(span, spans):
    """Names of the services from the root of a trace down to this span, each once in a row."""
    by_id = {one["id"]: one for one in spans}
    names = []
    while span is not None:
        name = span["localEndpoint"]["serviceName"]
        if not names or names[0] != name:
            names.insert(0, name)
        span = by_id.get(span.get("parentId"))
    return names


def tree(spans):
    """Lines that show who called whom, and how long it took: the spans of exchanges, not those of attempts."""
    lines = []

    def show(parent, depth):
        for span in spans:
            if span.get("parentId") == parent:
                exchange = "tulle.listener" in span["tags"]
                if exchange:
                    name = span["localEndpoint"]["serviceName"]
                    called = span["tags"].get("tulle.cluster", "nobody").rpartition("|")[2].partition(".")[0]
                    does = "is called" if span["kind"] == "SERVER" else "calls " + called
                    lines.append("%s%s %s  %.1f ms" % ("  " * depth, name, does, span["duration"] / 1000))
                show(span["id"], depth + (1 if exchange else 0))
    show(None, 0)
    return lines
