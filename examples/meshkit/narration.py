"""What a run prints: numbered steps, checked claims, colour only on a terminal."""
import os
import sys

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return "\033[%sm%s\033[0m" % (code, text) if COLOUR else text


class Story:
    """Counts claims that held and claims that did not."""

    def __init__(self, title):
        self.held = self.broken = self.skipped = self.steps = 0
        print(paint("1", title), flush=True)

    def step(self, title):
        self.steps += 1
        print("\n" + paint("1", "%d. %s" % (self.steps, title)), flush=True)

    def tell(self, *lines):
        for line in lines:
            print("   " + line, flush=True)

    def fact(self, name, value):
        print("   %-18s %s" % (name, value), flush=True)

    def claim(self, holds, text, evidence=""):
        """A statement that the run has just proved or refuted; the evidence is shown below it."""
        if holds:
            self.held += 1
        else:
            self.broken += 1
        print("   %s  %s" % (paint("32", "ok    ") if holds else paint("31", "FAILED"), text), flush=True)
        for line in str(evidence).splitlines():
            print("           " + paint("2", line), flush=True)
        return holds

    def skip(self, text, reason):
        self.skipped += 1
        print("   %s  %s: %s" % (paint("33", "skip  "), text, reason), flush=True)

    def summary(self):
        text = "%d claims held, %d did not" % (self.held, self.broken)
        if self.skipped:
            text += ", %d could not be checked" % self.skipped
        return paint("32" if not self.broken else "31", text)
