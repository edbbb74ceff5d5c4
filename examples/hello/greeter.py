"""greeter: GET /hello?name=NAME answers a greeting. A plain HTTP/1.1 service that knows no mesh."""
import http.server
import json
import os
import sys
import urllib.parse


class Greeter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path != "/hello":
            return self.answer(404, {"error": "there is only /hello"})
        name = urllib.parse.parse_qs(url.query).get("name", ["stranger"])[0]
        self.answer(200, {"greeting": "Hello, %s!" % name, "served_by": "greeter, process %d" % os.getpid()})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "0"))), Greeter)
    print("greeter on port %d" % server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)
