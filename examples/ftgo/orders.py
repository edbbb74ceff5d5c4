"""orders: POST /orders places an order. A plain HTTP service that knows no mesh.

It asks the kitchen for a ticket, then accounting for the money; urllib honours http_proxy by itself.
"""
import http.server
import itertools
import json
import os
import threading
import urllib.error
import urllib.request

KITCHEN = os.environ.get("KITCHEN_URL", "http://kitchen:8080")
ACCOUNTING = os.environ.get("ACCOUNTING_URL", "http://accounting:8080")
FORWARDED = ("traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid",
             "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "x-request-id")
PRICES = {"pizza": 1250, "salad": 890, "soup": 640}

numbers = itertools.count(1)
placed = {}
lock = threading.Lock()


class Refused(Exception):
    """Another service does not want this order, or cannot be reached."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def forwarded(fields):
    """What ties the calls that follow to the request they are made for; see docs/tracing.md."""
    return {name: fields[name] for name in FORWARDED if name in fields}


def ask(service, url, document, trace):
    """POST as JSON. The key says that the same question may be put twice: the answer will be the same."""
    headers = {"content-type": "application/json", "idempotency-key": "%s-%s" % (service, document["order"]), **trace}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        reason = error.headers.get("tulle-error") or error.read().decode(errors="replace").strip()
        raise Refused(409 if error.code == 409 else 502, "%s answered %d: %s" % (service, error.code, reason)) from None
    except OSError as error:
        raise Refused(502, "%s cannot be asked: %s" % (service, error)) from None


def place(wish, trace):
    dish, count = wish.get("dish"), wish.get("count", 1)
    if dish not in PRICES or not isinstance(count, int) or not 1 <= count <= 20:
        raise Refused(400, "a wish is {dish: %s, count: 1 to 20}" % " or ".join(PRICES))
    order = "%d-%d" % (os.getpid(), next(numbers))
    ticket = ask("kitchen", KITCHEN + "/tickets", {"order": order, "dish": dish, "count": count}, trace)
    total = PRICES[dish] * count
    payment = ask("accounting", ACCOUNTING + "/authorizations", {"order": order, "cents": total}, trace)
    result = {"order": order, "state": "approved", "dish": dish, "count": count, "cents": total,
              "ticket": ticket, "payment": payment}
    with lock:
        placed[order] = result
        while len(placed) > 1000:  # a shop window, not an archive
            placed.pop(next(iter(placed)))
    return result


class Orders(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {"state": "healthy"})
        with lock:
            order = placed.get(self.path.removeprefix("/orders/"))
        self.answer(200 if order else 404, order or {"error": "there is no such order"})

    def do_POST(self):
        try:
            wish = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
            if self.path != "/orders" or not isinstance(wish, dict):
                raise Refused(404, "there is only POST /orders, with a JSON object")
            self.answer(201, place(wish, forwarded(self.headers)))
        except ValueError:
            self.answer(400, {"error": "the body is not JSON"})
        except Refused as error:
            print("order refused:", error)
            self.answer(error.status, {"error": str(error)})

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
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Orders)
    print("orders listens on port %d" % server.server_port)
    server.serve_forever()
