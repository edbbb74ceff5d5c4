"""curl as a client: what it is told, and what it saw."""
import json
import os
import subprocess
import tempfile

from surroundings import program

H1 = ("--http1.1",)
H2 = ("--http2-prior-knowledge",)


class CurlAnswer:
    """What curl saw: status, version ("1.1", "2"), header fields (trailers too), body, exit status."""

    def __init__(self, status, version, head, body, exit_status, error):
        self.status, self.version, self.head, self.body = status, version, head, body
        self.exit_status, self.error = exit_status, error
        # The last block; curl writes trailers below it.
        self.fields = []
        for line in head.splitlines():
            if line.startswith("HTTP/"):
                self.fields = []
            elif ":" in line:
                name, _, value = line.partition(":")
                self.fields.append((name.strip().lower(), value.strip()))

    def values(self, name):
        return [value for key, value in self.fields if key == name]

    def __getitem__(self, name):
        return next(iter(self.values(name)), None)

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "curl: exit %d %s\n%s%r" % (self.exit_status, self.error, self.head, self.body[:600])


def curl(url, *arguments, stdin=None, seconds=60):
    with tempfile.TemporaryDirectory() as folder:
        head, body = os.path.join(folder, "head"), os.path.join(folder, "body")
        command = [program("curl"), "-q", "-sS", "--noproxy", "", "-m", str(seconds), "-D", head, "-o", body,
                   "-w", "%{http_code} %{http_version}", *map(str, arguments), url]
        env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                              timeout=seconds + 30)
        status, version = (done.stdout.decode().split() + ["0", "0"])[:2]

        def content(path):
            if not os.path.exists(path):
                return b""
            with open(path, "rb") as data:
                return data.read()

        return CurlAnswer(int(status), version, content(head).decode("latin-1"), content(body), done.returncode,
                          done.stderr.decode(errors="replace").strip())
