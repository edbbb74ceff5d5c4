"""Customers who never stop ordering, and what became of their orders."""
import collections
import json
import threading
import time

from meshkit import probes

DISHES = ("pizza", "salad", "soup")
Outcome = collections.namedtuple("Outcome", "status version kitchen problem")


class Customers:
    SIZE = 4
    PAUSE = 0.01  # a customer reads the menu; the example is to show a mesh, not the limits of a laptop

    def __init__(self, web_port):
        self.web_port = web_port
        self.outcomes = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.order, args=(number,), daemon=True) for number in range(self.SIZE)]
        for thread in self.threads:
            thread.start()

    def order(self, number):
        while not self.over.wait(self.PAUSE):
            wish = {"dish": DISHES[number % len(DISHES)], "count": 1 + number % 3}
            try:
                answer = probes.get(self.web_port, "/orders", {"content-type": "application/json"}, "POST", json.dumps(wish))
                document = json.loads(answer.body)
                ticket = document.get("ticket", {})
                problem = "" if answer.status == 201 else "%d %s" % (answer.status, document.get("error", ""))
                self.outcomes.append(Outcome(answer.status, ticket.get("version"), ticket.get("kitchen"), problem))
            except (OSError, ValueError) as error:
                self.outcomes.append(Outcome(0, None, None, "%s: %s" % (time.strftime("%X"), error)))

    def mark(self):
        """A place in the stream of outcomes, for the questions below."""
        return len(self.outcomes)

    def count(self, since=0):
        return len(self.outcomes) - since

    def failures(self, since=0):
        return [outcome.problem for outcome in self.outcomes[since:] if outcome.status != 201]

    def versions(self, since=0):
        return collections.Counter(outcome.version for outcome in self.outcomes[since:] if outcome.version)

    def kitchens(self, since=0):
        return collections.Counter(outcome.kitchen for outcome in self.outcomes[since:] if outcome.kitchen)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(15)
