"""HTTP/1 row 75: mutated messages through a sidecar to real servers, which must understand what we do."""
import base64
import json
import os
import random
import re
import threading
import unittest

import wire
from stage import Stage, bootstrap, cluster, host, listener, route
from mutations import message
from origins import Backend, start_all

SEED = int(os.environ.get("TULLE_SEED", "20261121"))
MESSAGES = int(os.environ.get("TULLE_MESSAGES", "1500"))
# What a hop adds, or has to change.
OF_A_HOP = {"via", "connection", "forwarded", "content-length", "transfer-encoding", "keep-alive", "te", "expect",
            "max-forwards", "x-real-ip", "accept-encoding", "proxy-connection", "upgrade", "host", "x-host", "trailer",
            "x-request-id"}


class Understood:
    """One answer: the request as the last server understood it, or who refused it."""

    def __init__(self, answer):
        self.status = answer.status
        self.by_us = answer.fields["tulle-error"]
        self.seen = None
        self.count = 0
        if answer.fields["x-seen"]:
            seen = json.loads(base64.b64decode(answer.fields["x-seen"]))
            flat = seen["fields"]
            fields = {}
            for name, value in zip(flat[::2], flat[1::2]):
                if name.lower() not in OF_A_HOP and not name.lower().startswith("x-forwarded"):
                    fields.setdefault(name.lower(), []).append(value.strip())
            # Several lines are the same as one with commas; empty elements do not count (RFC 9110, 5.6.1), and
            # some servers do not pass on what is empty.
            items = {name: [item.strip() for value in values for item in value.split(",") if item.strip()]
                     for name, values in fields.items()}
            self.seen = (seen["method"], seen["target"], seen["body"],
                         {name: values for name, values in items.items() if values})
            self.count = seen["count"]

    def agrees(self, other, normalizes):
        mine, theirs = self.seen, other.seen
        if normalizes and re.search(r"%|//|\.|\\", mine[1] + theirs[1]):
            mine, theirs = (mine[0], *mine[2:]), (theirs[0], *theirs[2:])
        return mine == theirs

    def __repr__(self):
        return "%d %s %r" % (self.status, self.by_us or "", self.seen)


def understood(port, data):
    """What came of one message: its answers, to the end of the connection."""
    with wire.Client(port, seconds=60) as client:
        client.send(data)
        client.fin()
        received = client.read_to_end()
        return [Understood(answer) for answer in wire.read_answers(received, ended=client.end == "fin")]


class Differential(Stage):
    """One listener per origin; "direct" leads to the strict backend, which knows what we think."""

    @classmethod
    def start(cls, mesh):
        cls.direct = Backend(strict=True)
        cls.addClassCleanup(cls.direct.close)
        cls.origins, cls.backends = start_all(mesh)
        for backend in cls.backends:
            cls.addClassCleanup(backend.close)
        quiet = host("quiet", ["canary", "fence"], route("quiet"))
        names = [("direct", cls.direct.port)] + [(origin.name, origin.port) for origin in cls.origins]
        sidecar = mesh.sidecar("sidecar", bootstrap(
            listener("outbound", quiet, host("all", ["*"], route("direct"))),
            *[listener("to-" + name, host("all", ["*"], route(name))) for name, _ in names],
            cluster("quiet", cls.quiet_origin.port), *[cluster(name, port) for name, port in names], workers=1))
        cls.ports = {name: sidecar.port("to-" + name) for name, _ in names}
        return [sidecar]

    def wait_given_back(self):
        """Connections to the origins stay in their pools; nothing here to compare files with."""

    def compare(self, messages):
        """Disagreements, and what each origin refused of what we passed on."""
        ours = [understood(self.ports["direct"], data) for data in messages]
        self.assertEqual([], self.direct.complaints)
        disagreements, refused, passed = [], {}, {}

        def play(origin):
            refused[origin.name] = passed[origin.name] = 0
            before = understood(self.ports[origin.name], b"GET /begin HTTP/1.1\r\nHost: a\r\n\r\n")[0].count
            for data, expected in zip(messages, ours):
                try:
                    got = understood(self.ports[origin.name], data)
                except (OSError, wire.Malformed) as problem:
                    disagreements.append((origin.name, data, expected, repr(problem)))
                    continue
                if not self.same(origin, expected, got):
                    disagreements.append((origin.name, data, expected, got))
                passed[origin.name] += sum(one.seen is not None for one in got)
                refused[origin.name] += sum(one.seen is None and mine.seen is not None
                                            for one, mine in zip(got, expected))
            after = understood(self.ports[origin.name], b"GET /end HTTP/1.1\r\nHost: a\r\n\r\n")[0].count
            if after - before - 1 != passed[origin.name]:
                disagreements.append((origin.name, "requests at the origin: %d, answered: %d"
                                      % (after - before - 1, passed[origin.name])))

        threads = [threading.Thread(target=play, args=(origin,)) for origin in self.origins]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return disagreements, refused, passed

    @staticmethod
    def same(origin, expected, got):
        if len(expected) != len(got):
            return False
        for mine, theirs in zip(expected, got):
            if mine.seen is None and (theirs.seen is not None or theirs.status != mine.status):
                return False
            if mine.seen is not None and theirs.seen is not None and not mine.agrees(theirs, origin.normalizes):
                return False
        return True

    def test_H1_75_mutated_messages(self):
        """1,500 mutated messages, some pipelined, to each of 7 real servers (more with TULLE_MESSAGES) -> number of requests, method, target, fields and body are understood as we do"""
        generator = random.Random(SEED)
        messages = [message(generator) for _ in range(MESSAGES)]
        disagreements, refused, passed = self.compare(messages)
        print("seed %d, %d messages to each of %d servers; passed on %r, refused by them %r"
              % (SEED, len(messages), len(self.origins), passed, refused))
        self.assertEqual([], disagreements[:5], "%d disagreements" % len(disagreements))
        for name, count in passed.items():
            self.assertGreater(count, MESSAGES // 4, "hardly anything reaches " + name)
            self.assertLess(refused[name], count // 4, name + " refuses what it should not")

    def test_a_disagreement_is_noticed(self):
        """A server that sees one request where we see two."""
        expected = understood(self.ports["direct"], b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(2, len(expected))
        origin = self.origins[0]
        self.assertFalse(self.same(origin, expected, expected[:1]))
        self.assertFalse(self.same(origin, expected, expected[::-1]))
        self.assertTrue(self.same(origin, expected, expected))


if __name__ == "__main__":
    unittest.main()
